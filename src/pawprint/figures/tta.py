"""Accuracy against forward passes: answers averaged over sets of views, in several ways."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from pawprint.figures.interval_curve import Interval
from pawprint.figures.style import COLORS, dress

MARKERS = "os^Dv*"
PLAIN, CHOSEN = COLORS[1], "0.3"
WAYS_APART, SETS_APART = 1.04, 1.25  # factors of the number of passes, so that equal ones are not hidden
LEAST_PERCENT = 4.0  # of accuracy that are shown: less is no difference worth a look


@dataclass(frozen=True)
class Average:
    """A set of views averaged in one way."""

    views: str  # the set's name
    way: str
    n_passes: int  # of a picture
    accuracy: float  # on val, a share
    is_chosen: bool


def tta_figure(averages: Sequence[Average], plain: Interval, title: str) -> Figure:
    """Percentages on val; a place for each set, a marker for each way, and the pictures as they are as a line.

    What is chosen has a circle around it.
    """
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    places = _places(averages)
    ways = list(dict.fromkeys(average.way for average in averages))
    for index, way in enumerate(ways):
        shift = WAYS_APART ** (index - (len(ways) - 1) / 2)
        own = [average for average in averages if average.way == way]
        axes.plot([shift * places[a.views] for a in own], [100 * a.accuracy for a in own], linestyle="none",
                  marker=MARKERS[index % len(MARKERS)], color=COLORS[2 + index], label=way)  # fmt: skip
        for average in own:
            if average.is_chosen:
                axes.plot(shift * places[average.views], 100 * average.accuracy, linestyle="none", marker="o",
                          markersize=13, fillstyle="none", color=CHOSEN)  # fmt: skip
    axes.axhline(100 * plain.accuracy, color=PLAIN, linestyle="--", zorder=1,
                 label=f"as they are, 1 pass ({100 * plain.accuracy:.1f} %)")  # fmt: skip
    _name_sets(axes, averages, places)
    dress(axes, "forward passes a picture", "val accuracy, %", title)
    _scale(axes, averages, plain)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    return figure


def _places(averages: Sequence[Average]) -> dict[str, float]:
    """Where a set stands: at its number of passes, and beside it where several have the same."""
    passes = {average.views: average.n_passes for average in averages}
    places = {}
    for views, n_passes in passes.items():
        equal = [other for other, n in passes.items() if n == n_passes]
        places[views] = n_passes * SETS_APART ** (equal.index(views) - (len(equal) - 1) / 2)
    return places


def _name_sets(axes: Axes, averages: Sequence[Average], places: dict[str, float]) -> None:
    for views, place in places.items():
        highest = max(average.accuracy for average in averages if average.views == views)
        axes.annotate(views, (place, 100 * highest), textcoords="offset points", xytext=(0, 9), ha="center",
                      fontsize=9, zorder=4,
                      bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5})  # fmt: skip


def _scale(axes: Axes, averages: Sequence[Average], plain: Interval) -> None:
    """Passes on a logarithmic axis, named where there are sets; accuracies as near as they lie to each other."""
    passes = sorted({average.n_passes for average in averages})
    percent = [100 * accuracy for accuracy in (plain.accuracy, *(average.accuracy for average in averages))]
    middle, half = (min(percent) + max(percent)) / 2, max(max(percent) - min(percent), LEAST_PERCENT) / 2
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(passes, [str(n) for n in passes])
    axes.set(xlim=(passes[0] / 1.3, passes[-1] * 1.3), ylim=(middle - 1.15 * half, middle + 1.3 * half))
