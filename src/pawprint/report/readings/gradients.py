"""Do gradients explode or vanish, in which layer first, and at which step? What they show, in words.

The rule and its limits stand in `pawprint.symptoms.signs`. A loss that a step threw up to LEAP times the first is told
beside it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pawprint.comparison import RunComparison
from pawprint.report.readings import Reading
from pawprint.symptoms.signs import EXPLODING, OVER_DEPTH, VANISHING, Sign, mean_log, signs

LEAP = 3.0  # times the first step's: the loss was thrown up by a step

REMEDIES = {
    EXPLODING: "clip gradients (`-S clip_norm=1`), lower the rate, or start with a warm-up",
    VANISHING: "lower the rate: the steps have moved the weights to where the loss is flat",
    OVER_DEPTH: "ReLU in place of sigmoid or tanh, He or Xavier initialization, normalization, or residual connections",
}


def gradients(row: RunComparison, steps: pd.DataFrame, layers: pd.DataFrame) -> Reading:
    """One run's reading: `yes`, something is wrong with its gradients; `no`, nothing is."""
    found = signs(steps, layers)
    norm = np.exp(mean_log(steps.pivot(index="step", columns="seed", values="gradient_norm_total")))
    last_third = norm[norm.index > norm.index.max() * 2 / 3]
    size = (
        f"the total norm is {norm.iloc[0]:.3g} at the first step, at most {norm.max():.3g}, and "
        f"{last_third.median():.2g} in the last third (median)"
    )
    leap = _leap(steps) if not any(sign.kind == EXPLODING for sign in found) else []
    if not found:
        return Reading("no", (f"{row.label}: neither exploding nor vanishing: {size}.", *leap))
    sentences = [f"{row.label}: {_told(sign)}; {size}." for sign in found]
    return Reading("yes", (*sentences, *leap), "; ".join(dict.fromkeys(REMEDIES[sign.kind] for sign in found)))


def _told(sign: Sign) -> str:
    if sign.kind == OVER_DEPTH:
        return f"vanishing over depth: the gradients of {sign.layer} are {sign.size:.1g} of the last layer's"
    where = "which layer first is not known (`diagnostics: [layer_gradients]` measures it)"
    if sign.layer is not None:
        where = f"first in {sign.layer}, at step {sign.layer_step}"
    if sign.kind == EXPLODING:
        size = "not finite any more" if np.isinf(sign.size) else f"up to {sign.size:.3g} times the first step's"
        return f"exploding from step {sign.step} on, {size}, {where}"
    return f"vanishing from step {sign.step} on, {sign.size:.2g} of the first step's though little was learned, {where}"


def _leap(steps: pd.DataFrame) -> list[str]:
    """That the loss was thrown up by a step, where it was."""
    loss = steps.groupby("step")["training_loss"].mean()
    if not loss.max() > LEAP * loss.iloc[0]:
        return []
    return [
        f"The training loss leaps from {loss.iloc[0]:.3g} to {loss.max():.3g} at step {int(loss.idxmax())}: it is the "
        "step that is too long, not the gradient."
    ]
