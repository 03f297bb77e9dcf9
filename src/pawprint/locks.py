"""One process at a time: locks that end with the process that holds them, however it ends.

The lock is the kernel's (flock, by filelock) on a file that stays; what it holds, the process id of its holder, is for
messages.
"""

import os
from pathlib import Path

from filelock import FileLock, Timeout


class Lock:
    """A lock on `path`, free until `take` or `wait` has it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._lock = path, FileLock(path)

    def take(self) -> bool:
        """Whether it could be had at once."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        self._sign()
        return True

    def wait(self) -> None:
        """Have it, when its holder lets it go or dies."""
        self._lock.acquire()
        self._sign()

    def release(self) -> None:
        self._lock.release()

    def holder(self) -> str:
        """The process id of whoever had it last."""
        return self.path.read_text(encoding="ascii").strip() or "unknown"

    def _sign(self) -> None:
        self.path.write_text(str(os.getpid()), encoding="ascii")
