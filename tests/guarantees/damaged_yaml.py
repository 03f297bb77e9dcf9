"""Sound YAML to which something is done: values of other kinds, and text as programs, people and accidents leave it."""

import copy
import datetime
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st

from pawprint.yaml_files import parse_yaml, to_yaml

CANARY = "canary"  # the file that a tag would leave behind if it ran
BOMB = "laughs:\n- &a0 [ha, ha, ha]\n" + "".join(f"- &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
MERGES = "m0: &m0 {k: v}\n" + "".join(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}\n" for i in range(1, 9))

ODD = st.sampled_from([
    None, True, False, 0, 1, -1, 2, 7, 10**6, 10**9, 10**9 + 1, 10**12, 10**30, -(10**30), 10**400, 2**31, 2**32, 2**63,
    2**64, 0.0, -0.0, 0.5, 1.0, 1.5, -1.5, 99.999, 100.0, 1e-320, 1e-30, 1e30, 1e308, math.inf, -math.inf, math.nan,
    "", " ", "a", "null", "true", "1e-3", "0x10", "1e400", "baseline", "fast", "mlp", "none", "..", ".", "../x", "a/b",
    "/etc/passwd", "~nobody/x", "a\0b", "a\nb", "\ud800", "\u202ecod", "🐾", "é", "x" * 70, "x" * 5000, "-rf", "$(x)",
    [], {}, [[]], [{}], [0], [1, 2], [0.9], [0.9, 0.999], ["a"], [None], {"a": 1}, {"": 1}, {"a": {"b": [1]}},
    datetime.date(2024, 1, 31), b"bytes",
])  # fmt: skip
SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
DRAWN = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
VALUE = ODD | DRAWN
ODD_KEYS = [
    "lrr",
    "epoch",
    "",
    "..",
    "a/b",
    "\ud800",
    "a\0",
    "x" * 100,
    "seeds",
    "runs",
    "lr",
    "data",
    "🐾",
    1,
    None,
    1.5,
]
KEY = st.sampled_from(ODD_KEYS) | st.text(max_size=10)
DEEDS = ("set", "set", "set", "delete", "wrap", "as text", "add", "twice", "rename")

TEXTS: tuple[Callable[[str], str], ...] = (
    lambda text: "\ufeff" + text,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("\n", "\r"),
    lambda text: text.replace("  ", "\t"),
    lambda text: text + "\n---\n" + text,
    lambda text: "%YAML 1.1\n---\n" + text,
    lambda text: "%YAML 9.1\n---\n" + text,
    lambda text: text + "\n...\nrest",
    lambda text: text + BOMB,
    lambda text: text + MERGES,
    lambda text: text + "\nself: &self [*self]\n",
    lambda text: text + "\nnobody: *nobody\n",
    lambda text: "- " + text,
    lambda text: "",
    lambda text: "# nothing\n",
    lambda text: "just words",
    lambda text: "null",
    lambda text: "{}",
    lambda text: "[]",
    lambda text: "42",
    lambda text: text + "\ndeep: " + "[" * 900 + "]" * 900,
    lambda text: text + "\ndeep: " + "[" * 500,
    lambda text: re.sub(r"(?m)^(\w+):\n", r"\1: &all\n", text, count=1) + "\nmore: *all\n",
    lambda text: re.sub(r"(?m)^(\w+):\n", r"\1: &all\n", text, count=1) + "\nmore: {<<: *all}\n",
    lambda text: re.sub(r"(?m)^(\w+:.*)\n", r"\1\n\1\n", text, count=1),
    lambda text: text + f"\nx: !!python/object/apply:os.system ['touch {CANARY}']\n",
    lambda text: text + f"\nx: !!python/object/new:subprocess.Popen [[touch, {CANARY}]]\n",
    lambda text: text + "\nx: !custom {a: 1}\n",
    lambda text: text + "\nx: !!int fast\n",
    lambda text: text + "\nx: !!bool fast\n",
    lambda text: text + "\nx: !!binary '!'\n",
    lambda text: text + "\nx: !!set {a}\n",
    lambda text: text + "\nx: 2024-13-45\n",
    lambda text: text + "\n? {a: 1}\n: b\n",
    lambda text: text + "\n? [a, b]\n: c\n",
    lambda text: text + "\nx: " + "9" * 5000 + "\n",
    lambda text: re.sub(r"(?m)^(\w+): \w.*$", r"\1: 0x" + "f" * 5000, text, count=1),
    lambda text: text + "\nx: " + "y" * 50_000 + "\n",
    lambda text: text + "\n" + "# padding\n" * 10_000,
)
PIECES = ("\t", "\0", ":", "- ", "{", "[", "'", '"', "*x", "&x ", "!", "|", "#", "%", "\u2028", "\x85", "?")
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp037", "utf-7")


@dataclass(frozen=True)
class Damaged:
    """A file's content, and what was done to it."""

    study: str  # whose text it was
    what: str
    content: bytes
    names: tuple[str, ...] = ()  # of what was changed, of which a message says one


@st.composite
def damaged(draw: st.DrawFn, texts: dict[str, str]) -> Damaged:
    """One of the texts, with one to three things done to its values, or one to its letters."""
    study = draw(st.sampled_from(sorted(texts)))
    return draw(changed(study, texts[study]) | miswritten(study, texts[study]))


@st.composite
def changed(draw: st.DrawFn, study: str, text: str) -> Damaged:
    """Values of other kinds and sizes, keys that are not there, gone or elsewhere."""
    content = copy.deepcopy(_parsed(text))
    done, names = [], []
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        places = list(_places(content))
        if not places:
            break
        place = draw(st.sampled_from(places))
        deed = draw(st.sampled_from(DEEDS))
        names += [str(key) for key in place]
        names += _do(draw, content, place, deed)
        done.append(f"{deed} at {'.'.join(map(str, place))}")
    return Damaged(study, "; ".join(done), to_yaml(content).encode(errors="surrogatepass"), tuple(names))


@st.composite
def miswritten(draw: st.DrawFn, study: str, text: str) -> Damaged:
    """Text with something in its midst, without its end, in another encoding, its lines in another order."""
    kind = draw(st.sampled_from(["text", "text", "cut", "bytes", "piece", "encoding", "lines"]))
    raw = text.encode()
    place = draw(st.integers(0, len(raw)))
    if kind == "text":
        number = draw(st.integers(0, len(TEXTS) - 1))
        return Damaged(study, f"text {number}", TEXTS[number](text).encode())
    if kind == "cut":
        return Damaged(study, f"cut at {place}", raw[:place])
    if kind == "bytes":
        more = draw(st.binary(min_size=1, max_size=20))
        return Damaged(study, f"{more!r} at {place}", raw[:place] + more + raw[place + len(more) :])
    if kind == "piece":
        more = draw(st.sampled_from(PIECES)).encode()
        return Damaged(study, f"{more!r} at {place}", raw[:place] + more + raw[place:])
    if kind == "encoding":
        name = draw(st.sampled_from(ENCODINGS))
        return Damaged(study, name, f"# é\n{text}".encode(name, "replace"))
    lines = text.splitlines()
    one, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
    lines[one], lines[other] = lines[other] + draw(st.sampled_from(["", " ", ":", "  x: 1"])), lines[one]
    return Damaged(study, f"lines {one} and {other}", "\n".join(lines).encode())


@cache
def _parsed(text: str) -> Any:
    return parse_yaml(text, "sound text")


def _places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys and positions that lead to each value."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield (*above, key)
        yield from _places(value, (*above, key))


def _do(draw: st.DrawFn, content: Any, place: tuple[Any, ...], deed: str) -> list[str]:
    """One deed at one place, in place; the names of new keys."""
    *above, last = place
    for key in above:
        content = content[key]
    value = content[last]
    if deed == "delete":
        del content[last]
    elif deed == "wrap":
        content[last] = draw(st.sampled_from([[value], {"a": value}, [value, value]]))
    elif deed == "as text":
        content[last] = str(value)
    elif deed == "set" or isinstance(content, list):
        content[last] = draw(VALUE)
    else:
        key = draw(KEY)
        content[key] = draw(VALUE) if deed == "add" else value
        if deed == "rename" and key != last:
            del content[last]
        return [str(key)]
    return []
