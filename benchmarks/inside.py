"""What our side of a benchmark spends its time on: torch's operations, new pages, the system.

    python -m benchmarks.inside loader 224            # an epoch's batches at 224 px, on one thread
    python -m benchmarks.inside epoch 64              # an epoch of `epoch` at 64 px
    python -m benchmarks.inside epoch 64 --workers 1
    python -m benchmarks.inside small_model 256       # an epoch of `small_model` at batches of 256

Two epochs warm up, one is timed, with the pages that the process had to be given in it, and one runs under torch's
profiler. A profiled epoch is slower: what it tells is shares.
"""

import argparse
import resource
import tempfile
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from benchmarks import epoch, loader, small_model
from benchmarks.pictures import draw
from benchmarks.ratio import Work

PLACES: dict[str, Collection[int]] = {
    "loader": loader.SIZES,
    "epoch": epoch.PLACES,
    "small_model": small_model.PLACES,
}
OPERATIONS = 8  # the longest


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inside", description=__doc__.split("\n")[0])
    parser.add_argument("benchmark", choices=PLACES)
    parser.add_argument("size", type=int, help="of pictures, pixels; small_model: pictures in a batch")
    parser.add_argument("--workers", type=int, default=0, help="of epoch, which make batches ahead")
    options = parser.parse_args(arguments)
    if options.size not in PLACES[options.benchmark]:
        parser.error(f"{options.size}: {options.benchmark} has {', '.join(map(str, PLACES[options.benchmark]))}")
    if options.workers and options.benchmark != "epoch":
        parser.error(f"--workers {options.workers}: expected none, only epoch has a row with workers")
    with ExitStack() as running:
        fetched = Path(running.enter_context(tempfile.TemporaryDirectory())) / "fetch"
        if options.benchmark == "loader":
            draw(fetched, loader.N_TRAIN)
            work = running.enter_context(loader.ours(fetched, options.size))
        elif options.benchmark == "epoch":
            n_train, _, _ = epoch.PLACES[options.size]
            draw(fetched, n_train)
            work = running.enter_context(epoch.ours(fetched, options.size, options.workers))
        else:
            images, labels = (part[: small_model.PLACES[options.size]] for part in small_model.train_set(None))
            work = running.enter_context(small_model.ours(images, labels, options.size))
        print(look(work))


def look(work: Work, operations: int = OPERATIONS) -> str:
    """How long it takes, what it asks of the system, and the operations that take longest."""
    for _ in range(2):
        work()
    before = resource.getrusage(resource.RUSAGE_SELF)
    seconds = work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    pages, system = after.ru_minflt - before.ru_minflt, after.ru_stime - before.ru_stime
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
    events = sorted(profiled.key_averages(), key=lambda event: event.self_cpu_time_total, reverse=True)
    total = sum(event.self_cpu_time_total for event in events)
    lines = [f"{seconds:.3f} s, of it {system:.3f} s of the system, in which {pages:,} pages were given", ""]
    lines += ["| operation | calls | seconds | share |", "| --- | --: | --: | --: |"]
    lines += [
        f"| {event.key} | {event.count:,} | {event.self_cpu_time_total / 1e6:.3f} "
        f"| {100 * event.self_cpu_time_total / total:.0f} % |"
        for event in events[:operations]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
