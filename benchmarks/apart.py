"""Work in a process of its own: what it sets for its process (threads, memory, algorithms) changes nothing else."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from benchmarks.ratio import Work

Make = Callable[..., AbstractContextManager[Work]]


class Apart:
    """Work that another process has made and does when it is told to; in between that process waits."""

    def __init__(self, name: str, process: BaseProcess, pipe: "Connection[None, float]") -> None:
        self.name, self.process, self.pipe = name, process, pipe

    def __call__(self) -> float:
        """Does it once; how long that took there, seconds."""
        self.begin()
        return self.end()

    def begin(self) -> None:
        """Not to wait for it: several may be at work at once."""
        with suppress(BrokenPipeError):  # `end` says why
            self.pipe.send(None)

    def end(self) -> float:
        """RuntimeError where the process ended instead."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionResetError) as fault:
            self.process.join()
            raise RuntimeError(
                f"{self.name}: its process ended with status {self.process.exitcode}; why is said above"
            ) from fault


@contextmanager
def apart(make: Make, *arguments: object) -> Iterator[Apart]:
    """What `make` makes of the arguments, in a process that ends with the block."""
    name = getattr(make, "__name__", str(make))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, make, arguments), name=name)
    process.start()
    theirs.close()
    try:
        with ours:  # at whose end it ends
            yield Apart(name, process, ours)
    finally:
        process.join()


def _work(pipe: "Connection[float, None]", make: Make, arguments: tuple[object, ...]) -> None:
    with make(*arguments) as work, suppress(EOFError):
        while True:
            pipe.recv()
            pipe.send(work())
