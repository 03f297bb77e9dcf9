"""Downloads that do not hang: whether a site answers at all, asked before, and an end to waiting for one that stalls.

A machine without a network says so in seconds.
"""

import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

REACH_SECONDS = 6.0  # how long a site may take to answer
STALL_SECONDS = 60.0  # how long a download may stand still


def why_unreachable(url: str) -> str | None:
    """Why nothing can be had from `url`, in words; None if it answers.

    Asked in a thread, as a look-up of names knows no time limit.
    """
    failures: list[str] = [f"no answer in {REACH_SECONDS:g} seconds"]

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "pawprint"})
        try:
            urllib.request.urlopen(request, timeout=REACH_SECONDS).close()
            failures.clear()
        except OSError as error:
            failures[:] = [str(error)]

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(REACH_SECONDS)
    return failures[0] if failures else None


@contextmanager
def stall_limit() -> Iterator[None]:
    """Inside, what stands still for STALL_SECONDS raises; torchvision would wait on a dead line for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
