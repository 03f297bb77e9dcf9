"""A training's state on disk while it is under way: saved now and then, so that a killed one goes on.

Two generations are kept: a file that was damaged after it was written is passed over for the one before it. The file
says what it is a state of; one of other settings or other code is never gone on from. Who works on it holds its lock,
so that a training is not done twice at once: the second waits, and takes the result.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from pawprint import paths
from pawprint.errors import PawprintError
from pawprint.locks import Lock
from pawprint.training import checkpoint
from pawprint.training.identity import run_id
from pawprint.types import RunSpec

WANTED = ".wanted-by-"


class Resumable:
    """The place of one training's state. `parts`: its identity, as `training.identity` has it."""

    def __init__(self, spec: RunSpec, parts: dict[str, str]) -> None:
        self.name, self.parts = f"{spec.variant}-{spec.key}", parts
        self.id = run_id(parts)
        self.file = paths.resumable_state(spec.variant, spec.key, self.id)
        self.before = self.file.with_suffix(".before.safetensors")
        self.save_fails = False

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """Inside, another process that comes to the end of this training keeps its state for this one to take."""
        mark = self._mark(os.getpid())
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError as error:
            self._cannot_save(error)
        try:
            yield
        finally:
            with suppress(OSError):
                mark.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, no other process trains the same; waits for one that does."""
        try:
            lock = Lock(paths.lock(self.id))
        except OSError as error:
            self._cannot_save(error)
            yield
            return
        if not lock.take():
            self._say(f"process {lock.holder()} trains the same: waits for its end, and takes its result")
            lock.wait()
        try:
            yield
        finally:
            lock.release()

    def load(self) -> Any | None:
        """The last state that is whole, or None."""
        for file in (self.file, self.before):
            saved = self._read(file)
            if saved is not None:
                return saved["state"]
        for other in self.file.parent.glob(f"{self.name}-*.safetensors"):
            if other not in (self.file, self.before):
                self._say(f"{other}: {self._difference(other)}; left alone")
        return None

    def save(self, state: Any) -> None:
        """Keep `state`, and the one before it. A disk that is full or read-only is told once: the training goes on."""
        try:
            checkpoint.save_state(self.file, {"identity": self.parts, "state": state}, keep=self.before)
        except OSError as error:
            self._cannot_save(error)
        else:
            self.save_fails = False

    @property
    def how_to_go_on(self) -> str:
        """A clause for a training that stops here."""
        if self.save_fails:
            return "nothing was saved: the same command begins again from the last save, if there is one"
        return f"saved in {self.file.parent}: the same command goes on from there"

    def forget(self) -> None:
        """Delete the state: what it led to is written. Kept for a process that waits for it."""
        own, waiting = self._mark(os.getpid()), False
        for mark in self.file.parent.glob(self._mark("*").name):
            if psutil.pid_exists(int(mark.suffix.removeprefix(WANTED))):
                waiting |= mark != own
            else:
                mark.unlink(missing_ok=True)  # of a process that was killed
        cut = self.file.parent.glob(f".{self.file.name}.*")  # what a killed save left
        for file in () if waiting else (self.file, self.before, *cut):
            file.unlink(missing_ok=True)

    def _read(self, file: Path) -> dict[str, Any] | None:
        try:
            saved = checkpoint.read_state(file)
        except FileNotFoundError:
            return None
        except PawprintError as error:
            self._say(f"{error}; passed over")
            return None
        if not isinstance(saved, dict) or saved.get("identity") != self.parts:  # the name says otherwise
            self._say(f"{file}: {self._difference(file)}; passed over")
            return None
        return saved

    def _mark(self, pid: int | str) -> Path:
        return self.file.with_suffix(f"{WANTED}{pid}")

    def _cannot_save(self, error: OSError) -> None:
        if not self.save_fails:
            self._say(f"its state cannot be saved in {self.file.parent} ({error.strerror}); the training goes on; "
                      "killed, it would begin from the last save, if there is one")  # fmt: skip
        self.save_fails = True

    def _say(self, text: str) -> None:
        print(f"{self.name}  {text}", file=sys.stderr, flush=True)

    def _difference(self, file: Path) -> str:
        """What the training of another state is made of that this one is not."""
        try:
            parts = checkpoint.read_state(file)["identity"]
        except (PawprintError, FileNotFoundError, KeyError, TypeError):
            return "no state of a training"
        other = [name for name in {**self.parts, **parts} if self.parts.get(name) != parts.get(name)]
        return f"a state of other {' and '.join(other)}"
