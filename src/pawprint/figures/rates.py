"""Error against the learning rate: where each optimizer's best rate lies, and how wide its good range is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from pawprint.figures.curves import Line, ShortLog
from pawprint.figures.style import color, dress, line_style

MARKERS = "osD^vP*X<>hpd8"
SIZE_INCHES = (9.6, 5.0)


@dataclass(frozen=True)
class Rates:
    """Runs that differ in nothing but the learning rate: `line.x` rates, `line.y` errors in percent, NaN: diverged."""

    label: str
    line: Line


def rates_figure(groups: Sequence[Rates], title: str) -> Figure:
    """A line for each group, both axes logarithmic; its lowest error is ringed, and told in the legend."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    for index, group in enumerate(groups):
        rates, errors = group.line.x, group.line.y
        name = f"{group.label}: diverged at each"
        if np.isfinite(errors).any():
            best = int(np.nanargmin(errors))
            name = f"{group.label}: {errors[best]:.1f} % at {rates[best]:.3g}"
            axes.plot(rates[best], errors[best], marker="o", markersize=12, markerfacecolor="none", color=color(index))
        axes.plot(rates, errors, color=color(index), linestyle=line_style(index), label=name, linewidth=1.8,
                  marker=MARKERS[index % len(MARKERS)], markersize=5)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ShortLog(labelOnlyBase=False))
    axes.yaxis.set_minor_formatter(ShortLog(labelOnlyBase=False))
    dress(axes, "learning rate", "validation error (%)", title)
    figure.legend(title="lowest error, ringed", loc="outside right upper", alignment="left", frameon=False,
                  handlelength=3.5)  # fmt: skip
    return figure
