"""Can DVC work in this checkout: settings, line ends, locks, git's HEAD, and who else uses the cache."""

import fcntl
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from dvc.exceptions import DvcException
from dvc.repo import Repo

from pawprint import paths
from pawprint.doctor.told import Told, first
from pawprint.errors import SettingsError
from pawprint.params import read_study

EXPERIMENT_UNDER_WAY = "refs/exps/exec/EXEC_BASELINE"  # DVC sets it while `dvc exp run` works, and clears it


def tell_of_settings(graphs: list[Path]) -> list[Told]:
    """Each study's params.yaml, as every stage will read it."""
    told = []
    for graph in graphs:
        params = graph.parent / paths.PARAMS
        remedy = f"git diff {params}" if params.exists() else f"git checkout -- {params}"
        try:
            read_study(params)
        except SettingsError as error:
            told += [Told("FAULT", "settings", fault, remedy) for fault in error.faults]
    studies = ", ".join(str(graph.parent / paths.PARAMS) for graph in graphs)
    return first(told) or [Told("ok", "settings", studies)]


def tell_of_line_ends(root: Path) -> list[Told]:
    """Text with Windows' line ends: DVC hashes bytes, so stages run again for nothing."""
    lines = _git(root, "ls-files", "--eol", "--full-name").splitlines()
    names = [line.partition("\t")[2] for line in lines if _is_crlf(line)]
    return first([
        Told("FAULT", "line ends", f"{name} has CRLF: for DVC it is changed, and stages run again",
             f"sed -i 's/\\r$//' {os.path.relpath(root / name)}")
        for name in names
    ])  # fmt: skip


def _is_crlf(line: str) -> bool:
    """By `git ls-files --eol`: `i/lf    w/crlf  attr/text=auto eol=lf`, a tab, the name."""
    facts = line.partition("\t")[0].split()
    return "attr/-text" not in facts and any(fact in facts for fact in ("w/crlf", "w/mixed"))


@dataclass(frozen=True)
class Locks:
    """Who works here, and what is said about it."""

    at_work: bool
    told: list[Told]
    held: bool = False  # the repository's own lock, at this moment


def look_at_locks(root: Path) -> Locks:
    """DVC's locks: really held, and by whom, or left by a process that was killed."""
    holder = _holder(root / paths.DVC_LOCK)
    at_work = held = holder is not None
    told = [Told("note", "locks", f"DVC is at work here: {_process(holder)}")] if holder is not None else []
    for name in paths.DVC_RWLOCKS:
        here = _look_at_rwlock(Path(os.path.relpath(root / name)))
        told += [line for line in here.told if line not in told]
        at_work |= here.at_work
    return Locks(at_work, told or [Told("ok", "locks", "none held, none left behind")], held=held)


def _holder(lock: Path) -> int | None:
    """The process that holds the repository's lock, if any. The file stays when nobody does, and says nothing then."""
    if not lock.exists():
        return None
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read_text().strip() or 0)
    return None


def _look_at_rwlock(lock: Path) -> Locks:
    try:
        content = json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Locks(False, [])
    except json.JSONDecodeError:
        return Locks(False, [Told("FAULT", "locks", f"{lock}: cut off; every dvc command stops at it", f"rm {lock}")])
    at_work, told = False, []
    for pid, command in sorted(_entries(content)):
        if not psutil.pid_exists(pid):
            text = f"{lock} names process {pid} ({command}), which has ended; DVC passes over it"
            told.append(Told("note", "locks", text))
        elif command in _process(pid):
            at_work = True
            told.append(Told("note", "locks", f"DVC is at work here: {_process(pid)}"))
        else:
            text = f"{lock} names process {pid} ({command}); that is another process now, for which DVC waits"
            told.append(Told("FAULT", "locks", text, f"rm {lock}"))
    return Locks(at_work, told)


def _entries(content: dict[str, Any]) -> set[tuple[int, str]]:
    """Process and command of each entry."""
    readers = [entry for entries in content.get("read", {}).values() for entry in entries]
    return {(entry["pid"], entry["cmd"]) for entry in [*readers, *content.get("write", {}).values()]}


def _process(pid: int) -> str:
    try:
        return f"process {pid} ({' '.join(psutil.Process(pid).cmdline())})"
    except psutil.Error:  # it has ended, or is another user's
        return f"process {pid}"


def tell_of_head(root: Path, at_work: bool) -> list[Told]:
    """`dvc exp run` works on a detached HEAD; killed, it leaves it so, and commits go to no branch."""
    if not _git(root, "rev-parse", "HEAD"):
        return []  # no commit yet, or no git
    branch = _git(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    if branch:
        return [Told("ok", "git", f"on {branch}")]
    if not _git(root, "rev-parse", "--quiet", "--verify", EXPERIMENT_UNDER_WAY):
        return [Told("note", "git", "HEAD is detached: commits go to no branch", "git switch BRANCH")]
    if at_work:
        return [Told("note", "git", "HEAD is detached while `dvc exp run` works")]
    before = _git(root, "rev-parse", "--abbrev-ref", "@{-1}") or "BRANCH"
    text = "HEAD is detached: `dvc exp run` was killed; its settings are still in params.yaml (git diff)"
    return [Told("FAULT", "git", text, f"git checkout {before}")]


def tell_of_sharing(repo: Repo) -> list[Told]:
    """Is the cache one that other checkouts may use? From here it is seen only where it lies, and git's worktrees."""
    cache, told = Path(repo.cache.local_cache_dir), []
    if cache.resolve() != Path(repo.cache.default_local_cache_dir).absolute():
        text = f"the cache is {cache.resolve()}, outside this checkout: `dvc gc` deletes what others there need"
        told.append(Told("note", "sharing", text, "dvc gc --workspace --projects OTHER_CHECKOUT"))
    for other in _worktrees(Path(repo.root_dir)):
        if _cache_of(other) == cache.resolve():
            text = f"{other} uses the same cache: `dvc gc` deletes what it needs"
            told.append(Told("note", "sharing", text, f"dvc gc --workspace --projects {other}"))
    linked = [kind for kind in repo.cache.local.cache_types if kind in ("hardlink", "symlink")]
    if linked:
        text = f"cache.type {linked[0]}: a file of the workspace is the cache's own, and editing it damages the cache"
        told.append(Told("note", "sharing", text, "dvc unprotect FILE"))
    return told


def _worktrees(root: Path) -> list[Path]:
    lines = _git(root, "worktree", "list", "--porcelain").splitlines()
    found = [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]
    return [path for path in found if path.resolve() != root.resolve() and (path / ".dvc").is_dir()]


def _cache_of(root: Path) -> Path | None:
    try:
        with Repo(str(root)) as repo:
            return Path(repo.cache.local_cache_dir).resolve()
    except DvcException:
        return None


def _git(root: Path, *arguments: str) -> str:
    """What git says; nothing if it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
