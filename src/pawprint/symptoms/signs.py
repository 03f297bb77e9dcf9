"""Do gradients explode or vanish, in which layer first, and at which step?

Numbers: at each step the L2 norm of all gradients and, where the run has `diagnostics: [layer_gradients]`, the root
mean square of each layer's, both before clipping. All are taken as logarithms, averaged over the seeds and then over
about SPAN steps, as a single batch's norm says little. The scale is the run's own first step, whose weights are those
of every run with this seed.

*Exploding*: a norm is not finite, or GROWN times the first step's. *Vanishing*: from some step to the end it is below
a SHRUNK-th of the first step's, though the training loss is still near where it began (a network that has learned has
small gradients because it has learned). *Vanishing over depth*: the first layer's gradients are, by the median over
the steps, below a DEEP-th of the last layer's: what reaches the input side is lost on the way (Glorot and Bengio
2010). The layer that comes first is the one that crosses the same line, measured by its own first step, soonest.

Limits: the lines are ours; healthy runs of the studies here stay well within them, planted ones well beyond (tests).
With normalization after each layer the size of a layer's weights cancels, and its gradients shrink as its weights
grow: that too is seen as vanishing, and slows learning as much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pawprint.symptoms import GRADIENT

SPAN = 20  # steps of the moving average
GROWN = 10.0
SHRUNK = 20.0
DEEP = 1000.0
STILL_HIGH = 0.75  # of the first step's training loss: hardly anything was learned
SMALLEST = 1e-30  # what a gradient of 0 counts as: units that died have none

EXPLODING, VANISHING, OVER_DEPTH = "exploding", "vanishing", "vanishing over depth"


@dataclass(frozen=True)
class Sign:
    """One illness, its first step (counted from 1), and the layer that had it first; None: no layer was measured."""

    kind: str
    step: int
    layer: str | None
    layer_step: int | None
    size: float  # of the norm at its extreme, against the first step's; of depth the first layer's against the last's


def signs(steps: pd.DataFrame, layers: pd.DataFrame) -> list[Sign]:
    """`steps` and `layers`: one run's, all seeds; `layers` may be empty, and holds gradients among what else there is.

    Without the column gradient_norm_total, layers alone are judged.
    """
    by_layer = _by_layer(layers)
    if "gradient_norm_total" not in steps or steps.empty:
        return _over_depth(by_layer)
    norm = mean_log(steps.pivot(index="step", columns="seed", values="gradient_norm_total"))
    loss = steps.groupby("step")["training_loss"].mean()
    found = []
    broken = steps[~np.isfinite(steps["gradient_norm_total"]) | ~np.isfinite(steps["training_loss"])]
    grown = _first(_averaged(norm) - norm.iloc[0] > np.log(GROWN))
    if len(broken) or grown is not None:
        first = min(int(at) for at in (*broken["step"], grown) if at is not None)
        layer = _soonest(by_layer, lambda of: _first(~np.isfinite(of) | (_averaged(of) - of.iloc[0] > np.log(GROWN))))
        size = float("inf") if len(broken) else float(np.exp(norm.max() - norm.iloc[0]))
        found.append(Sign(EXPLODING, first, *layer, size))
    elif (step := _last_stretch(_averaged(norm) - norm.iloc[0] < -np.log(SHRUNK))) is not None:
        late = loss[loss.index >= step]
        if late.median() > STILL_HIGH * float(loss.iloc[0]):
            layer = _soonest(by_layer, lambda of: _last_stretch(_averaged(of) - of.iloc[0] < -np.log(SHRUNK)))
            found.append(Sign(VANISHING, step, *layer, float(np.exp(norm[norm.index >= step].median() - norm.iloc[0]))))
    return found + _over_depth(by_layer)


def mean_log(by_seed: pd.DataFrame) -> pd.Series:
    """Mean over the seeds that have a number, 0 as the smallest; NaN where none has."""
    return np.log(by_seed.where(np.isfinite(by_seed)).clip(lower=SMALLEST)).mean(axis=1)


def _over_depth(by_layer: pd.DataFrame) -> list[Sign]:
    if by_layer.shape[1] < 2:
        return []
    medians = by_layer.median()
    first, last = medians.index[0], medians.index[-1]
    ratio = float(np.exp(medians[first] - medians[last]))
    if not ratio < 1 / DEEP:
        return []
    crossed = _first((by_layer[first] - by_layer[last]) < -np.log(DEEP))
    return [Sign(OVER_DEPTH, crossed or 1, first, crossed, ratio)]


def _by_layer(layers: pd.DataFrame) -> pd.DataFrame:
    """Logarithms (steps, layers), mean over seeds, the layers in the model's order."""
    if layers.empty:
        return pd.DataFrame()
    gradients = layers[layers["quantity"].astype(str).str.startswith(GRADIENT)]
    values = {
        str(name).removeprefix(GRADIENT): mean_log(own.pivot(index="step", columns="seed", values="value"))
        for name, own in gradients.groupby("quantity", sort=False)
    }
    return pd.DataFrame(values)


def _averaged(logs: pd.Series) -> pd.Series:
    return logs.ewm(span=SPAN).mean()


def _first(crossed: pd.Series) -> int | None:
    return int(crossed.index[crossed][0]) if crossed.any() else None


def _last_stretch(crossed: pd.Series) -> int | None:
    """The step from which it holds to the end."""
    if not bool(crossed.iloc[-1]):
        return None
    breaks = np.flatnonzero(~crossed.to_numpy())
    return int(crossed.index[breaks[-1] + 1 if len(breaks) else 0])


def _soonest(by_layer: pd.DataFrame, crossing: Callable[[pd.Series], int | None]) -> tuple[str | None, int | None]:
    found = {name: step for name in by_layer if (step := crossing(by_layer[name])) is not None}
    if not found:
        return None, None
    name = min(found, key=lambda of: found[of])
    return str(name), found[name]
