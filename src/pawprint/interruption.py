"""Being told to stop: Ctrl-C, SIGTERM, or the death of the dvc that started the process.

A signal is answered at once, except inside `uninterrupted()`: there it waits for the end of the block, so that what
belongs together (an optimizer step and the row that tells of it) is done or not done. What is under way may catch
`Interrupted`, save, and raise it again.

A dvc that is killed takes no child with it: its stage would train on as an orphan, beside the next `dvc repro`.
So a stage watches the dvc it was started by, and stops when that is gone.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

WATCH_EVERY_SECONDS = 0.25
GRACE_SECONDS = 3.0  # of an orphan, to save and leave; a save that is cut leaves the one before it

_waiting = 0  # depth of `uninterrupted`
_received: signal.Signals | None = None


class Interrupted(KeyboardInterrupt):
    """Asked to stop by `signal`."""

    def __init__(self, by: signal.Signals) -> None:
        self.signal = by
        super().__init__(f"stopped by {by.name}")

    @property
    def exit_code(self) -> int:
        """As a shell has it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM raise Interrupted inside; a second one, while the first is answered, is not heard."""
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    _received = None
    before = {number: signal.signal(number, _receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received = None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal that comes inside is answered at the end."""
    global _waiting
    _waiting += 1
    try:
        yield
    finally:
        _waiting -= 1
    answer()


def answer() -> None:
    """Raise Interrupted for a signal that is not answered yet: one that waited, or that a library's code swallowed."""
    if _received is not None and not _waiting:
        raise Interrupted(_received)


def stop_when_dvc_is_gone() -> None:
    """Watch the dvc that runs this stage, if one does; Interrupted (SIGTERM) when it has died, and soon the end."""
    if "DVC_STAGE" not in os.environ:
        return
    dvc = next((parent for parent in psutil.Process().parents() if _is_dvc(parent)), None)
    if dvc is not None:
        threading.Thread(target=_watch, args=(dvc,), daemon=True, name="watches dvc").start()


def end_while_starting() -> None:
    """Where dvc runs this stage: until `stoppable`, Ctrl-C ends the process and raises nothing.

    A stage's imports take seconds, and a KeyboardInterrupt that is raised amid them may be caught there: libraries
    try optional imports under a bare `except`, and the stage would go on as if it had not been told to stop.
    """
    if "DVC_STAGE" in os.environ:
        signal.signal(signal.SIGINT, _end)


def end_with(parent: int, grace_seconds: float = 0.0) -> None:
    """For a process that works for another: deaf to Ctrl-C, which is the parent's to answer, and gone when that is.

    SIGTERM means that it is done with; for `grace_seconds` it works on, where the other needs it to stop in order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Not killed by the signal: a DataLoader's worker that was would be a failure.
    signal.signal(signal.SIGTERM, lambda *_: _exit_after(grace_seconds))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_EVERY_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watches its parent").start()


def _exit_after(seconds: float) -> None:
    if not seconds:
        os._exit(0)
    timer = threading.Timer(seconds, os._exit, args=(0,))
    timer.daemon = True
    timer.start()


def _end(number: int, frame: FrameType | None) -> None:
    print(f"{os.environ['DVC_STAGE']}: interrupted while no work was under way", file=sys.stderr, flush=True)
    os._exit(128 + number)


def _receive(number: int, frame: FrameType | None) -> None:
    global _received
    if _received is not None:
        return
    _received = signal.Signals(number)
    if not _waiting:
        raise Interrupted(_received)


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return any(Path(part).name == "dvc" for part in process.cmdline()[:3])  # `dvc`, `python …/dvc`, `python -m dvc`
    except psutil.Error:
        return False


def _watch(dvc: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(WATCH_EVERY_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    for child in psutil.Process().children(recursive=True):  # a tracker's, say, that waits for its service
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(128 + signal.SIGTERM)
