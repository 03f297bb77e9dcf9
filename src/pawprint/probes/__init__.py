"""Model tests after training: `probes/<name>.py` exposes `Settings` and `run(subject, settings) -> Finding`.

What the probes that alter pictures share stands here as well. The interval of a share is Wilson's, at 95 % (1927, JASA
22:209): the test set's sampling error. Whether an alteration costs anything is asked of the same pictures altered and
as they are, by McNemar's exact test (1947, Psychometrika 12:153) at 5 %, divided by the number of alterations
(Bonferroni).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from scipy.stats import binomtest
from torch import nn

from pawprint.data.batches import standardize, unit_range
from pawprint.data.statistics import Statistics
from pawprint.figures.interval_curve import Interval
from pawprint.training.evaluate import evaluate
from pawprint.types import Data, Evaluation

LEVEL = 0.05  # chance of seeing a loss by any alteration where there is none
Area = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class ProbeSubject:
    """A trained model and the data it was trained on; probes measure, they change nothing.

    `data.mean` and `data.std` are what the test set is standardized by. `right` is what training's pictures were; None:
    the statistics of train's pixels.
    """

    name: str  # for titles
    data: Data
    model: nn.Module
    right: Statistics | None = None

    @cached_property
    def unaltered(self) -> Evaluation:
        """The answers to the test set as it is: one forward pass for all probes."""
        return evaluate(self.model, self.data.test, self.data)

    def fed(self, rows: Sequence[int]) -> torch.Tensor:
        """These of the test pictures as the model is fed them, (B, C, H, W) on its device."""
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        return standardize(unit_range(self.data.test.images[list(rows)]).to(device), self.data)

    def recognized(self, alter: Callable[[torch.Tensor], torch.Tensor] | None = None) -> np.ndarray:
        """Which test pictures are recognized, as they are or altered, (N,) bool.

        `alter` changes pictures (B, C, H, W) in [0, 1].
        """
        answers = evaluate(self.model, self.data.test, self.data, alter) if alter else self.unaltered
        return answers.probabilities.argmax(axis=1) == self.data.test.labels


@dataclass(frozen=True)
class Altered(Interval):
    """The answers to pictures altered at one strength, beside those to the pictures as they are."""

    is_altered: bool  # False: the pictures as they are, for the curve
    change: float  # in accuracy, below 0: fewer are recognized
    p: float  # McNemar's, two-sided: that as many are recognized either way

    @property
    def numbers(self) -> dict[str, float]:
        """Of a Finding; the name ends in the strength."""
        name = f"accuracy_{self.strength:g}"
        return {name: self.accuracy, f"{name}_low": self.low, f"{name}_high": self.high}


def wilson(n_right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share; it holds the share itself, which rounding would else leave out at 0 and 1."""
    interval = binomtest(n_right, n).proportion_ci(0.95, method="wilson")
    return min(float(interval.low), n_right / n), max(float(interval.high), n_right / n)


def altered(strength: float, recognized: np.ndarray, unaltered: np.ndarray, is_altered: bool = True) -> Altered:
    """What `recognized` (N,) bool says of a strength; `unaltered` (N,) is of the same pictures as they are."""
    low, high = wilson(int(recognized.sum()), len(recognized))
    n_lost, n_won = int((unaltered & ~recognized).sum()), int((recognized & ~unaltered).sum())
    p = float(binomtest(n_lost, n_lost + n_won).pvalue) if n_lost + n_won else 1.0
    change = (n_won - n_lost) / len(recognized)
    return Altered(strength, float(recognized.mean()), low, high, is_altered, change, p)


def losing(points: Sequence[Altered]) -> list[Altered]:
    """Those at which fewer pictures are recognized than as they are, beyond chance."""
    n_alterations = sum(point.is_altered for point in points)
    return [point for point in points if point.change < 0 and point.p < LEVEL / n_alterations]


def area_under(curve: Sequence[Interval]) -> float:
    """The area under a curve as drawn, by the range of its strengths: between 0 and 1."""
    strengths = [point.strength for point in curve]
    return float(np.trapezoid([point.accuracy for point in curve], strengths)) / (strengths[-1] - strengths[0])


def drops(curve: Sequence[Interval]) -> dict[str, float]:
    """The accuracy lost from each strength to the next, in the order of `curve`."""
    return {f"drop_{a.strength:g}_to_{b.strength:g}": a.accuracy - b.accuracy for a, b in pairwise(curve)}


def is_guess(point: Interval, data: Data) -> bool:
    """Whether guessing between the classes would do as well."""
    return point.low <= 1 / len(data.class_names) <= point.high


def judged(area: float, least: float | None, what: str = "area under the curve") -> tuple[bool | None, str]:
    """Whether `area` is enough, and the limit in words; without a least one it is a measurement."""
    if least is None:
        return None, "none: a measurement"
    return area >= least, f"{what} at least {least:g}"


def remedy_of_loss(remedy: str, lost: Sequence[object], passed: bool | None) -> str | None:
    """`remedy` where something is lost; what is low without a loss is so for the pictures as they are."""
    if lost:
        return remedy
    return None if passed is not False else "the pictures as they are, are recognized no better: begin there"
