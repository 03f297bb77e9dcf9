"""What came of unlabelled pictures: how many counted, how many were right, how many views agreed; class by class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pawprint.figures.style import color, dress, line_style

PANELS = {
    "mask_rate": "Pictures that count",
    "pseudo_label_accuracy": "Pseudo-labels that are right",
    "agreement": "Views that agree",
}
BAR_SHARE = 0.8  # of a class's place, for the bars of all runs


def pseudo_labels_figure(
    steps: Mapping[str, pd.DataFrame], classes: Mapping[str, pd.DataFrame], places: Mapping[str, int]
) -> Figure:
    """By run: `steps` with the columns step, seed and those of PANELS (shares), averaged over past steps; `classes`
    with the columns class, share (of the pseudo-labels that count) and accuracy (of these, NaN where unknown); `places`
    says which color a run has."""
    figure = Figure(figsize=(11.5, 7.2), layout="constrained")
    grid = figure.add_gridspec(2, len(PANELS))
    curves = [figure.add_subplot(grid[0, place]) for place in range(len(PANELS))]
    for axes, (column, title) in zip(curves, PANELS.items(), strict=True):
        for name, frame in steps.items():
            by_step = frame.groupby("step")[column].mean()
            place = places[name]
            axes.plot(by_step.index, 100 * by_step, color=color(place), linestyle=line_style(place), label=name)
        dress(axes, "optimizer steps", "% of a step's" if column != "pseudo_label_accuracy" else "% of these", title)
        axes.set_ylim(-2, 102)
    below = figure.add_subplot(grid[1, :])
    names = list(next(iter(classes.values()))["class"])
    width = BAR_SHARE / len(classes)
    for number, (name, frame) in enumerate(classes.items()):
        at, place = np.arange(len(names)) - BAR_SHARE / 2 + (number + 0.5) * width, places[name]
        right = frame["share"] * frame["accuracy"].fillna(0)
        below.bar(at, 100 * frame["share"], width, color="white", edgecolor=color(place))
        below.bar(at, 100 * right, width, color=color(place), edgecolor=color(place))
    below.axhline(100 / len(names), color="0.4", linewidth=1, linestyle=(0, (2, 2)))
    dress(below, "", "% of all that count", "Pseudo-labels by class: filled are right; dotted: an even share")
    below.set_xticks(
        range(len(names)), names, rotation=30 if len(names) > 6 else 0, ha="right" if len(names) > 6 else "center"
    )
    figure.legend(
        *curves[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    return figure
