"""How weights, gradients and updates are spread, over the steps: a map for each part of the network and each kind.

A network has too many layers for a map each: those of one part are drawn together. Parts are what the layers' names
say, as finely as there is room for: `layer1.0.conv1` and `layer1.0.bn1` are both of `layer1.0`. Where there is no room
even for the coarsest, neighbors are joined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pawprint.diagnostics.histograms import BINS, EDGES, KINDS
from pawprint.figures.layers import MAP, NOT_FINITE, edges
from pawprint.figures.style import dress

MOST_PARTS = 12
MARKS = {"-1": -1.0, "-1e-4": -1e-4, "1e-4": 1e-4, "1": 1.0}  # on the axis, beside 0
LEGEND = "bright: where most of a part's values lie; orange: some are not finite"
AROUND_ZERO = len(EDGES) // 2  # the bin
COLORS = colormaps[MAP].with_extremes(bad=NOT_FINITE)


def histograms_figure(measured: pd.DataFrame, title: str) -> Figure:
    """`measured`: of one run, all seeds, with the columns step, kind, layer, not_finite and a column for each bin.

    Colors are shares of a part's values at a step, each map from 0 to its largest beside 0 itself.
    """
    of_part = parts(list(measured["layer"].unique()))
    names = list(dict.fromkeys(of_part.values()))
    figure = Figure(figsize=(10.5, 1.2 + 0.85 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), len(KINDS), sharex=True, sharey="col", squeeze=False)
    for kind, column in zip(KINDS, panels.T, strict=True):
        own = measured[measured["kind"] == kind]
        column[0].set_title(kind, loc="left", fontsize=11)
        for name, axes in zip(names, column, strict=True):
            _draw(axes, own[own["layer"].map(of_part) == name])
        _mark(column[0], np.flatnonzero(own[list(BINS)].to_numpy().any(axis=0)))
        column[-1].set_xlabel("optimizer steps")
    for name, axes in zip(names, panels[:, 0], strict=True):
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    figure.suptitle(f"{title}\n{LEGEND}", x=0.01, ha="left", fontsize=9)
    return figure


def parts(layers: Sequence[str]) -> dict[str, str]:
    """Layer → the part of the network that it is drawn with, at most MOST_PARTS of them, in the order of the layers."""
    depth = max(name.count(".") for name in layers) + 1
    while depth > 1 and len({_beginning(name, depth) for name in layers}) > MOST_PARTS:
        depth -= 1
    of_part = {name: _beginning(name, depth) for name in layers}
    neighbors = np.array_split(list(dict.fromkeys(of_part.values())), min(MOST_PARTS, len(set(of_part.values()))))
    joined = {str(name): of[0] if len(of) == 1 else f"{of[0]} – {of[-1]}" for of in neighbors for name in of}
    return {name: joined[part] for name, part in of_part.items()}


def _beginning(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


def _draw(axes: Axes, measured: pd.DataFrame) -> None:
    dress(axes, "", "", axes.get_title(loc="left"))
    axes.grid(False)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if measured.empty:
        return
    counts = measured.groupby("step")[["not_finite", *BINS]].sum()
    values = counts[list(BINS)].to_numpy(dtype=float)
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    shares[counts["not_finite"].to_numpy() > 0] = np.nan
    at = edges(counts.index.to_numpy(dtype=float))
    most = np.nan_to_num(np.delete(shares, AROUND_ZERO, axis=1)).max()
    norm = PowerNorm(0.5, vmin=0, vmax=most or 1, clip=True)
    drawn = np.ma.masked_invalid(shares.T)
    axes.pcolormesh(at, np.arange(len(BINS) + 1), drawn, norm=norm, cmap=COLORS, rasterized=True)


def _mark(axes: Axes, filled: np.ndarray) -> None:
    """Limits and marks of a column's axis, which counts bins; the lowest is bin 0, and EDGES[i] lies at i + 1."""
    if len(filled) == 0:
        axes.set_yticks([])
        return
    axes.set_ylim(filled[0] - 0.5, filled[-1] + 1.5)
    places = {text: int(np.argmin(np.abs(np.array(EDGES) - mark))) + 1.0 for text, mark in MARKS.items()}
    places["0"] = AROUND_ZERO + 0.5
    shown = {text: place for text, place in places.items() if filled[0] <= place <= filled[-1] + 1}
    axes.set_yticks(list(shown.values()), list(shown))
