"""Lines over steps or epochs: a thin line each seed, a bold one for their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pawprint.figures.style import PANEL_INCHES, color, dress, line_style

LEGEND_ROWS = 20
LEGEND_COLUMN_INCHES = 1.9


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


def curves_figure(panels: Sequence[Panel], x_label: str) -> Figure:
    """The panels side by side over the same x axis, with one legend to the right of them."""
    labels = [curve.label for curve in panels[0].curves]
    legend_columns = -(-len(labels) // LEGEND_ROWS)
    width = PANEL_INCHES[0] * len(panels) * (0.85 if len(panels) > 1 else 1)
    figure = Figure(figsize=(width + LEGEND_COLUMN_INCHES * legend_columns, PANEL_INCHES[1]), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw(axes, panel)
        dress(axes, x_label, panel.y_label, panel.title)
    handles, names = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, names, title="mean over seeds\n(thin: each seed)", loc="outside right upper",
                  alignment="left", frameon=False, ncols=legend_columns, handlelength=3.5)  # fmt: skip
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    for index, curve in enumerate(panel.curves):
        for line in curve.seeds:
            axes.plot(line.x, line.y, color=color(index), linewidth=0.7, alpha=0.4)
        axes.plot(
            curve.mean.x,
            curve.mean.y,
            color=color(index),
            linestyle=line_style(index),
            linewidth=2.0,
            label=curve.label,
        )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if panel.top is not None:
        axes.set_ylim(0, panel.top)
    if panel.log_y:
        axes.set_yscale("log", nonpositive="mask")
    elif panel.as_percent:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
