"""What the remote has of the objects that dvc.lock names, by DVC's own file systems: any kind of remote.

`dvc push` takes a folder for complete whose listing is in the remote, so it does not bring back one lost file of it,
and it replaces no damaged object: uploading what is whole in the cache does both.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvc.data_cloud import Remote
from dvc.exceptions import DvcException
from dvc.repo import Repo

from pawprint.doctor.store import Cache, Known, object_path, objects
from pawprint.doctor.told import Told, first
from pawprint.errors import SettingsError
from pawprint.integrity import parse_listing
from pawprint.progress import progress

CHUNK_BYTES = 2**20
AT_ONCE = 8  # objects read from a remote side by side: most of it is waiting


@dataclass
class Stored:
    """What became of the objects in a remote."""

    damaged: dict[str, str] = field(default_factory=dict)  # object → MD5 found
    missing: list[str] = field(default_factory=list)
    n_there: int = 0


def choose(repo: Repo, name: str | None) -> Remote | None:
    """The remote `name`, or the default one; None if there is none. SettingsError if it cannot be used."""
    remotes = list(repo.config["remote"])
    if name is not None and name not in remotes:
        raise SettingsError([f"--remote {name}: no such remote; there are: {', '.join(remotes) or 'none'}"])
    if name is None and "remote" not in repo.config["core"]:
        return None
    try:
        return repo.cloud.get_remote(name)
    except DvcException as error:
        raise SettingsError([f"remote {name or repo.config['core']['remote']}: {error}"]) from None


def is_local(remote: Remote) -> bool:
    return bool(remote.fs.protocol == "local")


def look_at_remote(remote: Remote, known: list[Known], read: bool) -> Stored:
    """Which objects the remote has; with `read` each is read and hashed."""
    if read:
        _learn_listings(remote, known)
    names, look, found = list(objects(known)), _md5 if read else _presumed, Stored()
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        with progress(f"remote {remote.name}", len(names)) as reporter:
            for name, md5 in zip(names, pool.map(lambda name: look(remote, name), names), strict=True):
                reporter.advance()
                found.n_there += md5 is not None
                if md5 is None:
                    found.missing.append(name)
                elif md5 != name.removesuffix(".dir"):
                    found.damaged[name] = md5
    finally:
        pool.shutdown(cancel_futures=True)  # where one cannot be read, the others are not tried
    return found


def _learn_listings(remote: Remote, known: list[Known]) -> None:
    """On a fresh clone only the remote knows which files a folder has."""
    for one in known:
        if one.cached and one.listing is None and _md5(remote, one.output.md5) == one.output.md5.removesuffix(".dir"):
            with remote.fs.open(remote.odb.oid_to_path(one.output.md5), "rb") as file:
                one.listing = parse_listing(file.read())


def _md5(remote: Remote, name: str) -> str | None:
    md5 = hashlib.md5(usedforsecurity=False)
    try:
        with remote.fs.open(remote.odb.oid_to_path(name), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                md5.update(chunk)
    except FileNotFoundError as error:
        # Over HTTP a refused connection or password comes as a missing file, and its cause tells them apart.
        if isinstance(error.__cause__, OSError) or getattr(error.__cause__, "status", 404) != 404:
            raise error.__cause__ from None  # type: ignore[misc]
        return None
    return md5.hexdigest()


def _presumed(remote: Remote, name: str) -> str | None:
    return name.removesuffix(".dir") if remote.fs.exists(remote.odb.oid_to_path(name)) else None


def examine(repo: Repo, known: list[Known], cache: Cache, name: str | None, asked: bool, mend: bool) -> list[Told]:
    """Lines about the remote. Not `asked` for, only a folder is looked at, and not read: no network unasked."""
    remote = choose(repo, name)
    if remote is None:
        return [Told("note", "remote", "none: what is in the cache is on this machine only",
                     "dvc remote add --default NAME URL")]  # fmt: skip
    where = f"{remote.name} ({remote.fs.unstrip_protocol(remote.path).removeprefix('file://')})"
    told = []
    if not repo.config["remote"][remote.name].get("verify"):
        told.append(Told("FAULT", "remote", f"{where} hands out damaged objects: verify is off",
                         f"dvc remote modify {remote.name} verify true"))  # fmt: skip
    if not asked and not is_local(remote):
        return [*told, Told("note", "remote", f"{where}: not looked at", f"pawprint doctor --remote {remote.name}")]
    try:
        found = look_at_remote(remote, known, read=asked)
        if asked and mend:
            told += _upload(repo, remote, known, cache, found)
            found = look_at_remote(remote, known, read=True)
    except Exception as error:  # noqa: BLE001 every kind of remote has its own: a wrong password, no route, no bucket
        return [*told, Told("FAULT", "remote", f"{where} cannot be read: {error or type(error).__name__}")]
    return [*told, *_tell(known, remote, where, found, cache, asked)]


def _tell(known: list[Known], remote: Remote, where: str, found: Stored, cache: Cache, asked: bool) -> list[Told]:
    of, mend = objects(known), f"pawprint doctor --remote {remote.name} --mend"
    damaged = []
    for name, md5 in found.damaged.items():
        text = f"{_path(of, name)}: damaged in {where}: MD5 {md5}, expected {name.removesuffix('.dir')}"
        whole = name not in cache.damaged and name not in cache.missing
        damaged.append(Told("FAULT", "remote", text if whole else f"{text}; the cache must be mended first", mend))
    n = len(of)
    if found.missing and not found.n_there and set(found.missing) <= set(cache.missing):
        return [Told("FAULT" if asked else "note", "remote", f"{where} is empty, as the cache is")]
    if found.missing and not found.n_there:
        return [Told("FAULT" if asked else "note", "remote", f"{where} is empty", f"dvc push --remote {remote.name}")]
    listed = {md5 for name in of.keys() - set(found.missing) for md5 in _contents(of, name)}
    half = [name for name in found.missing if name in listed]
    lines = [Told("FAULT", "remote", f"{_path(of, name)}: lost from {where}", mend) for name in half]
    if len(found.missing) > len(half):
        text = f"{where} lacks {len(found.missing) - len(half)} of {n} objects"
        lines.append(Told("FAULT" if asked else "note", "remote", text, f"dvc push --remote {remote.name}"))
    told = first(damaged) + first(lines)
    did = "read, each what its name says" if asked else "there, not read (--remote reads them)"
    return told or [Told("ok", "remote", f"{where}: all {n} objects {did}")]


def _contents(of: dict[str, Any], name: str) -> set[str]:
    """The objects that the listing `name` is a listing of."""
    return set(of[name][0][0].listing.values()) if name.endswith(".dir") and of[name][0][0].listing else set()


def _path(of: dict[str, Any], name: str) -> Path:
    return of[name][0][1]


def _upload(repo: Repo, remote: Remote, known: list[Known], cache: Cache, found: Stored) -> list[Told]:
    """Put what is whole in the cache in the place of what is damaged or missing in the remote."""
    told, of = [], objects(known)
    for name in [*found.damaged, *found.missing]:
        if name not in cache.damaged and name not in cache.missing:
            if name in found.damaged:
                remote.fs.remove(remote.odb.oid_to_path(name))
            remote.odb.add(str(object_path(repo, name)), repo.cache.local.fs, name)
            told.append(Told("mended", "remote", f"{_path(of, name)}: uploaded anew"))
    return first(told)
