"""What two trainings cost a machine of two cores, as a study runs them and as scripts do.

Ours: two processes side by side with one thread each, as `make repro` has them: a training's bytes depend on the number
of its threads, so that the graph fills cores with trainings. Theirs: the ordinary pattern of `epoch`, two trainings one
after the other in one process, on two threads and with 4 workers. Either may use the whole machine. A process is
started, imports, and has an epoch behind it before the clock runs, which then stands for the trainings of minutes
that studies have; `startup` is what it leaves out.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.apart import Apart, apart
from benchmarks.epoch import ordinary, ours, theirs
from benchmarks.pictures import draw, prepared
from benchmarks.ratio import Comparison, Work, in_turn, timed

PLACES = {64: (320, 3, 0.83), 224: (96, 2, 0.67)}  # side, pixels → pictures of an epoch, repeats, target
TRAININGS = 2


def run() -> list[Comparison]:
    """A comparison for each picture size."""
    return [compare(pixels, *how) for pixels, how in PLACES.items()]


def compare(pixels: int, n_train: int, repeats: int, target: float | None = None) -> Comparison:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        fetched = Path(folder) / "fetch"
        draw(fetched, n_train)
        prepared(fetched, pixels)

        def started(make: Callable[..., Any], *arguments: object) -> Apart:
            return running.enter_context(apart(make, fetched, pixels, *arguments))

        side_by_side = [started(ours, 0, 1) for _ in range(TRAININGS)]
        one = started(theirs, ordinary)
        works: dict[str, Work] = {
            "ours": timed(lambda: together(side_by_side)),
            "theirs": timed(lambda: [one() for _ in range(TRAININGS)]),
        }
        seconds = in_turn(works, repeats)
    name = f"study, {TRAININGS} trainings, an epoch of {n_train} pictures, {pixels} px"
    return Comparison(name, "ImageFolder, 4 workers, in turn", seconds["ours"], seconds["theirs"], target=target)


def together(trainings: Sequence[Apart]) -> None:
    """An epoch in each of them at the same time."""
    for training in trainings:
        training.begin()
    for training in trainings:
        training.end()
