"""What is measured of each layer, over the steps: one map a run, layers from the input (top) to the output."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from pawprint.figures.style import dress
from pawprint.types import ACTIVATION, DEAD, GRADIENT, UPDATE

MAP = "cividis"  # even in lightness: the same in black and white, and for color-blind readers
MAX_NAMES = 24  # of layers that are named on the axis
NOT_FINITE = "#D55E00"
SMALLEST = 1e-30  # what is drawn for a gradient of 0
LABELS = {
    GRADIENT: "root mean square of a layer's gradients",
    UPDATE: "a step's change of a layer's weights, by their norm",
    ACTIVATION: "standard deviation of a layer's outputs",
    DEAD: "share of a layer's units that are 0 for every picture",
}


def layers_figure(runs: Mapping[str, pd.DataFrame], quantity: str = GRADIENT) -> Figure:
    """`runs`: name → columns step, seed, quantity, value of all seeds; one color scale for all.

    `quantity` is one of LAYER_QUANTITIES. Sizes are drawn as geometric means, on a logarithmic scale, shares as means.
    """
    tables = {name: _table(layers, quantity) for name, layers in runs.items()}
    norm = Normalize(0, 1) if quantity == DEAD else _logarithmic(list(tables.values()))
    n_layers = max(len(table) for table in tables.values())
    height = 1.6 + min(0.19 * n_layers, 6.0)
    figure = Figure(figsize=(1.6 + 4.8 * len(tables), height), layout="constrained")
    for place, (name, table) in enumerate(tables.items()):
        axes = figure.add_subplot(1, len(tables), place + 1)
        axes.set_facecolor(NOT_FINITE)
        at = edges(table.columns.to_numpy(dtype=float))
        image = axes.pcolormesh(at, np.arange(len(table) + 1) - 0.5, table, norm=norm, cmap=MAP, rasterized=True)
        axes.invert_yaxis()
        every = max(1, int(np.ceil(len(table) / MAX_NAMES)))
        broken = ": orange, not finite" if table.isna().to_numpy().any() else ""
        dress(axes, "optimizer steps", "", f"{name}{broken}")
        axes.grid(False)
        shown = range(0, len(table), every)
        axes.set_yticks(list(shown), [table.index[i] for i in shown] if place == 0 else [], fontsize=7.5)
    ends = "neither" if quantity == DEAD else "both"
    figure.colorbar(image, ax=figure.axes, label="\n".join(wrap(LABELS[quantity], 34)), shrink=0.9, extend=ends)
    return figure


def edges(steps: np.ndarray) -> np.ndarray:
    """Where the columns of a map begin and end, (n + 1,): half-way between the steps at which was measured."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    between = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[steps[0] - (between[0] - steps[0])], between, [steps[-1] + (steps[-1] - between[-1])]])


def _logarithmic(tables: list[pd.DataFrame]) -> Normalize:
    values = np.concatenate([table.to_numpy().ravel() for table in tables])
    sound = values[np.isfinite(values) & (values > 2 * SMALLEST)]
    return LogNorm(*np.quantile(sound, [0.005, 0.995])) if len(sound) else LogNorm(1e-3, 1.0)


def _table(layers: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """(layers, steps): mean over the seeds, of sizes the geometric one; NaN where a seed's is not finite."""
    own = layers[layers["quantity"].str.startswith(quantity)]
    values = own["value"].where(np.isfinite(own["value"]))
    drawn = own.assign(drawn=values if quantity == DEAD else np.log(values.clip(lower=SMALLEST)))
    order = list(own["quantity"].unique())
    by_seed = drawn.pivot(index="quantity", columns=["step", "seed"], values="drawn").loc[order]
    mean = by_seed.T.groupby(level="step").agg(lambda of: of.mean(skipna=False)).T
    table = mean if quantity == DEAD else np.exp(mean)
    return table.set_axis([str(name).removeprefix(quantity) for name in order], axis=0)
