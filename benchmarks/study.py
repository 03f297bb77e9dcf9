"""What two trainings cost a machine of two cores, as a study runs them and as scripts do.

Ours: two processes side by side with one thread each, as `make repro` has them: a training's bytes depend on the number
of its threads, so that the graph fills cores with trainings. Theirs: the ordinary pattern of `epoch`, two trainings one
after the other in one process, on two threads and with 4 workers. Either may use the whole machine. A process is
started, imports, and has an epoch behind it before the clock runs, which then stands for the trainings of minutes
that studies have; `startup` is what it leaves out.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.epoch import THREADS, ordinary, our_work
from benchmarks.pictures import draw, prepared, train_folder
from benchmarks.ratio import Comparison, Work, in_turn, timed
from benchmarks.threads import threads

PLACES = {64: (320, 3, 0.83), 224: (96, 2, 0.67)}  # side, pixels → pictures of an epoch, repeats, target
TRAININGS = 2
READY, GO, DONE = "ready", "go", "done"


def run() -> list[Comparison]:
    """A comparison for each picture size."""
    return [compare(pixels, *how) for pixels, how in PLACES.items()]


def compare(pixels: int, n_train: int, repeats: int, target: float | None = None) -> Comparison:
    with tempfile.TemporaryDirectory() as folder:
        fetched = Path(folder) / "fetch"
        draw(fetched, n_train)
        prepared(fetched, pixels)
        with ExitStack() as running:

            def started(kind: str) -> "subprocess.Popen[str]":
                return running.enter_context(_process(kind, fetched, pixels))

            ours = [started("ours") for _ in range(TRAININGS)]
            theirs = [started("theirs")]
            works: dict[str, Work] = {
                "ours": timed(lambda: together(ours)),
                "theirs": timed(lambda: in_a_row(theirs)),
            }
            seconds = in_turn(works, repeats)
    name = f"study, {TRAININGS} trainings, an epoch of {n_train} pictures, {pixels} px"
    return Comparison(name, "ImageFolder, 4 workers, in turn", seconds["ours"], seconds["theirs"], target=target)


def together(processes: Sequence["subprocess.Popen[str]"]) -> None:
    """An epoch in each of them at the same time."""
    for process in processes:
        assert process.stdin
        process.stdin.write(f"{GO}\n")
        process.stdin.flush()
    for process in processes:
        expect(process, DONE)


def in_a_row(processes: Sequence["subprocess.Popen[str]"]) -> None:
    """As many epochs, one after the other."""
    for _ in range(TRAININGS):
        together(processes)


def expect(process: "subprocess.Popen[str]", word: str) -> None:
    """RuntimeError where it says something else, or ended."""
    assert process.stdout
    if (said := process.stdout.readline().strip()) != word:
        raise RuntimeError(f"{process.args!r}: expected {word!r}, found {said!r}")


@contextmanager
def _process(kind: str, fetched: Path, pixels: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "benchmarks.study", kind, str(fetched), str(pixels)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        expect(process, READY)
        try:
            yield process
        finally:
            assert process.stdin
            process.stdin.close()  # at which it ends


def main() -> None:
    """One training: an epoch each time it is told to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study")
    parser.add_argument("kind", choices=("ours", "theirs"))
    parser.add_argument("fetched", type=Path)
    parser.add_argument("pixels", type=int)
    options = parser.parse_args()
    data, folder = prepared(options.fetched, options.pixels), train_folder(options.fetched)
    is_ours = options.kind == "ours"
    with threads(1 if is_ours else THREADS):
        epoch = our_work(data, n_threads=1) if is_ours else timed(ordinary(folder, data))
        epoch()
        print(READY, flush=True)
        for _ in sys.stdin:
            epoch()
            print(DONE, flush=True)


if __name__ == "__main__":
    main()
