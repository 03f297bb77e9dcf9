"""One question, one figure: how the runs that answer it were trained, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from pawprint.figures.bars import Bar, draw_scores
from pawprint.figures.curves import Panel, draw_curves

N_COLUMNS = 3
PANEL_INCHES = (3.7, 2.9)  # width, height of one panel
SCORE_INCHES = 0.36  # height of a run's scores: their row of panels is as high as they need
LEGEND_LINE_INCHES = 0.23
TITLE_INCHES = 0.35


def question_figure(title: str, key: str, panels: Sequence[Panel], x_label: str, bars: Sequence[Bar]) -> Figure:
    """The panels over the same x axis, the final scores last, and below them a line of legend for each run.

    `key` says what faint and bold lines are.
    """
    n_rows = -(-(len(panels) + 1) // N_COLUMNS)
    n_runs = len(bars)
    heights = [PANEL_INCHES[1]] * (n_rows - 1) + [max(PANEL_INCHES[1], SCORE_INCHES * (n_runs + 2))]
    height = TITLE_INCHES + sum(heights) + LEGEND_LINE_INCHES * (n_runs + 2)
    figure = Figure(figsize=(PANEL_INCHES[0] * N_COLUMNS, height), layout="constrained")
    all_axes = figure.subplots(n_rows, N_COLUMNS, squeeze=False, height_ratios=heights).ravel()
    for axes, panel in zip(all_axes, panels, strict=False):
        draw_curves(axes, panel, x_label)
    draw_scores(all_axes[len(panels)], bars)
    for axes in all_axes[len(panels) + 1 :]:
        axes.set_axis_off()
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    handles, names = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, names, title=key, loc="outside lower left", alignment="left", frameon=False,
                  handlelength=3.5, fontsize=10)  # fmt: skip
    return figure
