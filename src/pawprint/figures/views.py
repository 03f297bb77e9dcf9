"""A sheet of views: a few pictures as they are, and what each augmentation makes of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

CELL_INCHES = 0.9


def views_figure(views: Mapping[str, np.ndarray]) -> Figure:
    """`views`: name → pictures (n, m, H, W, C) uint8, m versions of each of the n; a row a picture."""
    n = len(next(iter(views.values())))
    widths = [versions.shape[1] for versions in views.values()]
    figure = Figure(figsize=(CELL_INCHES * (sum(widths) + 0.15 * len(widths)), CELL_INCHES * n + 0.35))
    groups = figure.subfigures(1, len(views), squeeze=False, width_ratios=widths, wspace=0.01)
    for group, (name, versions) in zip(groups[0], views.items(), strict=True):
        group.suptitle(name, fontsize=10, y=0.99)
        cells = group.subplots(n, versions.shape[1], squeeze=False, gridspec_kw={"wspace": 0.04, "hspace": 0.04})
        group.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=1 - 0.32 / (CELL_INCHES * n + 0.35))
        for axes, picture in zip(cells.ravel(), versions.reshape(-1, *versions.shape[2:]), strict=True):
            axes.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
    return figure
