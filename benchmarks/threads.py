"""How many threads a piece of work has: torch's number is the process's, so that each side sets its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.ratio import Work


@contextmanager
def threads(n: int) -> Iterator[None]:
    """So many inside, as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def on_threads(n: int, work: Work) -> Work:
    """The same work, always on so many."""

    def on_them() -> float:
        with threads(n):
            return work()

    return on_them
