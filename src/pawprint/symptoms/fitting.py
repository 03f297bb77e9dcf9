"""Over-fitting, labels that are wrong, under-fitting; converged or not.

*Over-fitting*: validation's loss ends above its minimum by RISEN (a single epoch says little: the minimum is of means
over three) while the training loss fell on by a FELL-th. *Label noise*: the same, and the training loss at validation's
best is still a large part of its beginning, or validation never rose above a guess: what was learned from there on, by
heart, is nothing that pictures share (Arpit et al. 2017, arXiv 1706.05394: patterns first, noise later); and accuracy
comes down with it. *Under-fitting*: the training loss has leveled off and is still high, and validation's is no higher.
*Converged*, or not: `trends`.

Limits: noise of which a tenth is wrong does not show; few pictures and wrong labels both end in learning by heart.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pawprint.symptoms import Curves, Facts, Remedy, Symptom
from pawprint.symptoms.measures import (
    blocks,
    by_epoch,
    by_step,
    diverged_at,
    end,
    grade,
    is_at_chance,
    rate,
    short,
    start,
)  # fmt: skip
from pawprint.symptoms.trends import Convergence, Seeds, convergence

RISEN = 1.15  # validation's loss at the end, against its minimum
FELL = 0.8  # the training loss at the end, against that at validation's minimum
DROP = 0.05  # of validation accuracy, from its best to the end, as a share of the best
STILL = 0.3  # of the first loss, at validation's minimum: most of it was not learned yet
HIGH = 0.4  # of the first loss, at the end: little was learned
LEVEL = 0.02  # change of the training loss over the last third


def over_fitting(curves: Curves, facts: Facts) -> Symptom | None:
    """The training loss falls while the validation loss rises."""
    found = _turned(curves)
    if found is None or label_noise(curves, facts) is not None:
        return None
    epoch, lowest, ending, training_then, training_last = found
    sure = grade(ending / lowest, RISEN, 4 * RISEN)
    said = (
        f"validation loss is lowest after epoch {epoch} ({lowest:.3g}) and ends at {ending:.3g}, while the training "
        f"loss fell from {training_then:.3g} to {training_last:.3g}"
    )
    numbers = {"best_epoch": float(epoch), "rise": ending / lowest, "training_loss": training_last}
    return Symptom("over_fitting", sure, said, numbers, _against_over_fitting(facts, epoch), _step_of(curves, epoch))


def label_noise(curves: Curves, facts: Facts) -> Symptom | None:
    """Train is learned by heart long after validation's loss had its minimum, and costs accuracy."""
    found = _turned(curves)
    began = start(curves, facts)
    accuracy = _smooth(by_epoch(curves, "val_accuracy"))
    if found is None or not began > 0 or len(accuracy) < 5:
        return None
    epoch, lowest, ending, training_then, training_last = found
    at_chance = is_at_chance(curves, facts)
    drop = 1 - float(accuracy.iloc[-1]) / max(float(accuracy.max()), 1e-9)
    gone_on = training_last / training_then
    still = training_then / began
    if not at_chance and (drop < DROP or still < STILL):
        return None
    sure = 0.9 if at_chance else min(1.0, 0.5 + 0.25 * grade(drop, DROP, 4 * DROP) + 0.25 * grade(still, STILL, 1.0))
    said = (
        f"validation loss is lowest after epoch {epoch} ({lowest:.3g}), when the training loss was still "
        f"{training_then:.3g} of {began:.3g} at the beginning; from there the training loss came to "
        f"{training_last:.3g}, validation loss to {ending:.3g}"
    )
    said += (
        ", and validation was never better than a guess"
        if at_chance
        else f", and {100 * drop:.0f} % of validation's accuracy was lost"
    )
    numbers = {"best_epoch": float(epoch), "drop": drop, "training_then": still, "gone_on": gone_on}
    remedies = (
        Remedy("look at the labels: show the training pictures with the highest loss, and correct or drop wrong ones"),
        Remedy("spread a part of each label over all classes", {"label_smoothing": 0.1}),
        Remedy("stop when validation gets no better", {"patience_epochs": 3}),
    )
    return Symptom("label_noise", sure, said, numbers, remedies, _step_of(curves, epoch))


def under_fitting(curves: Curves, facts: Facts) -> Symptom | None:
    """It levels off with a training loss that is still high."""
    losses, began = by_step(curves, "training_loss"), start(curves, facts)
    parts = blocks(losses, 12)
    if len(parts) < 6 or not began > 0 or diverged_at(curves) or _turned(curves) is not None:
        return None
    means, errors = parts["mean"].to_numpy(), parts["error"].to_numpy()
    third = len(means) // 3
    before, last = float(means[-2 * third : -third].mean()), float(means[-third:].mean())
    noise = 2 * float(np.hypot(errors[-2 * third : -third].mean(), errors[-third:].mean())) / np.sqrt(third)
    left = last / began
    moved = (before - last) / began
    if left < HIGH or moved > max(LEVEL, noise / began):
        return None
    sure = grade(left, HIGH, 2 * HIGH) if left < 0.97 else 0.5
    said = (
        f"the training loss has leveled off at {last:.3g} ({before:.3g} in the third before), of {began:.3g} at the "
        "beginning"
    )
    return Symptom("under_fitting", sure, said, {"left": left, "moved": moved}, _against_under_fitting(curves, facts))


