"""Accuracy against confidence: the reliability diagram."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from pawprint.figures.style import COLORS, dress

ACCURACY, COUNTS = COLORS[2], "0.7"


@dataclass(frozen=True)
class Bin:
    """Test pictures of like confidence."""

    start: float  # of the bin
    width: float
    confidence: float  # mean of the probabilities of the predicted class
    accuracy: float
    low: float  # 95 % interval
    high: float
    n_pictures: int


def reliability_figure(bins: Sequence[Bin], ece: float, ece_by_chance: float, title: str) -> Figure:
    """Above: accuracy in each bin against its mean confidence. Below: how many pictures each bin holds."""
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    x = [100 * b.confidence for b in bins]
    y = [100 * b.accuracy for b in bins]
    errors = [[100 * (b.accuracy - b.low) for b in bins], [100 * (b.high - b.accuracy) for b in bins]]
    upper.plot([0, 100], [0, 100], color="0.45", linestyle="--", label="as right as it says")
    upper.errorbar(x, y, yerr=errors, fmt="o-", color=ACCURACY, capsize=3, label="accuracy, 95 % interval")
    upper.annotate("under-confident", (0.04, 0.62), xycoords="axes fraction", fontsize=9, color="0.4")
    upper.annotate("over-confident", (0.7, 0.18), xycoords="axes fraction", fontsize=9, color="0.4")
    dress(upper, "", "accuracy, %", f"{title}\ncalibration error {ece:.3f} (by chance up to {ece_by_chance:.3f})")
    upper.set(xlim=(0, 102), ylim=(0, 104))
    upper.legend(frameon=False, fontsize=9, loc="upper left")
    lower.bar([100 * b.start for b in bins], [b.n_pictures for b in bins], width=[100 * b.width for b in bins],
              align="edge", color=COUNTS, edgecolor="white")  # fmt: skip
    dress(lower, "probability of the predicted class, %", "test pictures", "")
    return figure
