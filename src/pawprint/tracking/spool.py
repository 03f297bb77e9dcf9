"""W&B online, without waiting for it: a training appends its rows to a file, and a process of its own delivers them.

A write to a file takes microseconds whatever the service does. The process (`courier`) follows the file, and ends
with the training that started it. When this process ends, the couriers of its finished trainings have WAIT_SECONDS
left, all together; what has not arrived by then stays in its file, for `pawprint track FILE`.
"""

import atexit
import dataclasses
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from pawprint import paths
from pawprint.errors import PawprintError
from pawprint.tracking.rows import Head, Row, Rows

WAIT_SECONDS = 10.0  # PAWPRINT_WANDB_WAIT_SECONDS wins
FOLLOW_EVERY_SECONDS = 0.2
END = b"null\n"


class Spooled(Rows):
    """A run's rows as JSON lines in `paths.unsent()`: the head, a line for each row, `null` at the end."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        wait_seconds()  # a value that is no number is said now
        self.name, self.file = head.name, paths.unsent(head.run_id)
        self.finished = self.told = False
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)  # not emptied: the courier of a training just killed may still be reading
        self.out = self.file.open("ab", buffering=0)
        self._append(dataclasses.asdict(head))
        self.log = self.file.with_suffix(".log")
        self.courier = _courier(self.file, self.log)
        _UNDER_WAY.append(self)

    def put(self, values: dict[str, float], step: int) -> None:
        self._append([step, values])

    def log_epoch(self, values: dict[str, float], step: int) -> None:
        super().log_epoch(values, step)
        if self.courier.poll() and not self.told:
            _say_what_is_left([self])

    def close(self) -> None:
        self.out.write(END)
        self.out.close()
        self.finished = True

    def stop(self) -> None:
        """End the courier, and W&B's own process below it."""
        if self.courier.poll() is None:
            descendants = psutil.Process(self.courier.pid).children(recursive=True)
            self.courier.kill()
            kill(descendants)
        self.courier.wait()

    def reason(self) -> str:
        """Why not all has arrived: the courier's last words, if it had any."""
        words = self.log.read_text(errors="replace").strip() if self.courier.returncode > 0 else ""
        return words.rpartition("\n")[2] or f"not taken {wait_seconds():g} s after the training's end"

    def _append(self, line: Any) -> None:
        self.out.write(json.dumps(line).encode() + b"\n")


_UNDER_WAY: list[Spooled] = []  # of this process


def _courier(file: Path, log: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "pawprint.tracking.courier", str(file), str(os.getpid())]
    source = os.pathsep.join(filter(None, (str(paths.PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    # A process of W&B's that this one may have started knows the run by its id already, and would refuse it.
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    with log.open("wb") as written:
        return subprocess.Popen(
            command, env={**environment, "PYTHONPATH": source}, stdin=subprocess.DEVNULL, stdout=written, stderr=written
        )


@atexit.register
def settle() -> None:
    """Wait for the couriers of finished trainings, end the others, and say in one line what has not arrived."""
    deadline = time.monotonic() + wait_seconds()
    finished = [spooled for spooled in _UNDER_WAY if spooled.finished]
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        for spooled in finished:
            spooled.courier.wait(max(0.0, deadline - time.monotonic()))
    for spooled in _UNDER_WAY:
        spooled.stop()
    _say_what_is_left([spooled for spooled in finished if spooled.courier.returncode and not spooled.told])
    _UNDER_WAY.clear()


def _say_what_is_left(left: list[Spooled]) -> None:
    if not left:
        return
    names = ", ".join(spooled.name for spooled in left)
    command = shlex.join(["pawprint", "track", *(os.path.relpath(spooled.file) for spooled in left)])
    print(f"W&B: not all of {names} has arrived ({left[0].reason()}); nothing is lost: `{command}` sends it",
          file=sys.stderr)  # fmt: skip
    for spooled in left:
        spooled.told = True


def wait_seconds() -> float:
    found = os.environ.get("PAWPRINT_WANDB_WAIT_SECONDS", WAIT_SECONDS)
    with suppress(ValueError):
        if float(found) >= 0:
            return float(found)
    raise PawprintError(f"PAWPRINT_WANDB_WAIT_SECONDS: expected seconds, found {found!r}")


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def read_spool(file: Path, follow: bool = False) -> tuple[Head, Iterator[Row]]:
    """What `Spooled` wrote; with `follow` also what it is going to write, until the end.

    Without, a last line that a kill or a full disk cut is no line.
    """
    lines = _lines(file, follow)
    try:
        head = Head(**json.loads(next(lines)))
    except (StopIteration, ValueError, TypeError):
        raise PawprintError(f"{file}: expected rows that wait for W&B, found something else") from None
    return head, ((step, values) for step, values in map(json.loads, lines))


def forget(file: Path) -> None:
    """All of it has arrived."""
    for suffix in (".jsonl", ".log", ".lock"):
        file.with_suffix(suffix).unlink(missing_ok=True)


def _lines(file: Path, follow: bool) -> Iterator[bytes]:
    line = b""
    with file.open("rb") as written:
        while True:
            line += written.readline()
            if line == END or not (follow or line.endswith(b"\n")):
                return
            if line.endswith(b"\n"):
                yield line
                line = b""
            else:
                time.sleep(FOLLOW_EVERY_SECONDS)
