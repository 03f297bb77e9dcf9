"""Accuracy against how strongly pictures were changed, a line for each variant, over its seeds."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pawprint.figures.style import PANEL_INCHES, color, dress, line_style
from pawprint.labels import label

MARKERS = "osD^vP*"
LABELS = {
    "brightness": ("factor of all pixels", "Test accuracy on darker pictures"),
    "rotation": ("degrees counter-clockwise", "Test accuracy on turned pictures"),
}


def strength_figure(table: pd.DataFrame, probe: str) -> Figure:
    """`table`: columns variant, run, seed, strength, test_accuracy with _low and _high (shares).

    The line is the mean over seeds; the bars reach from the lowest end of a seed's 95 % interval to the highest.
    """
    figure = Figure(figsize=PANEL_INCHES, layout="constrained")
    axes = figure.subplots()
    names = pd.Series([label(*pair) for pair in zip(table["variant"], table["run"], strict=True)], table.index)
    strengths = sorted(table["strength"].unique())
    offset = 0.008 * (strengths[-1] - strengths[0])
    for place, name in enumerate(dict.fromkeys(names)):
        of = table[names == name].groupby("strength")
        mean, low, high = of["test_accuracy"].mean(), of["test_accuracy_low"].min(), of["test_accuracy_high"].max()
        x = mean.index.to_numpy() + offset * place  # beside each other, so that bars are not hidden
        axes.errorbar(
            x, 100 * mean, yerr=[100 * (mean - low), 100 * (high - mean)], color=color(place),
            linestyle=line_style(place),
            marker=MARKERS[place % len(MARKERS)], markersize=4, capsize=2, label=name,
        )  # fmt: skip
    x_label, title = LABELS[probe]
    dress(axes, x_label, "test accuracy (%)", title)
    axes.set_xticks(strengths)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure
