"""Why larger batches make an epoch shorter, and which size gets somewhere soonest: a reading of epoch_time.json.

An epoch of n pictures in S steps is taken apart as t = a n + b S: a seconds for each picture, whichever step it is in
(compute), and b seconds for each step, however few pictures it has (overhead: Python, the optimizer's pass over the
weights, the logging). Both come from non-negative least squares over all sizes, of relative errors, so that short
epochs count as much as long ones. Limits: very large batches leave the processor's cache, and one a for all sizes says
nothing of that; how far off the two numbers are is told beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.optimize import nnls

from pawprint import paths
from pawprint.figures.curves import Curve, Line
from pawprint.figures.epoch_time import Epoch, epoch_time_figure
from pawprint.figures.style import png
from pawprint.records import read_record
from pawprint.report.answers import Answer, Chapter, Picture
from pawprint.report.evidence import Evidence

TIMED = "batch_size"  # the variant whose epochs are timed
SHARE_OF_BEST = 0.98  # of the best val accuracy: what is waited for
SMALL_OVERHEAD = 0.1  # of an epoch: a larger batch could make it shorter by no more


@dataclass(frozen=True)
class Timed:
    """One run's epochs, measured."""

    batch_size: int
    steps: int  # of an epoch
    seconds: list[float]  # of an epoch, in each round


@dataclass(frozen=True)
class EpochTimes:
    """What `pawprint.epoch_time` wrote."""

    processor: dict[str, str]
    load_before: float
    n_train: int
    runs: dict[str, Timed]

    @property
    def seconds(self) -> dict[str, float]:
        """run → median seconds of an epoch."""
        return {run: median(timed.seconds) for run, timed in self.runs.items()}


@dataclass(frozen=True)
class Parts:
    """What an epoch's time is made of."""

    per_picture: float  # seconds
    per_step: float  # seconds
    largest_error: float  # share, over the sizes

    def compute(self, n_train: int) -> float:
        return self.per_picture * n_train

    def overhead(self, steps: int) -> float:
        return self.per_step * steps


def read_times(path: Path, again: str) -> EpochTimes:
    return read_record(path, EpochTimes, again)


def parts(times: EpochTimes) -> Parts:
    """Compute and overhead, from all sizes together."""
    steps = np.array([timed.steps for timed in times.runs.values()], dtype=float)
    seconds = np.array(list(times.seconds.values()))
    causes = np.column_stack([np.full_like(steps, times.n_train), steps])
    found, _ = nnls(causes / seconds[:, None], np.ones_like(seconds))
    return Parts(float(found[0]), float(found[1]), float(np.abs(causes @ found / seconds - 1).max()))


def seconds_to(epochs: pd.DataFrame, times: EpochTimes, accuracy: float) -> dict[str, float | None]:
    """run → seconds of training until val accuracy, mean over seeds, reached this; None if it did not.

    `epochs`: columns run, seed, epoch, val_accuracy.
    """
    found: dict[str, float | None] = {}
    for run, seconds in times.seconds.items():
        mean = epochs[epochs["run"] == run].groupby("epoch")["val_accuracy"].mean()
        reached = mean.index[mean >= accuracy]
        found[run] = float(reached[0]) * seconds if len(reached) else None
    return found


def reading(times: EpochTimes, epochs: pd.DataFrame) -> list[str]:
    """What the times say, in sentences."""
    split = parts(times)
    shares = {
        run: split.overhead(timed.steps) / (split.overhead(timed.steps) + split.compute(times.n_train))
        for run, timed in times.runs.items()
    }
    listed = ", ".join(f"{_size(timed, times)} {100 * shares[run]:.0f} %" for run, timed in times.runs.items())
    enough = [run for run, share in shares.items() if share < SMALL_OVERHEAD]
    lines = [
        f"A step costs {1000 * split.per_step:.2g} ms however few pictures it has, and a picture "
        f"{1e6 * split.per_picture:.2g} µs: that is each epoch's time to within {100 * split.largest_error:.0f} %. The "
        f"overhead of the steps is, by batch size, of an epoch: {listed}.",
        "Larger batches run faster because they make fewer steps; what a picture costs is the same in all of them"
        + (f". From {_size(times.runs[enough[0]], times)} on no more than {100 * SMALL_OVERHEAD:.0f} % is left to gain."
           if enough else "."),
    ]  # fmt: skip
    best = epochs.groupby(["run", "epoch"])["val_accuracy"].mean().max()
    waits = seconds_to(epochs, times, SHARE_OF_BEST * best)
    arrived = sorted((seconds, run) for run, seconds in waits.items() if seconds is not None)
    never = [_size(times.runs[run], times) for run, seconds in waits.items() if seconds is None]
    goal = f"{100 * SHARE_OF_BEST * best:.1f} % val accuracy ({100 * SHARE_OF_BEST:.0f} % of the best there was)"
    order = ", ".join(f"{_size(times.runs[run], times)} after {seconds:.2g} s" for seconds, run in arrived)
    lines.append(f"To {goal} came {order}" + (f"; never in these epochs: {', '.join(never)}." if never else "."))
    return lines


def _size(timed: Timed, times: EpochTimes) -> str:
    return "the whole set" if timed.batch_size >= times.n_train else str(timed.batch_size)


def timing_chapter(evidence: Evidence) -> list[Chapter]:
    """How long epochs took on this machine, if that was measured."""
    if not paths.epoch_time().is_file():
        return []
    times = read_times(paths.epoch_time(), "python -m pawprint.epoch_time")
    epochs = evidence.epochs[evidence.epochs["variant"] == TIMED]
    n_rounds = len(next(iter(times.runs.values())).seconds)
    measured = (
        f"Measured on {times.processor['model']}, one thread, median of {n_rounds} rounds; the machine's load before "
        f"was {times.load_before:g}."
    )
    title = "How long does an epoch take at each batch size, what is it made of, and which size gets somewhere soonest?"
    picture = Picture("time", png(_figure(times, epochs)), title)
    answer = Answer("time", title, "measured", [*reading(times, epochs), measured], pictures=[picture])
    return [Chapter("On this machine", [answer])]


def _figure(times: EpochTimes, epochs: pd.DataFrame) -> Figure:
    split = parts(times)
    timed = [
        Epoch(f"{run.batch_size:,}" if run.batch_size < times.n_train else "all", min(run.batch_size, times.n_train),
              run.seconds, split.compute(times.n_train), split.overhead(run.steps))
        for run in times.runs.values()
    ]  # fmt: skip
    curves = []
    for epoch, (run, seconds) in zip(timed, times.seconds.items(), strict=True):
        own = epochs[(epochs["run"] == run) & (epochs["epoch"] > 0)]
        mean = own.groupby("epoch")["training_loss"].mean()
        line = Line(mean.index.to_numpy(dtype=float) * seconds, mean.to_numpy())
        curves.append(Curve(epoch.label, line, []))
    return epoch_time_figure(timed, curves)
