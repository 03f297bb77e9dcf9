"""One variant on a node: the commit in a folder of its own, `dvc repro` of the variant's stages there, and a push.

Ray sends this module by value, so it imports nothing of ours: a node needs Git, Ray and the pinned packages, and what
runs is the commit's code. A job that is killed leaves nothing that counts: results are content-addressed, the run
cache names them only after they are stored, and the retry begins in another folder.
"""

import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

TOLD_LINES = 15  # of the log of a job that failed; all of it is in Ray's logs
FIRST = "checkout"  # what each attempt tells first
STARTS = "Running stage '"


@dataclass(frozen=True)
class Job:
    """A variant's stages that are to run, and what for."""

    variant: str
    study: str  # folder, from the repository's root
    inputs: tuple[str, ...]  # stages whose outputs these read: pulled
    stages: tuple[str, ...]  # in an order in which they can run
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Home:
    """What is the same for all jobs."""

    commit: bytes  # a Git bundle of it
    config: dict[str, Any]  # of DVC: the remote
    versions: dict[str, str]  # of Python and the packages


class Failed(Exception):
    """The last lines of a command's output."""


def versions(packages: list[str]) -> dict[str, str]:
    """Python's and theirs, here."""

    def of(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "none"

    return {"python": platform.python_version(), **{name: of(name) for name in packages}}


def work(job: Job, home: Home, tell: Callable[[str], None]) -> str | None:
    """Run the job's stages and push what they leave; None, or why not. `tell` hears what is under way."""
    # Ray's subreaper leaves it ignored, and then every command seems to end with exit code 0.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    here = versions([name for name in home.versions if name != "python"])
    others = [f"{name} {here[name]}, at home {at_home}" for name, at_home in home.versions.items()
              if here[name] != at_home]  # fmt: skip
    if others:
        return f"{platform.node()} has {'; '.join(others)}: install the same versions there"
    try:
        # Where the node is lost the folder is, too; where only this process is, the system clears it away some day.
        with tempfile.TemporaryDirectory(prefix="pawprint-", ignore_cleanup_errors=True) as folder:
            _run_in(Path(folder), job, home, tell)
    except Failed as failure:
        return str(failure)
    return None


def _run_in(folder: Path, job: Job, home: Home, tell: Callable[[str], None]) -> None:
    from dvc.config import Config

    def run(*command: str, cwd: Path, **variables: str) -> None:
        # Not ours: PAWPRINT_RUNS, one folder for the states of all jobs of this node.
        inherited = {name: value for name, value in os.environ.items() if name not in ("PAWPRINT_RUNS", "PYTHONPATH")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        _run(command, cwd, {**inherited, "PATH": path, "PAWPRINT_PROGRESS": "plain", **variables}, tell)

    bundle, checkout = folder / "commit.bundle", folder / "checkout"
    tell(FIRST)
    bundle.write_bytes(home.commit)
    run("git", "clone", "--quiet", str(bundle), str(checkout), cwd=folder)
    with Config(str(checkout / ".dvc")).edit("local") as config:
        config.update(home.config)
        config["core"]["site_cache_dir"] = str(folder / "site_cache")
    study = checkout / job.study
    tell("pull")
    run("dvc", "pull", "--quiet", *job.inputs, cwd=study)
    run("dvc", "repro", "--pull", "--single-item", *job.stages, cwd=study)
    tell("push")
    run(sys.executable, "-m", "pawprint.fan_out.results", *job.stages, cwd=study, PYTHONPATH=str(checkout / "src"))


def _run(command: tuple[str, ...], cwd: Path, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
    """Run to the end, its output into Ray's logs; Failed with the last of it."""
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    last: deque[str] = deque(maxlen=TOLD_LINES)
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            last.append(line)
            if line.startswith(STARTS):
                tell(line.removeprefix(STARTS).partition("'")[0].rpartition(":")[2])
        code = process.wait()
    finally:  # cancelled: a stage whose dvc is gone ends by itself
        process.kill()
        process.wait()
    if code != 0:
        raise Failed(f"{' '.join(command[:2])} ended with exit code {code}:\n{''.join(last).rstrip()}")
