"""Accuracy against the strength of a change to the pictures, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from pawprint.figures.style import COLORS, dress

LINE, FAINT = COLORS[2], "0.45"


@dataclass(frozen=True)
class Interval:
    """Accuracy at one strength, shares; `low` and `high` hold it between them."""

    strength: float
    accuracy: float
    low: float
    high: float


def interval_curve(
    points: Sequence[Interval], change: str, title: str, chance: float, reference: tuple[float, str] | None = None
) -> Figure:
    """Percentages with 95 % intervals, the accuracy of a guess, and a reference's accuracy with its name."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    strengths = [p.strength for p in points]
    percent = [100 * p.accuracy for p in points]
    errors = [[100 * (p.accuracy - p.low) for p in points], [100 * (p.high - p.accuracy) for p in points]]
    axes.errorbar(strengths, percent, yerr=errors, marker="o", color=LINE, capsize=3, label="accuracy, 95 % interval")
    for p in points:
        axes.annotate(f"{100 * p.accuracy:.1f}", (p.strength, 100 * p.high), textcoords="offset points",
                      xytext=(0, 5), ha="center", fontsize=9, color=LINE, zorder=4,
                      bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5})  # fmt: skip
    axes.axhline(100 * chance, color=FAINT, linestyle=":", label=f"a guess ({100 * chance:.1f} %)")
    if reference is not None:
        accuracy, name = reference
        axes.axhline(100 * accuracy, color=COLORS[1], linestyle="--", label=f"{name} ({100 * accuracy:.1f} %)")
    dress(axes, change, "test accuracy, %", title)
    axes.set(ylim=(0, 108), xticks=strengths)
    axes.margins(x=0.1)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    return figure
