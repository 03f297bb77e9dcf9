"""Did a run converge, over-fit or under-fit? A rule over its curves in the second half of the epochs.

Method: a line is fitted to each of three curves over the second half of the epochs, with one slope for all seeds and
a level for each: the logarithm of the training loss (a mean over the epoch), the logarithm of the validation loss,
and the validation accuracy. A curve rises or falls where the slope's 95 % interval leaves out zero and the fitted
line moves, from the half's first epoch to its last, by more than a size that matters (SIZES). A single epoch says
little: validation loss jumps with batch normalization's statistics, and a minimum is chosen for being low.

The rule: *diverged*, where a loss was not finite; *learned by heart*, where the run is no better than a guess, its
training loss has come down and its validation loss has not; *learned nothing*, where it is no better than a guess,
with one seed at least and a training loss that is where it was; *collapsed*, where its validation accuracy ends below
half of what it had been; *over-fits*, where the validation loss rises while the training loss falls; *still
improving*, where the validation loss falls or the accuracy rises; *unsteady*, where neither is seen and the intervals
are so wide that a real change may hide in them; *under-fits*, where nothing moves, the training loss neither, and
that is still more than half of the first step's; else *converged*. With fewer than MIN_EPOCHS in the half, or no
number in it: *cannot tell*.

Limits: with a schedule that lowers the rate to zero every curve ends flat, and flat is then no sign that more epochs
would not help. The intervals take epochs for independent; they are not wholly, which makes them too narrow.
Validation loss that rises while accuracy does not fall is over-confidence: so it is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

MIN_EPOCHS = 3  # in the second half: two points fit any line
SIZES = {"training_loss": 0.02, "val_loss": 0.02, "val_accuracy": 0.005}  # of logarithms, of logarithms, a share
UNSTEADY = {"val_loss": 0.15, "val_accuracy": 0.03}  # half-width of a change in which a real one may hide
LARGE_LOSS = 0.5  # of the first step's: the training has not got far
COLLAPSED = 0.5  # of the best validation accuracy it had, mean over seeds
COME_DOWN, STAYED = 0.9, 0.97  # of the first step's: a loss that has come down, one that is where it was
LEVEL = 0.05

State = Literal[
    "diverged", "learned nothing", "learned by heart", "collapsed", "over-fits", "still improving", "unsteady",
    "under-fits", "converged", "cannot tell",
]  # fmt: skip


@dataclass(frozen=True)
class Seeds:
    """How many trainings there are, and how many of them diverged or are no better than a guess."""

    n: int
    n_diverged: int = 0
    n_at_chance: int = 0


@dataclass(frozen=True)
class Trend:
    """How a curve moves over the second half: by `change`, give or take `half_width` (95 %)."""

    change: float  # of the fitted line from the half's first epoch to its last
    half_width: float
    size: float  # that matters

    @property
    def direction(self) -> int:
        """1 rises, -1 falls, 0 neither."""
        moves = abs(self.change) > max(self.half_width, self.size)
        return int(math.copysign(1, self.change)) if moves else 0


@dataclass(frozen=True)
class Convergence:
    """What a run's curves say. Losses in nats, accuracies as shares, mean over seeds at the last epoch."""

    state: State
    first_epoch: int  # of the half
    last_epoch: int
    first_loss: float  # of the first step, before anything was learned
    training_loss: float
    val_loss: float
    val_accuracy: float
    trends: dict[str, Trend]  # of `SIZES`; empty where there are too few epochs


def convergence(seeds: Seeds, steps: pd.DataFrame, epochs: pd.DataFrame) -> Convergence:
    """`steps` and `epochs`: the run's, of all its seeds, with the columns of `SIZES`."""
    last = int(epochs["epoch"].max())
    first = last - last // 2
    half = epochs[epochs["epoch"] >= max(1, first)]
    ends = epochs[epochs["epoch"] == last]
    trends = {}
    if half["epoch"].nunique() >= MIN_EPOCHS:
        trends = {name: trend(half, name, size) for name, size in SIZES.items()}
    of_last = {name: float(ends[name].mean()) for name in SIZES}
    first_loss = float(steps[steps["step"] == 1]["training_loss"].mean())
    best = float(epochs.groupby("epoch")["val_accuracy"].mean().max())
    state = _state(seeds, first_loss, of_last, best, trends)
    return Convergence(state, first, last, first_loss, **of_last, trends=trends)


def trend(half: pd.DataFrame, column: str, size: float) -> Trend:
    """One slope for all seeds, a level for each; losses as logarithms. Infinitely wide where it cannot be fitted."""
    y = half[column] if column == "val_accuracy" else np.log(half[column].where(half[column] > 0))
    sound = half.assign(y=y).dropna(subset="y")
    centered = sound[["epoch", "y"]] - sound.groupby("seed")[["epoch", "y"]].transform("mean")
    x, y = (centered[name].to_numpy(dtype=float) for name in ("epoch", "y"))
    freedom = len(sound) - sound["seed"].nunique() - 1
    if freedom < 1 or not x.any():
        return Trend(0.0, math.inf, size)
    slope = float(x @ y / (x @ x))
    error = math.sqrt(float(((y - slope * x) ** 2).sum()) / freedom / float(x @ x))
    span = float(sound["epoch"].max() - sound["epoch"].min())
    return Trend(slope * span, float(special.stdtrit(freedom, 1 - LEVEL / 2)) * error * span, size)


def _state(seeds: Seeds, first_loss: float, last: dict[str, float], best: float, trends: dict[str, Trend]) -> State:
    """`last`: the curves after the last epoch; `best`: the highest validation accuracy after any."""
    training_loss, val_loss = last["training_loss"], last["val_loss"]
    if seeds.n_diverged:
        return "diverged"
    if not trends or not math.isfinite(training_loss) or not math.isfinite(first_loss):
        return "cannot tell"
    at_chance = seeds.n_at_chance == seeds.n
    if at_chance and training_loss < COME_DOWN * first_loss and not val_loss < STAYED * first_loss:
        return "learned by heart"
    if at_chance or (seeds.n_at_chance and training_loss > STAYED * first_loss):
        return "learned nothing"
    if last["val_accuracy"] < COLLAPSED * best:
        return "collapsed"
    moves = {name: trend.direction for name, trend in trends.items()}
    if moves["val_loss"] > 0 and moves["training_loss"] < 0:
        return "over-fits"
    if moves["val_loss"] < 0 or moves["val_accuracy"] > 0:
        return "still improving"
    if any(trends[name].half_width > widest for name, widest in UNSTEADY.items()):
        return "unsteady"
    has_stopped = moves["training_loss"] >= 0
    return "under-fits" if has_stopped and training_loss > LARGE_LOSS * first_loss else "converged"
