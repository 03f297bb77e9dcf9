"""Put damaged objects out of DVC's way: it fetches or remakes what is missing, and never what is merely wrong.

Nothing is deleted: what is damaged is moved below `.dvc/tmp/damaged`. What is whole in the workspace is put back into
the cache, what is whole in the cache into the workspace.
"""

import os
import shutil
import time
from pathlib import Path

from dvc.repo import Repo

from pawprint import paths
from pawprint.doctor.store import Cache, Known, Workspace, listed, object_path, objects
from pawprint.doctor.told import Told
from pawprint.integrity import Listing, listing_bytes


def mend(repo: Repo, cache: Cache, workspace: Workspace) -> list[Told]:
    """Mend what can be, under DVC's lock; says what was done."""
    return [*_mend_cache(repo, cache, workspace), *_mend_workspace(repo, workspace)]


def _mend_cache(repo: Repo, cache: Cache, workspace: Workspace) -> list[Told]:
    told = []
    for name in cache.damaged:
        where = _move_away(repo, object_path(repo, name), f"cache-{name}")
        told.append(Told("mended", "cache", f"{name} moved to {where}"))
    for name in [*cache.damaged, *cache.missing]:
        source = workspace.whole.get(name)
        if source is not None and source.exists():  # not where it was a link to the object itself
            _put_into_cache(repo, source, name)
            told.append(Told("mended", "cache", f"{name} put back from {source}"))
    return told


def _put_into_cache(repo: Repo, source: Path, name: str) -> None:
    odb = repo.cache.local
    if not name.endswith(".dir"):
        odb.add(str(source.absolute()), odb.fs, name)
        return
    written = Path(repo.tmp_dir) / name
    written.write_bytes(listing_bytes(listed(repo, source)))
    odb.add(str(written), odb.fs, name)
    written.unlink(missing_ok=True)


def _mend_workspace(repo: Repo, workspace: Workspace) -> list[Told]:
    told = []
    for one, content in workspace.silent:
        if one.cached:
            for file in _damaged_files(one, content):
                where = _move_away(repo, file, f"workspace-{content.get(_inside(one, file), 'listing')}")
                told.append(Told("mended", "workspace", f"{file} moved to {where}"))
            told += _check_out(repo, one)
    return told


def _inside(one: Known, file: Path) -> str:
    return "" if file == one.output.path else file.relative_to(one.output.path).as_posix()


def _damaged_files(one: Known, content: Listing) -> list[Path]:
    """Files to move away: all of the output where it is not known which of them are wrong."""
    if one.listing is None:
        return [one.output.path]
    return [one.output.path / name for name, md5 in content.items() if one.listing.get(name) != md5]


def _check_out(repo: Repo, one: Known) -> list[Told]:
    """If the cache has it: else the lines about the cache say how to go on, and DVC would leave broken links."""
    if not all(object_path(repo, name).exists() for name in objects([one])):
        return []
    one.by_dvc.checkout(force=True)
    return [Told("mended", "workspace", f"{one.output.path} checked out of the cache")]


def _move_away(repo: Repo, path: Path, name: str) -> Path:
    target = Path(repo.root_dir) / paths.QUARANTINE / time.strftime("%Y-%m-%d_%H-%M-%S") / name
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(os.path.relpath(shutil.move(path, target)))
