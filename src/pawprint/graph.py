"""A study's graph as DVC has it: what each stage reads and writes (dvc.yaml), and the hash of what it wrote (dvc.lock).

DVC's own reading takes a second of imports, which each of a graph's forty processes would pay; a test holds this one
against it. Understood of dvc.yaml: `vars`, params.yaml, `foreach`. What else stands in a `${…}` is told, not guessed.
"""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pawprint import paths
from pawprint.errors import PawprintError

RETRY_SECONDS = 0.05
STILL_SECONDS = 5.0  # a dvc.lock that has not changed for so long is not being written
TEMPLATE = re.compile(r"\$\{\s*([^}]+?)\s*\}")


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml, its `${…}` filled in; paths are relative to the study's folder."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Output:
    """A file or folder as a stage left it."""

    stage: str
    path: Path
    md5: str  # of the file; of a folder that of its listing, followed by `.dir`


def read_graph() -> dict[str, Stage]:
    """The stages of the study in this folder, one for each item of a `foreach`."""
    graph = _read_yaml(paths.GRAPH)
    values = _read_yaml(paths.PARAMS) if paths.PARAMS.exists() else {}
    for entry in graph.get("vars") or ():
        values |= entry if isinstance(entry, dict) else {}
    stages = {}
    for name, definition in (graph.get("stages") or {}).items():
        for full_name, single, context in _instances(name, definition, values):
            stages[full_name] = _stage(single, context)
    return stages


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise PawprintError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise PawprintError(f"{path}: expected `name: value` lines, found {type(content).__name__}")
    return content


def _instances(name: str, definition: Any, values: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Name, definition and values of each stage that the entry `name` of dvc.yaml stands for."""
    if "foreach" not in definition:
        yield name, definition, values
        return
    items = _fill(definition["foreach"], values)
    if isinstance(items, dict):
        for key, item in items.items():
            yield f"{name}@{key}", definition["do"], values | {"key": key, "item": item}
        return
    nested = any(isinstance(item, dict | list) for item in items)
    for number, item in enumerate(items):
        yield f"{name}@{number if nested else item}", definition["do"], values | {"item": item}


def _stage(definition: dict[str, Any], values: dict[str, Any]) -> Stage:
    def listed(*sections: str) -> list[Any]:
        return [entry for section in sections for entry in definition.get(section) or ()]

    def filled(entries: list[Any]) -> tuple[str, ...]:  # an entry with options is a mapping from the path to them
        names = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
        return tuple(os.path.normpath(str(_fill(name, values))) for name in names)

    settings_files = [entry for entry in listed("params") if isinstance(entry, dict)]
    return Stage(filled(listed("deps") + settings_files), filled(listed("outs", "metrics", "plots")))


def _fill(text: Any, values: dict[str, Any]) -> Any:
    """`text` with its `${…}` replaced; the value itself where there is nothing beside it."""
    if not isinstance(text, str):
        return text
    whole = TEMPLATE.fullmatch(text)
    if whole:
        return _value(whole[1], values)
    return TEMPLATE.sub(lambda found: str(_value(found[1], values)), text)


def _value(name: str, values: Any) -> Any:
    for part in name.split("."):
        if not isinstance(values, dict) or part not in values:
            raise PawprintError(
                f"{paths.GRAPH}: ${{{name}}} is not known, so it cannot be told what stages read; expected a name of "
                f"`vars`, of {paths.PARAMS}, or `key` and `item` of a foreach"
            )
        values = values[part]
    return values


def recorded_outputs(graph: dict[str, Stage]) -> list[Output]:
    """What dvc.lock says of the outputs that are still in dvc.yaml."""
    lock = _read_lock(paths.LOCK)
    return [
        Output(stage, Path(entry["path"]), entry["md5"])
        for stage, definition in graph.items()
        for entry in lock.get(stage, {}).get("outs", ())
        # Without `hash: md5` it is an entry of DVC 2, whose MD5 is of the text with other line ends.
        if entry.get("hash") == "md5" and "md5" in entry and os.path.normpath(entry["path"]) in definition.outputs
    ]


def _read_lock(path: Path) -> dict[str, Any]:
    """The stages of dvc.lock; empty if there is none."""
    if not path.exists():
        return {}
    try:
        # Every value as text: no hash is taken for a number. PyYAML's, because it is ten times as fast.
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        content = yaml.load(_whole_text(path), Loader=loader)  # noqa: S506 it makes nothing but text
    except yaml.YAMLError as error:
        raise PawprintError(f"{path}: not valid YAML ({error}); `git checkout {path}`, or delete it") from None
    return (content.get("stages") or {}) if isinstance(content, dict) else {}


def _whole_text(path: Path) -> str:
    """The text of dvc.lock, which another DVC may be writing in place: it holds its lock while it does."""
    while True:
        with _dvc_locked_out(path) as locked_out:
            if locked_out or abs(time.time() - path.stat().st_mtime) > STILL_SECONDS:
                return path.read_text(encoding="utf-8")
        time.sleep(RETRY_SECONDS)


@contextmanager
def _dvc_locked_out(path: Path) -> Iterator[bool]:
    """Hold DVC's lock on the repository of `path`, shared with other readers; False if DVC has it."""
    lock = next((parent / paths.DVC_LOCK for parent in path.absolute().parents if (parent / ".dvc").is_dir()), None)
    if lock is None or not lock.exists():
        yield True
        return
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
