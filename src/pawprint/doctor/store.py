"""What dvc.lock names, in DVC's cache and in the workspace, every byte of it against its hash.

An *output* is a file or folder that a stage wrote. An *object* is one file's content in the cache, named by its hash;
a folder has one more, its listing, whose name ends in `.dir`. The cache's objects lie where DVC's own code says.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.index import collect_files

from pawprint import paths
from pawprint.doctor.told import Told, first
from pawprint.graph import Output
from pawprint.integrity import Listing, differences, digest, hash_file, list_files, read_listing
from pawprint.progress import progress

MEND = "pawprint doctor --mend"
OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")


@dataclass
class Known:
    """An output of which dvc.lock holds the hash; paths are relative to the folder in which the doctor was called."""

    output: Output
    cached: bool  # else it is git's: metrics, settings
    listing: Listing | None  # None: a folder's that is not in the cache; the workspace or a remote may supply it
    by_dvc: Any  # dvc.output.Output


@dataclass
class Cache:
    """What became of the cache's objects."""

    damaged: dict[str, str] = field(default_factory=dict)  # object → MD5 found
    missing: list[str] = field(default_factory=list)
    n_looked_at: int = 0
    n_bytes: int = 0
    n_others: int = 0  # of other commits and experiments, not looked at


@dataclass
class Workspace:
    """What became of the outputs where people and stages see them."""

    absent: list[Known] = field(default_factory=list)
    silent: list[tuple[Known, Listing]] = field(default_factory=list)  # differs, and DVC takes it for unchanged
    changed: list[Known] = field(default_factory=list)  # differs, and DVC knows
    whole: dict[str, Path] = field(default_factory=dict)  # object → a file with just that content


def collect(repo: Repo) -> tuple[list[Known], list[Path], list[Told]]:
    """The outputs of all studies, the dvc.yaml of each, and which cannot be read."""
    known: list[Known] = []
    graphs: list[Path] = []
    faults: list[Told] = []

    def unreadable(path: str, error: Exception) -> None:
        graphs.append(Path(path))
        faults.append(Told("FAULT", "graph", f"{path}: {error}"))

    for path, index in collect_files(repo, onerror=unreadable):
        graphs.append(Path(os.path.relpath(path)))
        known += [_known(repo, stage, out) for stage in index.stages for out in stage.outs if _has_md5(out)]
    return known, graphs, faults


def _has_md5(out: Any) -> bool:
    return bool(out.hash_info) and out.hash_name == "md5" and out.protocol == "local"


def _known(repo: Repo, stage: Any, out: Any) -> Known:
    output = Output(stage.addressing, Path(os.path.relpath(out.fs_path)), out.hash_info.value)
    if not out.hash_info.isdir:
        return Known(output, out.use_cache, {"": output.md5}, out)
    return Known(output, out.use_cache, read_listing(object_path(repo, output.md5), output.md5), out)


def object_path(repo: Repo, name: str) -> Path:
    """Where the cache has the object."""
    return Path(repo.cache.local.oid_to_path(name))


def objects(known: Iterable[Known], with_gits: bool = False) -> dict[str, list[tuple[Known, Path]]]:
    """Each object that the cache should have, with the outputs and files that it is of.

    `with_gits`: those too of which it may have a copy, for stages that need not run again: metrics.
    """
    of: dict[str, list[tuple[Known, Path]]] = {}
    for one in known:
        if one.cached or with_gits:
            for name, md5 in (one.listing or {}).items():
                of.setdefault(md5, []).append((one, one.output.path / name))
            if one.output.md5.endswith(".dir"):
                of.setdefault(one.output.md5, []).append((one, one.output.path))
    return of


def look_at_cache(repo: Repo, known: list[Known], all_objects: bool) -> Cache:
    """Hash every object that dvc.lock names; with `all_objects` those of other commits and experiments too."""
    named, found = objects(known), Cache()
    cached = Path(repo.cache.local.path).glob("??/*")
    there = {f"{path.parent.name}{path.name}" for path in cached if OBJECT.fullmatch(path.name)}
    spare = sorted(there & objects(known, with_gits=True).keys() - named.keys())
    others = sorted(there - named.keys() - set(spare))
    found.n_others = 0 if all_objects else len(others)
    names = [*named, *spare, *(others if all_objects else [])]
    with progress("cache", len(names)) as reporter:
        for name in names:
            path = object_path(repo, name)
            if not path.exists():
                found.missing.append(name)
            else:
                found.n_looked_at += 1
                found.n_bytes += path.stat().st_size
                md5 = hash_file(path)
                if md5 != name.removesuffix(".dir"):
                    found.damaged[name] = md5
            reporter.advance()
    return found


