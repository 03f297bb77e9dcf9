"""YAML as people and programs write it, read with suspicion: plain values, or a SettingsError that says the line.

YAML 1.2, in which `1e-05` is a number. No tag makes anything but plain values, and no file costs more than a sound one
of its size: how large it is, how deep it nests and what its aliases stand for is known before anything is made of it.
"""

import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, ScalarEvent
from ruamel.yaml.nodes import Node
from ruamel.yaml.reader import ReaderError

from pawprint.errors import SettingsError, shown

MAX_BYTES = 1_000_000  # some ten thousand variants, and four seconds of reading
MAX_DEPTH = 20  # settings nest six deep; Python's own limit is a few hundred
MAX_NODES = 100_000  # names and values, with all that aliases stand for
MAX_PROBLEM = 200  # characters of a parser's complaint, which may quote the file
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, its keys text; SettingsError naming the file and the line."""
    try:
        content = _bytes(path)
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        found = "UTF-16" if content.startswith(UTF_16) else f"byte {content[error.start]:#04x}"
        raise SettingsError([f"{path}: line {line}: expected UTF-8 text, found {found}; save it as UTF-8"]) from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        found = "nothing" if values is None else f"{type(values).__name__} {shown(values)}"
        raise SettingsError([f"{path}: expected `name: value` lines, found {found}"])
    return values


def parse_yaml(text: str, where: str) -> Any:
    """One YAML document as plain values; SettingsError that begins with `where`."""
    try:
        _bounded(YAML(typ="safe", pure=True).parse(text))
        yaml = YAML(typ="safe", pure=True)
        yaml.Constructor = _Constructor
        content = yaml.load(text)
    except YAMLError as error:
        raise SettingsError([f"{where}: {_told(error, text)}"]) from None
    faults = [f"{where}: {fault}" for fault in _text_faults(content, "")]
    if faults:
        raise SettingsError(faults)
    return content


def to_yaml(content: dict[str, Any]) -> str:
    """Plain YAML text, keys in the order given."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # ruamel declares it None
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


class _Constructor(SafeConstructor):
    """Says the line also of what Python itself refuses: a 13th month, an integer of 5,000 digits, `!!int x`."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise ConstructorError(None, None, str(error).partition(";")[0], node.start_mark) from None


class _Unreasonable(MarkedYAMLError):
    """Valid YAML that no settings need."""


@dataclass
class _Open:
    """A mapping or list whose end has not come yet."""

    anchor: str | None
    n_nodes: int = 1  # of all below, what aliases stand for included
    height: int = 1  # levels below, itself included


def _bounded(events: Iterator[Event]) -> None:
    """Raise where the document nests too deep, or stands for too much; before anything is made of it."""
    known: dict[str, _Open] = {}  # what each anchor stands for
    under_way = [_Open(None, 0, 0)]
    for event in events:
        if isinstance(event, CollectionStartEvent):
            under_way.append(_Open(event.anchor))
        elif isinstance(event, AliasEvent):
            if any(one.anchor == event.anchor for one in under_way):
                _refuse(event, f"the alias *{event.anchor} is inside what it stands for")
            _add(under_way, known.get(event.anchor, _Open(None)))  # one that nothing has: the parser says so
        elif isinstance(event, ScalarEvent):
            _add(under_way, _Open(event.anchor), known)
        elif isinstance(event, CollectionEndEvent):
            _add(under_way, under_way.pop(), known)
        if len(under_way) + under_way[-1].height > MAX_DEPTH + 1:
            _refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        if sum(one.n_nodes for one in under_way) > MAX_NODES:
            _refuse(event, f"stands for more than {MAX_NODES:,} names and values")


def _add(under_way: list[_Open], one: _Open, known: dict[str, _Open] | None = None) -> None:
    above = under_way[-1]
    above.n_nodes += one.n_nodes
    above.height = max(above.height, one.height + 1)
    if known is not None and one.anchor:
        known[one.anchor] = one


def _refuse(event: Event, problem: str) -> NoReturn:
    raise _Unreasonable(None, None, problem, event.start_mark)


def _bytes(path: Path) -> bytes:
    if not path.exists():
        found = f"a link to {path.readlink()}, which is not there" if path.is_symlink() else "no such file"
        raise SettingsError([f"{path}: {found}; run this in a study's folder"])
    if not path.is_file():  # a named pipe or a device would never end
        raise SettingsError([f"{path}: expected a file, found {'a folder' if path.is_dir() else 'a pipe or device'}"])
    if path.stat().st_size > MAX_BYTES:
        found = f"{path.stat().st_size / 1e6:,.1f} MB"
        raise SettingsError([f"{path}: expected settings of at most {MAX_BYTES / 1e6:g} MB, found {found}"])
    return path.read_bytes()


def _told(error: YAMLError, text: str) -> str:
    """`line 3, column 5: not valid YAML: …`, in one line."""
    problem, line, column = str(error), 0, 0
    if isinstance(error, ReaderError):
        problem = f"the character {chr(error.character)!r} is not allowed"
        line, column = text.count("\n", 0, error.position), error.position - text.rfind("\n", 0, error.position) - 1
    elif isinstance(error, MarkedYAMLError):
        problem = " ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
    kind = "" if isinstance(error, _Unreasonable) else "not valid YAML: "
    problem = " ".join(problem.split())
    more = "…" if len(problem) > MAX_PROBLEM else ""
    return f"line {line + 1}, column {column + 1}: {kind}{problem[:MAX_PROBLEM]}{more}"


def _text_faults(content: Any, place: str) -> Iterator[str]:
    """Keys that are no text, and text of several lines or that no file's name and no terminal can hold."""
    where = f"{place}: " if place else ""
    if isinstance(content, str) and not _is_plain(content):
        yield f"{where}expected one line of text, found {shown(content)}"
    elif isinstance(content, dict):
        for key, value in content.items():
            if isinstance(key, str) and _is_plain(key):
                yield from _text_faults(value, f"{place}.{key}" if place else key)
            else:
                yield f"{where}expected a name, found {shown(key)}; quote it if it is one"
    elif isinstance(content, list):
        for value in content:
            yield from _text_faults(value, place)


def _is_plain(text: str) -> bool:
    """No control characters, no breaks of lines, no halves of characters."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text)
