"""How long an epoch takes at each batch size, on this machine: `python -m pawprint.epoch_time [VARIANT]`.

Run in a study's folder, after `dvc repro prepare start resolve`, with nothing else on the machine. Times differ from
machine to machine and from day to day, so this is no stage, and what it writes (runs/epoch_time.json) is no output:
`pawprint report` reads it where it is there.

Of each run of VARIANT (`batch_size`) steps of its own training are timed, on its first seed, in rounds that go through
all sizes in turn, so that a slow minute falls on all; evaluation is no part. The rate is turned down to where no run
diverges, which changes no step's length.
"""

import dataclasses
import os
import statistics
import sys
import time

from pawprint import atomic, paths
from pawprint.data import prepared
from pawprint.errors import PawprintError
from pawprint.machine import processor
from pawprint.objectives import build_objective
from pawprint.params import read_variant
from pawprint.training import loop
from pawprint.training.variant import set_up
from pawprint.types import Data, RunSpec

ROUNDS = 5
FEWEST_STEPS, MOST_STEPS = 5, 1000  # of a round
HARMLESS_RATE = 1e-6


def main(variant: str = "batch_size") -> None:
    """Time the runs of the variant, print a line each, and write the file."""
    data = prepared.load(paths.PREPARED, paths.EXCLUDED)
    of_run: dict[str, RunSpec] = {}
    for spec in read_variant(variant):
        of_run.setdefault(spec.run, spec)  # its first seed
    load = os.getloadavg()[0]
    seconds: dict[str, list[float]] = {run: [] for run in of_run}
    for number in range(ROUNDS + 1):
        for run, spec in of_run.items():
            epoch = seconds_of_epoch(spec, data)
            if number:  # the first round warms up
                seconds[run].append(epoch)
    content = {
        "processor": processor(),
        "load_before": round(load, 2),
        "n_train": len(data.train),
        "runs": {
            run: {"batch_size": spec.batch_size, "steps": steps_of_epoch(spec, data), "seconds": seconds[run]}
            for run, spec in of_run.items()
        },
    }
    atomic.write_json(paths.epoch_time(), content)
    for run, times in seconds.items():
        print(f"{run}: {statistics.median(times):.3g} s an epoch ({min(times):.3g} to {max(times):.3g})")


def seconds_of_epoch(spec: RunSpec, data: Data) -> float:
    """One epoch's seconds, from FEWEST_STEPS to MOST_STEPS steps."""
    training = set_up(dataclasses.replace(spec, lr=HARMLESS_RATE, scheduler="none"), data)
    objective = build_objective(spec, data)
    steps_per_epoch = training.batches.steps_per_epoch
    n_steps = min(MOST_STEPS, max(FEWEST_STEPS, steps_per_epoch))
    batches = training.batches.without_end()
    loop.train_step(training, objective, next(batches), lambda row, step: None)  # standardizes the set, once
    begun = time.perf_counter()
    for _ in range(n_steps):
        loop.train_step(training, objective, next(batches), lambda row, step: None)
    return (time.perf_counter() - begun) * steps_per_epoch / n_steps


def steps_of_epoch(spec: RunSpec, data: Data) -> int:
    """Optimizer steps."""
    return set_up(spec, data).batches.steps_per_epoch


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except PawprintError as error:
        print(f"epoch_time: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
