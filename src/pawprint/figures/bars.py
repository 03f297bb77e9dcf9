"""Final scores: a bar each variant, a point with its interval each seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pawprint.figures.style import PANEL_INCHES, color, dress

ROW_INCHES = 0.5


@dataclass(frozen=True)
class Score:
    """One training's score and the interval around it, all shares."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bar:
    """One variant: the mean (NaN: no bar), and its trainings."""

    label: str
    mean: float
    scores: Sequence[Score]


def bars_figure(bars: Sequence[Bar], title: str, x_label: str) -> Figure:
    """Horizontal bars from zero, the first on top, shares shown as percent."""
    height = max(PANEL_INCHES[1] * 0.6, 1.2 + ROW_INCHES * len(bars))
    figure = Figure(figsize=(PANEL_INCHES[0] + 0.8, height), layout="constrained")
    axes = figure.subplots()
    for index, bar in enumerate(bars):
        axes.barh(index, bar.mean, height=0.72, facecolor=(color(index), 0.35), edgecolor=color(index))
        offsets = [0.44 * (place + 0.5) / len(bar.scores) - 0.22 for place in range(len(bar.scores))]
        for offset, score in zip(offsets, bar.scores, strict=True):
            error = [[score.value - score.low], [score.high - score.value]]
            axes.errorbar(score.value, index + offset, xerr=error, fmt="o", color="black", markersize=3.5,
                          markeredgecolor="white", elinewidth=1.1, capsize=2)  # fmt: skip
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
    dress(axes, x_label, "", title)
    axes.grid(False, axis="y")
    return figure
