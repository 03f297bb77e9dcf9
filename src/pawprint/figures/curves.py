"""Lines over steps or examples: a faint line each seed, a bold one for their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from pawprint.figures.style import color, dress, line_style
from pawprint.types import short_number


@dataclass(frozen=True)
class Line:
    """One line: `x` and `y` of equal length (n,); NaN in `y` leaves a gap."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Curve:
    """What belongs to one entry of the legend."""

    label: str
    mean: Line
    seeds: Sequence[Line]


@dataclass(frozen=True)
class Panel:
    """One pair of axes. All panels of a figure hold the same labels in the same order."""

    title: str
    y_label: str  # with its unit
    curves: Sequence[Curve]
    log_y: bool = False
    as_percent: bool = False  # `y` is a share, shown as percent
    top: float | None = None  # end of the y axis, where a diverging run would squash all others; None: free


class ShortLog(LogFormatter):
    """Labels of a logarithmic axis as short as the variants' names have them, `1e-3`; near 1 plain, `0.5`, `100`."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        if not super().__call__(x, pos):
            return ""
        value = float(f"{x:.2g}")
        return f"{value:g}" if 0.1 <= value < 1000 else short_number(value)


def draw_curves(axes: Axes, panel: Panel, x_label: str) -> None:
    """The panel's curves, each in the color and dashes of its place."""
    for index, curve in enumerate(panel.curves):
        for line in curve.seeds:
            axes.plot(line.x, line.y, color=color(index), linewidth=0.7, alpha=0.3)
        axes.plot(
            curve.mean.x,
            curve.mean.y,
            color=color(index),
            linestyle=line_style(index),
            linewidth=2.0,
            label=curve.label,
        )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    if panel.log_y:
        axes.set_yscale("log", nonpositive="mask")
        axes.yaxis.set_major_formatter(ShortLog(labelOnlyBase=False))
        axes.yaxis.set_minor_formatter(ShortLog(labelOnlyBase=False))
    elif panel.as_percent:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
    if panel.top is not None:
        axes.set_ylim(None if panel.log_y else 0, panel.top)
    dress(axes, x_label, panel.y_label, panel.title)
