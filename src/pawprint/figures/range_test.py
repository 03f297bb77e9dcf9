"""Loss against learning rate: the curve of a range test, and where the configured rates lie on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pawprint.figures.style import COLORS, dress
from pawprint.types import short_number

WIDTH, TITLE, AXES, BELOW = 9.0, 0.4, 3.1, 1.2  # inches: of the figure; heights of its parts, but for the names
LETTER, STEM = 0.065, 0.25  # inches: a name's height by letter, and that of the line that leads to it
LEFT, RIGHT = 0.08, 0.98  # of the figure
LABEL_GAP = 0.021  # of the axes' width, between names side by side
LONGEST = 30  # letters of a name
CURVE, FAINT = COLORS[2], "0.35"
VERDICTS = {True: (COLORS[4], "sensible"), False: (COLORS[3], "too small or too large"), None: (FAINT, "no verdict")}
MARKERS = ("v", "o", "D", "X")


@dataclass(frozen=True)
class ConfiguredRate:
    """A rate that something is set to train at."""

    name: str
    rate: float
    is_sensible: bool | None  # None: nothing is known


@dataclass(frozen=True)
class RangeCurve:
    """One range test, step by step; arrays of equal length (n,)."""

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray


def range_test_figure(
    curve: RangeCurve,
    sensible: tuple[float, float] | None,
    points: Mapping[str, float],
    configured: Sequence[ConfiguredRate],
    title: str,
) -> Figure:
    """The curve, the sensible rates shaded, `points` (name → rate) on it, and a line for each configured rate."""
    drawn = sorted((c for c in configured if c.rate > 0), key=lambda c: c.rate)
    names = max((STEM + LETTER * len(_label(c)) for c in drawn), default=0.0)
    height = TITLE + names + AXES + BELOW
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((LEFT, BELOW / height, RIGHT - LEFT, AXES / height))
    axes.set_xscale("log")
    if sensible is not None:
        name = f"sensible: {short_rate(sensible[0])} to {short_rate(sensible[1])}"
        axes.axvspan(*sensible, color=VERDICTS[True][0], alpha=0.13, linewidth=0, label=name)
    axes.plot(curve.rates, curve.losses, color=CURVE, alpha=0.35, linewidth=0.9, label="loss of each batch")
    axes.plot(curve.rates, curve.smoothed, color=CURVE, linewidth=2.2, label="smoothed")
    for marker, (name, rate) in zip(MARKERS, points.items(), strict=False):
        height = np.interp(np.log(rate), np.log(curve.rates), curve.smoothed)
        axes.plot(rate, height, marker, color="black", markersize=7, zorder=4, label=f"{name}: {short_rate(rate)}")
    axes.set_ylim(*_heights(curve))
    ends = [*curve.rates[[0, -1]], *(sensible or ()), *(c.rate for c in drawn)]
    axes.set_xlim(min(ends) / 1.5, max(ends) * 1.5)
    dress(axes, "learning rate", "training loss", "")
    _name_rates(axes, drawn)
    figure.suptitle(f"{title}: learning-rate range test", x=LEFT, y=1 - 0.1 / height, ha="left", fontsize=11)
    figure.legend(loc="lower center", ncols=3, frameon=False, fontsize=8.5)
    return figure


def _heights(curve: RangeCurve) -> tuple[float, float]:
    """Ends of the y axis: half as far above the first losses as the curve falls below them."""
    bottom = int(np.argmin(curve.smoothed))
    finite = np.isfinite(curve.losses)
    start, low = float(np.max(curve.losses[: bottom + 1][finite[: bottom + 1]])), float(np.min(curve.losses[finite]))
    fall = max(start - low, 0.02 * abs(start), 1e-6)
    return low - 0.08 * fall, start + 0.5 * fall


def _name_rates(axes: Axes, configured: Sequence[ConfiguredRate]) -> None:
    """A line at each rate, and above it its name, moved aside where names would meet."""
    start, end = np.log(axes.get_xlim())
    wished = [(np.log(c.rate) - start) / (end - start) for c in configured]
    named: set[str] = set()
    for c, x in zip(configured, _apart(wished), strict=True):
        color, verdict = VERDICTS[c.is_sensible]
        label = "_" if verdict in named else f"configured: {verdict}"  # one entry of the legend for all alike
        named.add(verdict)
        axes.axvline(c.rate, color=color, linewidth=1.3, linestyle=(0, (4, 2)), label=label)
        axes.annotate(_label(c), (c.rate, 1), xycoords=axes.get_xaxis_transform(), xytext=(x, 1 + STEM / AXES * 0.7),
                      textcoords="axes fraction", rotation=90, ha="center", va="bottom", fontsize=8.5, color=color,
                      arrowprops={"arrowstyle": "-", "color": color, "relpos": (0.5, 0), "shrinkA": 0, "shrinkB": 0},
                      annotation_clip=False)  # fmt: skip


def _label(configured: ConfiguredRate) -> str:
    name = configured.name if len(configured.name) <= LONGEST else configured.name[: LONGEST - 1] + "…"
    return f"{name}  {short_rate(configured.rate)}"


def _apart(wished: Sequence[float]) -> list[float]:
    """Sorted places moved as little as needed to lie `LABEL_GAP` apart: runs that meet share their mean place."""
    runs: list[list[float]] = []
    for place in wished:
        runs.append([place])
        while len(runs) > 1 and _spread(runs[-2])[-1] + LABEL_GAP > _spread(runs[-1])[0]:
            last = runs.pop()
            runs[-1] += last
    return [place for run in runs for place in _spread(run)]


def _spread(run: Sequence[float]) -> list[float]:
    first = sum(run) / len(run) - LABEL_GAP * (len(run) - 1) / 2
    return [first + LABEL_GAP * i for i in range(len(run))]


def short_rate(rate: float) -> str:
    """To two digits, as the variants' names have it, `1e-3`; near 1 plain, `0.5`."""
    return f"{rate:.2g}" if 0.1 <= rate < 100 else short_number(float(f"{rate:.1e}"))