def look_at_workspace(repo: Repo, known: list[Known]) -> Workspace:
    """Hash every output that is there."""
    found = Workspace()
    with progress("workspace", len(known)) as reporter:
        for one in known:
            path = one.output.path
            if not path.exists():
                found.absent.append(one)
            else:
                content = listed(repo, path)
                if digest(content) == one.output.md5:
                    one.listing = content
                    found.whole[one.output.md5] = path
                elif _dvc_sees_a_change(one):
                    found.changed.append(one)
                else:
                    found.silent.append((one, content))
                expected = one.listing or {}
                found.whole |= {md5: path / name for name, md5 in content.items() if expected.get(name) == md5}
            reporter.advance()
    return found


def listed(repo: Repo, path: Path) -> Listing:
    """As DVC lists it: without what .dvcignore excludes."""
    content = list_files(path)
    return {
        name: md5 for name, md5 in content.items() if not repo.dvcignore.is_ignored_file(str((path / name).absolute()))
    }


def _dvc_sees_a_change(one: Known) -> bool:
    """By DVC's own memory of time, size and inode: what it does not see, it trains on."""
    try:
        return bool(one.by_dvc.workspace_status())
    except DvcException:
        return True


def repro(known: list[Known]) -> str:
    """The command with which DVC makes anew what must be in these outputs' studies."""
    return " ".join(["dvc repro", *_graphs(known)])


def fetch_or_remake(known: list[Known], remote: bool) -> str:
    """The commands that bring back objects which neither cache nor workspace has.

    Not `dvc repro --pull`: it takes a stage for done once its cached outputs are there, without its metrics.
    """
    targets = [str(one.output.path) for one in known] if len(known) == 1 else _graphs(known)
    return "; ".join([*([" ".join(["dvc pull", *targets])] if remote else []), repro(known)])


def _graphs(known: list[Known]) -> list[str]:
    """The dvc.yaml of each, as DVC's commands take it; none where it is the folder's own."""
    graphs = sorted({one.by_dvc.stage.relpath for one in known})
    return graphs if graphs != [str(paths.GRAPH)] else []


def tell_of_cache(known: list[Known], found: Cache, workspace: Workspace, remote: bool) -> list[Told]:
    """Lines about the cache; where there is a remote, what is missing may be in it."""
    of = objects(known, with_gits=True)
    lines = []
    for name, md5 in found.damaged.items():
        text = f"{_whose(of.get(name, []))}: damaged in the cache: MD5 {md5}, expected {name.removesuffix('.dir')}"
        lines.append(Told("FAULT", "cache", text, MEND if name in of else f"{MEND} --all"))
    told = first(lines) + _tell_of_missing(known, found, workspace, remote)
    if not told:
        others = f"; {found.n_others} others not looked at (--all)" if found.n_others else ""
        size = f"{found.n_bytes / 1e6:,.1f} MB"
        told = [Told("ok", "cache", f"{found.n_looked_at} objects, {size}, each what its name says{others}")]
    return told


def _tell_of_missing(known: list[Known], found: Cache, here: Workspace, remote: bool) -> list[Told]:
    if found.missing and not found.n_looked_at:
        text = "empty, as after a clone: none of what dvc.lock names is here"
        return [Told("FAULT", "cache", text, fetch_or_remake(known, remote))]
    lines = []
    for one in known:
        names = [name for name in objects([one]) if name in found.missing]
        if names:
            text = f"{one.output.path} of {one.output.stage}: {len(names)} of its objects missing from the cache"
            in_workspace = all(name in here.whole for name in names)
            lines.append(Told("FAULT", "cache", text, MEND if in_workspace else fetch_or_remake([one], remote)))
    return first(lines)


def _whose(places: list[tuple[Known, Path]]) -> str:
    if not places:
        return "an object of another commit or experiment"
    (one, path), *others = places
    name = f"{path} (its listing)" if path == one.output.path and one.output.md5.endswith(".dir") else str(path)
    return f"{name} of {one.output.stage}" + (f" and {len(others)} more" if others else "")


def tell_of_workspace(known: list[Known], found: Workspace, cache: Cache) -> list[Told]:
    """Lines about the workspace; an output that the cache has lost is told of there."""
    lines = []
    for one, content in found.silent:
        path = one.output.path
        git = f"rm -r {path} && git checkout -- {path}"
        for difference in differences(one.output, content, one.listing):
            text = f"{difference}, of {one.output.stage}; DVC takes it for unchanged"
            lines.append(Told("FAULT", "workspace", text, MEND if one.cached else git))
    told = first(lines)
    lost = set(cache.missing)
    changed = [one for one in found.changed if not lost & objects([one]).keys()]
    if changed:
        text = "changed since their stages wrote them: " + _names(changed)
        told.append(Told("note", "workspace", text, repro(changed)))
    absent = [one for one in found.absent if not lost & objects([one]).keys()]
    if absent and len(found.absent) < len(known):
        remedy = "dvc checkout" if all(one.cached for one in absent) else repro(absent)
        told.append(Told("note", "workspace", "not here: " + _names(absent), remedy))
    if not told:
        n = len(known) - len(found.absent)
        told = [Told("ok", "workspace", f"{n} outputs, as their stages wrote them")] if n else []
    return told


def _names(known: list[Known]) -> str:
    paths = [str(one.output.path) for one in known]
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
