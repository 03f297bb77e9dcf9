"""How often the units of each activation fire."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pawprint.figures.style import dress

ROW_INCHES = 0.28
ALIVE, NEARLY, DEAD = "#0072B2", "#E69F00", "#D55E00"
SPREAD = 0.3  # of a row's height, over which its units are spread


@dataclass(frozen=True)
class FiringRow:
    """One activation."""

    label: str
    place: str  # in the network
    percent: Sequence[float]  # of the pictures, by unit


def firing_figure(rows: Sequence[FiringRow], nearly_dead_percent: float, title: str) -> Figure:
    """A row for each activation, first one on top, and in it a point for each unit."""
    figure = Figure(figsize=(9.5, 1.7 + ROW_INCHES * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, row in enumerate(rows):
        percent = np.asarray(row.percent)
        heights = y + np.linspace(-SPREAD, SPREAD, len(percent)) if len(percent) > 1 else np.array([float(y)])
        is_dead = percent == 0
        is_nearly = ~is_dead & (percent < nearly_dead_percent)
        for chosen, color, marker in (
            (~is_dead & ~is_nearly, ALIVE, "."),
            (is_nearly, NEARLY, "^"),
            (is_dead, DEAD, "x"),
        ):
            size = 12 if marker == "." else 28
            axes.scatter(percent[chosen], heights[chosen], s=size, c=color, marker=marker, alpha=0.7,
                         linewidths=0 if marker == "." else 1.2, clip_on=False, zorder=3)  # fmt: skip
        counts = f"{is_dead.sum()} dead, {is_nearly.sum()} nearly, of {len(percent)}"
        axes.annotate(counts, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=8,
                      color=DEAD if is_dead.any() else "0.3")  # fmt: skip
    dress(axes, "test pictures on which a unit fires, %", "", f"{title}: how often each unit fires")
    axes.set_yticks(range(len(rows)), [f"{row.label}\n({row.place})" if len(rows) < 8 else row.label for row in rows])
    axes.tick_params(axis="y", labelsize=8)
    axes.set(xlim=(-2, 102), ylim=(len(rows) - 0.5, -0.5))
    names = ("alive", f"nearly dead: below {nearly_dead_percent:g} %", "dead: never")
    marks = [
        Line2D([], [], color=c, marker=m, linestyle="", label=n)
        for c, m, n in zip((ALIVE, NEARLY, DEAD), (".", "^", "x"), names, strict=True)
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure
