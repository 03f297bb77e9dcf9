"""What was measured of one training on its way, and above it what slows it down, window by window."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pawprint.figures.curves import ShortLog
from pawprint.figures.style import COLORS, color, dress, line_style

WEIGHT = "gradient_of_weight_"  # with it begin the quantities that are traces
VERDICT_COLORS: Mapping[str, str] = {
    "descending": COLORS[4],
    "bouncing": COLORS[3],
    "step too small": COLORS[6],
    "saddle": COLORS[5],
    "converged": COLORS[2],
    "flat": COLORS[1],
}
WIDTH, STRIP, PANEL, TITLE = 11.0, 0.55, 3.1, 0.5  # inches: of the figure; heights of its parts
FAINT = "0.55"


def slowness_figure(diagnostics: pd.DataFrame, steps: pd.DataFrame, verdicts: pd.DataFrame, title: str) -> Figure:
    """Of one training: its table of diagnostics, its table of steps, and a row for each window with a verdict.

    Panels of what was not measured stay empty, and say so.
    """
    measured = diagnostics.pivot(index="step", columns="quantity", values="value")
    steps_per_epoch = int((steps["epoch"] == 1).sum())
    measured.index = measured.index / steps_per_epoch
    logged = steps.set_index(steps["step"] / steps_per_epoch)
    figure = Figure(figsize=(WIDTH, TITLE + STRIP + 2 * PANEL), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(STRIP, PANEL, PANEL))
    strip = figure.add_subplot(grid[0, :])
    _draw_verdicts(strip, verdicts, steps_per_epoch)
    panels = [figure.add_subplot(grid[row, column]) for row in (1, 2) for column in (0, 1)]
    _draw_weights(panels[0], measured)
    _draw_gradient(panels[1], measured, logged)
    _draw_curvature(panels[2], measured)
    _draw_stability(panels[3], measured)
    for axes in (strip, *panels):
        axes.set_xlim(0, len(steps) / steps_per_epoch)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def _draw_verdicts(axes: Axes, verdicts: pd.DataFrame, steps_per_epoch: int) -> None:
    starts = (verdicts["first_step"] - 1) / steps_per_epoch
    widths = verdicts["last_step"] / steps_per_epoch - starts
    colors = [VERDICT_COLORS[verdict] for verdict in verdicts["verdict"]]
    axes.barh([0] * len(verdicts), widths, left=starts, height=1, color=colors, alpha=0.35, edgecolor="white")
    for start, width, verdict in zip(starts, widths, verdicts["verdict"], strict=True):
        axes.text(start + width / 2, 0, verdict.replace(" too ", "\ntoo "), ha="center", va="center", fontsize=9)
    axes.set(ylim=(-0.5, 0.5), yticks=[])
    axes.tick_params(labelbottom=False, length=0)
    axes.spines[:].set_visible(False)


def _draw_weights(axes: Axes, measured: pd.DataFrame) -> None:
    """A row for each, all of one scale."""
    names = [column for column in measured if column.startswith(WEIGHT)]
    largest = measured[names].abs().max().max() if names else 0.0
    rows = range(len(names), 0, -1)
    for row, name in zip(rows, names, strict=True):
        height = measured[name] / largest if largest else measured[name]
        axes.plot(measured.index, row + height, color=COLORS[2], linewidth=1.1)
    dress(axes, "epoch", f"unit, pixel; rows {largest:.1g} apart", "gradients of single weights, first layer")
    axes.set_yticks(rows, [name.removeprefix(WEIGHT).replace("_", ", ") for name in names])
    axes.set_ylim(0, len(names) + 1)
    if not names:
        _not_measured(axes)


def _draw_gradient(axes: Axes, measured: pd.DataFrame, logged: pd.DataFrame) -> None:
    axes.plot(logged.index, logged["gradient_norm_total"], color=FAINT, linewidth=0.4, alpha=0.6, label="of each step")
    if "noise_norm" in measured:
        true = measured["gradient_square"].clip(lower=0) ** 0.5
        axes.plot(measured.index, true, color=COLORS[2], linewidth=1.6, label="without noise")
        axes.plot(measured.index, measured["noise_norm"], color=COLORS[3], linestyle=line_style(1), linewidth=1.6,
                  label="noise of a batch")  # fmt: skip
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_major_formatter(ShortLog(labelOnlyBase=False))
    axes.yaxis.set_minor_formatter(ShortLog(labelOnlyBase=False))
    dress(axes, "epoch", "L2 norm", "gradient and its noise")
    _key(axes)


def _draw_curvature(axes: Axes, measured: pd.DataFrame) -> None:
    names = {
        "eigenvalue_max": "largest eigenvalue",
        "curvature_along_gradient": "along the gradient",
        "curvature_along_step": "along the step",
        "eigenvalue_min": "smallest eigenvalue",
    }
    for index, (name, label) in enumerate((n, label) for n, label in names.items() if n in measured):
        axes.plot(measured.index, measured[name], color=color(index), linestyle=line_style(index), linewidth=1.4,
                  label=label)  # fmt: skip
    axes.axhline(0, color=FAINT, linewidth=0.8)
    dress(axes, "epoch", "curvature of the probe's loss", "Hessian")
    _key(axes, n_columns=2)


def _draw_stability(axes: Axes, measured: pd.DataFrame) -> None:
    if "lr_times_eigenvalue" in measured:
        axes.plot(measured.index, measured["lr_times_eigenvalue"], color=COLORS[0], linewidth=1.4,
                  label="learning rate × largest eigenvalue")  # fmt: skip
        bound = measured["stability_bound"].iloc[0]
        if pd.notna(bound):
            axes.axhline(bound, color=COLORS[3], linestyle=line_style(1), linewidth=1.6, label=f"bound, {bound:.2g}")
        axes.plot(measured.index, measured["gradient_cosine"], color=COLORS[6], linewidth=0.9,
                  label="cosine of the gradients before and after a step")  # fmt: skip
    dress(axes, "epoch", "", "stability")
    _key(axes)


def _key(axes: Axes, n_columns: int = 1) -> None:
    """The legend, below the axis."""
    if not axes.get_legend_handles_labels()[0]:
        _not_measured(axes)
        return
    axes.legend(frameon=False, fontsize=8, ncols=n_columns, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _not_measured(axes: Axes) -> None:
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=FAINT)