def not_converged(curves: Curves, facts: Facts) -> Symptom | None:
    """Still improving at the end."""
    found = _convergence(curves)
    if found is not None and found.trends:
        if found.state != "still improving":
            return None
        moved = found.trends["val_loss"].change
        span = f"epochs {found.first_epoch} to {found.last_epoch}"
        said = f"validation loss goes by {100 * np.expm1(moved):+.0f} % over {span}"
        numbers = {"val_loss_change": moved, "val_accuracy_change": found.trends["val_accuracy"].change}
    else:
        parts = blocks(by_step(curves, "training_loss"), 12)
        if len(parts) < 6:
            return None
        half = parts["mean"].to_numpy()[len(parts) // 2 :]
        moved = float(half[-1] / half[0] - 1)
        if moved > -0.1:
            return None
        said, numbers = (
            f"the training loss fell by {-100 * moved:.0f} % over the second half of the steps",
            {"change": moved},
        )
    more = 2 * facts.spec.epochs if facts.spec else 2 * found.last_epoch if found else None
    remedies = (Remedy("more epochs", {"epochs": more} if more else {}),)
    return Symptom("not_converged", 0.8, said, numbers, remedies)


def converged(curves: Curves, facts: Facts) -> Symptom | None:
    """Leveled off, with something learned."""
    found = _convergence(curves)
    if found is not None and found.trends:
        if found.state != "converged":
            return None
        said = (
            f"validation has leveled off: its loss moves by {100 * np.expm1(found.trends['val_loss'].change):+.0f} % "
            f"over epochs {found.first_epoch} to {found.last_epoch}"
        )
        return Symptom("converged", 0.8, said, {"val_loss_change": found.trends["val_loss"].change})
    losses, began = by_step(curves, "training_loss"), start(curves, facts)
    parts = blocks(losses, 12)
    if len(parts) < 6 or not end(losses) < 0.5 * began:
        return None
    half = parts["mean"].to_numpy()[len(parts) // 2 :]
    moved = float(half[-1] / half[0] - 1)
    if abs(moved) > 0.1:
        return None
    said = f"the training loss moved by {100 * moved:+.0f} % over the second half of the steps"
    return Symptom("converged", 0.5, said, {"change": moved})


def _convergence(curves: Curves) -> Convergence | None:
    """The state as the report has it, without the test set's word on what is no better than a guess."""
    needed = {"seed", "epoch", "training_loss", "val_loss", "val_accuracy"}
    if not needed <= {*curves.epochs.columns} or curves.epochs.empty or "training_loss" not in curves.steps:
        return None
    epochs = curves.epochs.replace([np.inf, -np.inf], np.nan)
    n = int(epochs["seed"].nunique())
    return convergence(Seeds(n, n_diverged=n if diverged_at(curves) else 0), curves.steps, epochs)


def _turned(curves: Curves) -> tuple[int, float, float, float, float] | None:
    """Where validation's loss turned: epoch, its loss then and at the end, the training loss then and at the end."""
    val, training = _smooth(by_epoch(curves, "val_loss")), by_epoch(curves, "training_loss")
    if training.empty and "epoch" in curves.steps:
        training = by_step_of_epoch(curves)
    val = val[val.index > 0]
    training = training.reindex(val.index).dropna()
    if len(training) < 4 or len(val) < 4:
        return None
    epoch = int(val.idxmin())
    lowest, ending = float(val.min()), float(val.iloc[-2:].mean())
    then, last = float(training.loc[:epoch].iloc[-1]), float(training.iloc[-2:].mean())
    if ending < RISEN * lowest or last > FELL * then:
        return None
    return epoch, lowest, ending, then, last


def by_step_of_epoch(curves: Curves) -> pd.Series:
    """The training loss by epoch, from the steps."""
    return by_epoch(Curves(curves.steps, curves.steps[["epoch", "training_loss"]], curves.layers), "training_loss")


def _smooth(values: pd.Series) -> pd.Series:
    """Means over three epochs, of the untrained model and the ends their own."""
    trained = values[values.index > 0]
    return trained.rolling(3, center=True, min_periods=2).mean() if len(trained) > 5 else trained


def _step_of(curves: Curves, epoch: int) -> int | None:
    table = curves.epochs
    if "step" in table:
        own = table.loc[table["epoch"] == epoch, "step"].dropna()
        return int(own.iloc[0]) if len(own) else None
    return None


def _against_over_fitting(facts: Facts, best_epoch: int) -> tuple[Remedy, ...]:
    spec = facts.spec
    remedies = [Remedy("stop when validation gets no better", {"patience_epochs": 3})]
    if spec is not None and spec.patience_epochs:
        remedies = [Remedy("fewer epochs", {"epochs": max(1, best_epoch)})]
    if spec is None or spec.augmentation == "weak":
        remedies.append(Remedy("alter the pictures more", {"augmentation": "strong"}))
    if spec is None or spec.weight_decay == 0:
        remedies.append(Remedy("let weights decay", {"weight_decay": 1e-3}))
    if spec is not None and spec.model in ("mlp", "cnn") and not spec.dropout:
        remedies.append(Remedy("drop units", {"dropout": 0.3}))
    return (*remedies, Remedy("more pictures"))


def _against_under_fitting(curves: Curves, facts: Facts) -> tuple[Remedy, ...]:
    spec, current = facts.spec, rate(curves, facts)
    remedies = []
    if spec is not None:
        if spec.dropout > 0.3:
            remedies.append(Remedy("drop fewer units", {"dropout": 0.0}))
        if spec.weight_decay > 1e-3:
            remedies.append(Remedy("let weights decay less", {"weight_decay": 0.0}))
        if spec.model == "mlp":
            remedies.append(Remedy("wider layers", {"mlp_widths": (max(64, 4 * max(spec.mlp_widths, default=1)),) * 2}))
        if spec.model == "cnn":
            remedies.append(Remedy("more channels", {"cnn_widths": tuple(max(16, 4 * n) for n in spec.cnn_widths)}))
    remedies.append(Remedy("a larger model"))
    return (*remedies, Remedy("raise the rate", {"lr": short(3 * current)} if current else {}))
