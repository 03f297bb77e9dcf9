"""Final scores: each seed with its interval, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pawprint.figures.style import PANEL_INCHES, color, dress

ROW_INCHES = 0.5
MOST_ERRORS = 3.0  # times those of the best run: what is worse by more would press all others together


@dataclass(frozen=True)
class Score:
    """One training's score and the interval around it, all shares."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bar:
    """One run: the mean (NaN: no bar), and its trainings."""

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
        _draw_seeds(axes, index, bar.scores, "black", 0.44)
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    _percent(axes)
    dress(axes, x_label, "", title)
    axes.grid(False, axis="y")
    return figure


def draw_scores(axes: Axes, bars: Sequence[Bar]) -> None:
    """Final scores in a small panel: the runs' labels above their seeds, a vertical stroke for the mean.

    Where a run has more than MOST_ERRORS times the best one's errors, the axis ends before it, and it is told in words.
    """
    left = _left_end(bars)
    for index, bar in enumerate(bars):
        axes.axhline(index - 0.56, color="0.9", linewidth=0.8, zorder=0)
        axes.text(0.01, index - 0.36, bar.label, transform=axes.get_yaxis_transform(), fontsize=8.5, va="center")
        if bar.mean < left:
            axes.text(0.01, index + 0.08, f"◂ {100 * bar.mean:.1f}", transform=axes.get_yaxis_transform(), fontsize=8.5,
                      va="center", color=color(index))  # fmt: skip
            continue
        axes.vlines(bar.mean, index - 0.18, index + 0.34, color=color(index), linewidth=3)
        _draw_seeds(axes, index + 0.08, bar.scores, color(index), 0.4)
    axes.set_ylim(len(bars) - 0.5, -0.6)
    axes.set_xlim(left=left if left > 0 else None)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    _percent(axes)
    dress(axes, "accuracy (%)", "", "Test accuracy, 95 % intervals")


def _left_end(bars: Sequence[Bar]) -> float:
    """A little below the lowest interval of those that are shown; 0 where that is all."""
    best = max((bar.mean for bar in bars if bar.mean == bar.mean), default=1.0)
    shown = [bar for bar in bars if 1 - bar.mean <= MOST_ERRORS * (1 - best)]
    if len(shown) == len(bars) or not shown:
        return 0.0
    lows = [score.low for bar in shown for score in bar.scores]
    highs = [score.high for bar in shown for score in bar.scores]
    return max(0.0, min(lows) - 0.05 * (max(highs) - min(lows)))


def _draw_seeds(axes: Axes, row: float, scores: Sequence[Score], seed_color: str, spread: float) -> None:
    """A point with its interval for each seed, `spread` rows from the first to beyond the last."""
    for place, score in enumerate(scores):
        y = row + spread * ((place + 0.5) / len(scores) - 0.5)
        error = [[score.value - score.low], [score.high - score.value]]
        axes.errorbar(score.value, y, xerr=error, fmt="o", color=seed_color, markersize=3.5,
                      markeredgecolor="white", elinewidth=1.1, capsize=2)  # fmt: skip


def _percent(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
