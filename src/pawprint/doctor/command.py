"""`pawprint doctor`: one line for what is well, and for each fault what mends it."""

import contextlib
import textwrap
from pathlib import Path

from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from rich.console import Console
from rich.text import Text

from pawprint.doctor import checkout, remote, store
from pawprint.doctor.mend import mend
from pawprint.doctor.told import Told
from pawprint.errors import PawprintError, SettingsError

INDENT = 18  # columns before the text
MIN_WIDTH = 60
COLORS = {"ok": "green", "note": "yellow", "mended": "cyan", "FAULT": "bold red"}


def doctor_command(name: str | None, with_remote: bool, mending: bool, all_objects: bool) -> int:
    """Examine the checkout around the current folder, tell, and return the exit code: 1 if there is a fault."""
    try:
        repo = Repo()
    except NotDvcRepoError:
        raise SettingsError([f"{Path.cwd()}: not inside a DVC repository; go to your clone"]) from None
    except DvcException as error:  # .dvc/config
        raise SettingsError([str(error)]) from None
    with repo:
        told = examine(repo, name, with_remote, mending, all_objects)
    _print(told)
    return int(any(line.mark == "FAULT" for line in told))


def examine(repo: Repo, name: str | None, with_remote: bool, mending: bool, all_objects: bool) -> list[Told]:
    """All that there is to tell, in the order in which it is mended."""
    if with_remote:
        remote.choose(repo, name)  # a wrong name is told before gigabytes are read
    root = Path(repo.root_dir)
    locks = checkout.look_at_locks(root)
    known, graphs, unreadable = _collect(repo, locks)
    told = [*checkout.tell_of_settings(graphs), *unreadable, *checkout.tell_of_line_ends(root), *locks.told]
    told += [*checkout.tell_of_head(root, locks.at_work), *checkout.tell_of_sharing(repo)]
    if not known:
        return told if unreadable else [*told, Told("note", "cache", "empty: no stage has run", "dvc repro")]
    workspace, cache = _look(repo, known, all_objects)
    if mending and (cache.damaged or cache.missing or workspace.silent):
        told += _mend(repo, locks, cache, workspace)
        known, *_ = store.collect(repo)
        workspace, cache = _look(repo, known, all_objects)
    told += store.tell_of_cache(known, cache, workspace, remote.choose(repo, None) is not None)
    told += store.tell_of_workspace(known, workspace, cache)
    return told + remote.examine(repo, known, cache, name, with_remote, mending)


def _mend(repo: Repo, locks: checkout.Locks, cache: store.Cache, workspace: store.Workspace) -> list[Told]:
    busy = PawprintError("DVC is at work here (`pawprint doctor` says which process); mend when it has ended")
    if locks.at_work:
        raise busy
    try:
        with lock_repo(repo):
            return mend(repo, cache, workspace)
    except LockError:  # taken in between
        raise busy from None


def _look(repo: Repo, known: list[store.Known], all_objects: bool) -> tuple[store.Workspace, store.Cache]:
    """The workspace first: it may supply the listing of a folder that the cache has lost."""
    workspace = store.look_at_workspace(repo, known)
    return workspace, store.look_at_cache(repo, known, all_objects)


def _collect(repo: Repo, locks: checkout.Locks) -> tuple[list[store.Known], list[Path], list[Told]]:
    """Read under DVC's lock, as dvc.lock is written in place; if another has it, what can be read."""
    try:
        with contextlib.nullcontext() if locks.held else lock_repo(repo):
            return store.collect(repo)
    except LockError:  # taken in between
        return store.collect(repo)


def _print(told: list[Told]) -> None:
    """Mark, what it is about, what was found; below that what mends it, on a line of its own to copy."""
    console = Console(highlight=False)
    for line in told:
        lead = Text(f"{line.mark:7}", style=COLORS[line.mark]) + Text(f"{line.about:11}")
        said = textwrap.wrap(line.text, max(console.width, MIN_WIDTH) - INDENT, break_long_words=False,
                             break_on_hyphens=False)  # fmt: skip
        console.print(lead + Text(("\n" + " " * INDENT).join(said)), soft_wrap=True)
        if line.remedy:
            style = "bold" if line.mark == "FAULT" else "dim"
            console.print(Text(" " * INDENT + "→ ") + Text(line.remedy, style=style), soft_wrap=True)
    n_faults = sum(line.mark == "FAULT" for line in told)
    console.print(f"\n{n_faults} fault{'s' * (n_faults != 1)}" if n_faults else "\nnothing wrong")
