"""How large each layer's gradients are at each step: one map a run, layers from the input (top) to the output."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from pawprint.diagnostics.gradient_norm import LAYER_PREFIX
from pawprint.figures.style import dress

MAP = "cividis"  # even in lightness: the same in black and white, and for color-blind readers
MAX_NAMES = 24  # of layers that are named on the axis
NOT_FINITE = "#D55E00"
SMALLEST = 1e-30  # what is drawn for a gradient of 0


def layer_gradients_figure(runs: Mapping[str, pd.DataFrame]) -> Figure:
    """`runs`: name → columns step, seed, quantity, value of all seeds; one color scale for all, of geometric means."""
    tables = {name: _table(layers) for name, layers in runs.items()}
    values = np.concatenate([table.to_numpy().ravel() for table in tables.values()])
    sound = values[np.isfinite(values) & (values > 2 * SMALLEST)]
    norm = LogNorm(*np.quantile(sound, [0.005, 0.995])) if len(sound) else LogNorm(1e-3, 1.0)
    n_layers = max(len(table) for table in tables.values())
    height = 1.6 + min(0.19 * n_layers, 6.0)
    figure = Figure(figsize=(1.6 + 4.8 * len(tables), height), layout="constrained")
    for place, (name, table) in enumerate(tables.items()):
        axes = figure.add_subplot(1, len(tables), place + 1)
        axes.set_facecolor(NOT_FINITE)
        steps = table.columns.to_numpy(dtype=float)
        edges = (steps[0] - 0.5, steps[-1] + 0.5, len(table) - 0.5, -0.5)
        image = axes.imshow(table, norm=norm, cmap=MAP, aspect="auto", extent=edges, interpolation="nearest")
        every = max(1, int(np.ceil(len(table) / MAX_NAMES)))
        broken = ": orange, not finite" if table.isna().to_numpy().any() else ""
        dress(axes, "optimizer steps", "", f"{name}{broken}")
        axes.grid(False)
        shown = range(0, len(table), every)
        axes.set_yticks(list(shown), [table.index[i] for i in shown] if place == 0 else [], fontsize=7.5)
    figure.colorbar(image, ax=figure.axes, label="root mean square of a layer's gradients", shrink=0.9, extend="both")
    return figure


def _table(layers: pd.DataFrame) -> pd.DataFrame:
    """(layers, steps): geometric mean over the seeds, 0 as the smallest number; NaN where a seed's is not finite."""
    logs = layers.assign(log=np.log(layers["value"].where(np.isfinite(layers["value"])).clip(lower=SMALLEST)))
    order = list(layers["quantity"].unique())
    by_seed = logs.pivot(index="quantity", columns=["step", "seed"], values="log").loc[order]
    mean = by_seed.T.groupby(level="step").agg(lambda of: of.mean(skipna=False)).T
    return np.exp(mean).set_axis([str(name).removeprefix(LAYER_PREFIX) for name in order], axis=0)
