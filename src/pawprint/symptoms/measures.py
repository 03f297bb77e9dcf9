"""What several rules ask of a run's curves: the mean over seeds, where the loss began, how far it has come.

A column that is not there gives an empty series, of which every rule is silent. A value that is not finite counts as
missing here; that a loss was not finite is told by `diverged_at`.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pandas as pd

from pawprint.symptoms import Curves, Facts

N_BLOCKS = 20  # equal stretches of a run whose means are compared: of each a twentieth of the steps
LATE = 0.1  # share of the steps that is the run's end


def by_step(curves: Curves, column: str) -> pd.Series:
    """The column's mean over the seeds by step; steps at which none has a number are left out."""
    return _mean(curves.steps, "step", column)


def by_epoch(curves: Curves, column: str) -> pd.Series:
    """The column's mean over the seeds by epoch, epoch 0 (the untrained model) among them."""
    return _mean(curves.epochs, "epoch", column)


def of_layers(curves: Curves, prefix: str) -> pd.DataFrame:
    """(steps, layers): a quantity's mean over the seeds, the layers in the model's order; empty: not measured."""
    table = curves.layers
    if table.empty:
        return pd.DataFrame()
    own = table[table["quantity"].astype(str).str.startswith(prefix)]
    names = [str(name) for name in own["quantity"].unique()]
    wide = own.replace([np.inf, -np.inf], np.nan).pivot_table(index="step", columns="quantity", values="value")
    return wide.reindex(columns=names).set_axis([name.removeprefix(prefix) for name in names], axis="columns")


def diverged_at(curves: Curves) -> int | None:
    """The first step whose loss is infinite, or is missing at the end of a seed: the loop stops there."""
    if "training_loss" not in curves.steps or curves.steps.empty:
        return None
    steps = curves.steps.sort_values("step")
    ends = steps.groupby("seed").tail(1) if "seed" in steps else steps.tail(1)
    broken = [*steps["step"][np.isinf(steps["training_loss"])], *ends["step"][ends["training_loss"].isna()]]
    return int(min(broken)) if broken else None


def start(curves: Curves, facts: Facts) -> float:
    """The training loss before anything was learned; NaN where there is no loss.

    Validation's of the untrained model, where it is measured in the same unit and agrees with the first batch's, which
    alone says little with a few pictures to a batch.
    """
    losses = by_step(curves, "training_loss")
    validated = by_epoch(curves, "val_loss")
    first = float(losses.iloc[0]) if len(losses) else math.nan
    is_cross_entropy = facts.spec is None or facts.spec.loss == "cross_entropy"
    if is_cross_entropy and len(validated) and validated.index[0] == 0:
        untrained = float(validated.iloc[0])
        if not len(losses) or 0.5 < first / untrained < 2:
            return untrained
    return first


def guessing(curves: Curves, facts: Facts) -> float:
    """The loss of a uniform guess, ln K; of unknown K what the run began with, NaN of another loss."""
    if facts.spec is not None and facts.spec.loss != "cross_entropy":
        return math.nan
    return math.log(facts.n_classes) if facts.n_classes else start(curves, facts)


def end(losses: pd.Series) -> float:
    """The mean over the last steps; NaN where there are none."""
    return float(losses.iloc[-max(1, math.ceil(LATE * len(losses))) :].mean()) if len(losses) else math.nan


def blocks(losses: pd.Series, n: int = N_BLOCKS) -> pd.DataFrame:
    """The means of up to `n` equal stretches and their standard `error`, with the `step` each begins at."""
    if losses.empty:
        return pd.DataFrame({"step": [], "mean": [], "error": []}, dtype=float)
    n = max(1, min(n, len(losses) // 3))
    parts = [part for part in np.array_split(losses.to_numpy(dtype=float), n) if len(part)]
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return pd.DataFrame({
        "step": [losses.index[at] for at in starts],
        "mean": [part.mean() for part in parts],
        "error": [part.std(ddof=1) / math.sqrt(len(part)) if len(part) > 1 else math.inf for part in parts],
    })  # fmt: skip


def is_at_chance(curves: Curves, facts: Facts) -> bool | None:
    """Whether validation never rose clearly above a guess; None where that cannot be known."""
    accuracy = by_epoch(curves, "val_accuracy")
    began = guessing(curves, facts)
    if accuracy.empty or not 0.6 < began < 12:
        return None
    chance = 1 / facts.n_classes if facts.n_classes else math.exp(-began)
    return bool(accuracy.max() < chance + 0.25 * chance + 0.04)


def rate(curves: Curves, facts: Facts) -> float | None:
    """The learning rate that was set, else the highest that was logged; None: neither is known."""
    if facts.spec is not None:
        return facts.spec.lr
    logged = by_step(curves, "learning_rate")
    return float(logged.max()) if len(logged) else None


def short(value: float) -> float:
    """To two digits: a setting to type."""
    return float(f"{value:.2g}")


def grade(value: float, line: float, far: float, upward: bool = True) -> float:
    """How sure: 0.5 at the line, 1 from `far` on, 0 short of the line; between them by the logarithm."""
    if not upward:
        value, line, far = 1 / max(value, 1e-30), 1 / line, 1 / far
    if not value >= line:
        return 0.0
    return 0.5 + 0.5 * min(1.0, math.log(min(value, 1e30) / line) / math.log(far / line))


def change(before: float, after: float) -> str:
    """`2.30 to 0.41`."""
    return f"{before:.3g} to {after:.3g}"


def _mean(table: pd.DataFrame, by: Literal["step", "epoch"], column: str) -> pd.Series:
    if column not in table or by not in table or table.empty:
        return pd.Series(dtype=float)
    values = table[column].astype(float)
    return values.where(np.isfinite(values)).groupby(table[by]).mean().dropna().sort_index()
