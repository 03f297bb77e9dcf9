"""The rate: too large, too small, fallen too early; updates too fast; a curve that is not smooth; a plateau.

*Too large*: the training loss, averaged over a few steps, leaps to LEAP times where it began (Smith 2017 stops a range
test there); or it ends above its beginning; or what validation had learned is lost again by half. *Too small*: the loss
falls from block to block as steadily as a line, and at the pace of the last third would take SLOW times as long again
to come down by half; or it does not move at all though its gradients are as large as in the first step. *Fell too
early*: in the first part of the run the rate comes below a FALLEN-th of its peak while the loss still falls, and from
there on little more is gained. *Updates*: a step changes a layer's weights by more than FAST of their norm, by the
median over the second half; a thousandth is the usual measure. *Not smooth*: the mean training loss
of an epoch, in which a batch's noise is averaged away, or validation's, each time of the same pictures, rises again
and again. *Plateau*: over a fifth of the run and more the loss stays, and before or after it
fell.

Limits: all lines are ours, set on the planted illnesses of docs/diagnostics.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from pawprint.symptoms import UPDATE, Curves, Facts, Remedy, Symptom
from pawprint.symptoms.gradients import starts_high
from pawprint.symptoms.measures import (
    blocks,
    by_epoch,
    by_step,
    change,
    diverged_at,
    end,
    grade,
    of_layers,
    rate,
    short,
    start,
)  # fmt: skip
from pawprint.symptoms.signs import signs

LEAP = 2.5  # times the loss at the beginning
ABOVE = 1.1  # times the loss at the beginning, at the end
LOST = 0.5  # of the best validation accuracy
SLOW = 3.0  # times the run's length, to half the loss
STEADY = -0.9  # correlation of the blocks' means with time
UNMOVED = 0.02  # share of the loss
FALLEN = 10.0
EARLY = 0.45  # share of the steps by which the rate has fallen
FAST = 0.008
RISES, VAL_RISES = 0.05, 0.2  # of the logarithm of the loss from epoch to epoch, a fall counted as 0
FLOOR = 0.02  # of the loss at the beginning: what is below has been learned
FLAT = 0.025  # of the loss, over a plateau
LONG = 0.22  # of the run
FLAT_EPOCHS = 2.5  # a plateau is longer than a slow start


def rate_too_large(curves: Curves, facts: Facts) -> Symptom | None:
    """The loss leaps, ends above where it began, or what was learned is lost again."""
    losses, began = by_step(curves, "training_loss"), start(curves, facts)
    if len(losses) < 3 or not began > 0:
        return None
    level = losses.rolling(window := _window(facts), min_periods=1, center=True).mean()
    highest, middle = float(level.max()), int(level.to_numpy().argmax())
    at = int(losses.iloc[max(0, middle - window // 2) : middle + window // 2 + 1].idxmax())
    leap, ending = highest / began, end(losses) / began
    accuracy = by_epoch(curves, "val_accuracy")
    best, last = (float(accuracy.max()), float(accuracy.iloc[-1])) if len(accuracy) else (0.0, 0.0)
    above_guess = best - (1 / facts.n_classes if facts.n_classes else 0.0)
    is_lost = len(accuracy) > 2 and above_guess > 0.1 and last < LOST * best and ending > 0.7
    sure = max(grade(leap, LEAP, 4 * LEAP), grade(ending, ABOVE, 2 * ABOVE), 0.8 if is_lost else 0.0)
    if not sure:
        return None
    if beyond := starts_high(curves, facts):  # what begins exploded leaps by consequence
        sure = min(sure, 0.9 * beyond)
    said = f"the training loss goes from {began:.3g} up to {highest:.3g} about step {at} and ends at {end(losses):.3g}"
    if is_lost:
        said += f"; validation accuracy had been {best:.2f} and is {last:.2f}"
    numbers = {"leap": leap, "ending": ending, "step": float(at)}
    return Symptom("rate_too_large", sure, said, numbers, lower(curves, facts), at)


def lower(curves: Curves, facts: Facts, by: float = 10.0) -> tuple[Remedy, ...]:
    """A lower rate, one that rises first or falls, and clipping where there is none."""
    current, spec = rate(curves, facts), facts.spec
    remedies = [Remedy("lower the rate", {"lr": short(current / by)} if current else {})]
    if spec is None or spec.scheduler == "none":
        remedies.append(Remedy("let the rate rise at the beginning and fall to the end", {"scheduler": "onecycle"}))
    if spec is None or not spec.clip_norm:
        remedies.append(Remedy("clip the gradients", {"clip_norm": 1.0}))
    return tuple(remedies)


def rate_too_small(curves: Curves, facts: Facts) -> Symptom | None:
    """The loss falls steadily and far too slowly, or not at all though the gradients are there."""
    losses, began = by_step(curves, "training_loss"), start(curves, facts)
    parts = blocks(losses)
    if len(parts) < 5 or not began > 0 or diverged_at(curves):
        return None
    means, ending = parts["mean"].to_numpy(), float(parts["mean"].iloc[-3:].mean())
    fall = (float(means[:2].mean()) - ending) / began
    updates = of_layers(curves, UPDATE)
    if len(updates) and updates.median().median() > 3e-4:
        return None
    if signs(curves.steps, curves.layers) or means.max() > 1.2 * max(began, means[0]):
        return None
    steady = float(np.corrcoef(np.arange(len(means)), means)[0, 1]) if means.std() else 0.0
    third = means[-max(2, len(means) // 3) :]
    pace = max(0.0, float(np.polyfit(np.arange(len(third)), third, 1)[0]) * -len(means)) / began
    needed = (ending / began - 0.5) / pace if pace > 0 else math.inf
    if steady < STEADY and fall > 0 and pace > 0.5 * fall:
        sure = grade(needed, SLOW, 10 * SLOW) if ending > 0.5 * began else 0.0
        said = (
            f"the training loss falls as steadily as a line, {change(began, ending)}; at the last third's pace, half "
            f"of it would take {needed:.0f} times as many steps again (line: {SLOW:g})"
        )
    elif abs(fall) < UNMOVED and (len(updates) or _keeps_its_gradients(curves)):
        sure = 0.9 if len(updates) else 0.6
        said = (
            f"the training loss stays, {change(began, ending)}, though its gradients are as large as at the first step"
        )
    else:
        return None
    if len(updates) and sure:
        said += f"; a step changes the weights by {updates.median().median():.1g} of their norm (usual: 1e-3)"
    numbers = {"fall": fall, "needed": needed}
    current = rate(curves, facts)
    remedies = (Remedy("raise the rate", {"lr": short(current * (10 if fall > 0.1 else 100))} if current else {}),)
    return Symptom("rate_too_small", sure, said, numbers, remedies, int(losses.index[0])) if sure else None


def rate_fell_too_early(curves: Curves, facts: Facts) -> Symptom | None:
    """Progress ends where the schedule lets the rate fall."""
    rates, losses, began = by_step(curves, "learning_rate"), by_step(curves, "training_loss"), start(curves, facts)
    if len(rates) < 10 or len(losses) < 10 or not began > 0:
        return None
    peak_at = rates.idxmax()
    low = rates[(rates.index > peak_at) & (rates < rates.max() / FALLEN)]
    if low.empty or rates.loc[low.index[0] :].max() > rates.max() / FALLEN * 1.5:
        return None
    fell = int(low.index[0])
    share = float((rates.index < fell).mean())
    before, after = losses[losses.index < fell], losses[losses.index >= fell]
    if share > EARLY or len(after) < 5 or before.empty:
        return None
    at_fall, ending = float(before.iloc[-max(1, len(before) // 4) :].mean()), end(losses)
    is_high = ending > 0.15 * began
    gained = (float(after.iloc[: max(2, len(after) // 10)].mean()) - ending) / began
    before_pace = max(0.0, began - at_fall) / began / max(share, 1e-3)
    after_pace = max(0.0, gained) / (1 - share)
    if not is_high or before_pace < 0.1 or after_pace > 0.5 * before_pace:
        return None
    sure = max(0.5, min(1.0, 0.6 + 0.4 * (1 - share / EARLY)))
    said = (
        f"the rate is below a tenth of its peak from step {fell} on, {100 * share:.0f} % of the run, when the training "
        f"loss was {at_fall:.3g}; from there it came to {ending:.3g} only"
    )
    numbers = {"share": share, "loss_at_fall": at_fall, "loss_at_end": ending}
    return Symptom("rate_fell_too_early", sure, said, numbers, (
        Remedy("let the rate fall over the whole run", {"scheduler": "cosine"}),
        Remedy("keep the rate", {"scheduler": "none"}),
    ), fell)  # fmt: skip


def updates_too_fast(curves: Curves, facts: Facts) -> Symptom | None:
    """Weights that change by too large a share of themselves in a step."""
    updates = of_layers(curves, UPDATE)
    if updates.empty:
        return None
    late = updates.iloc[len(updates) // 2 :].median()
    ratio = float(late.median())
    sure = grade(ratio, FAST, 10 * FAST)
    if not sure:
        return None
    layer = str(late.idxmax())
    said = (
        f"a step changes the weights by {ratio:.2g} of their norm (median of the layers, second half; line: {FAST:g}, "
        f"usual: 1e-3), most in {layer}: {float(late.max()):.2g}"
    )
    over = updates[updates.median(axis=1) > FAST]
    remedies = lower(curves, facts, by=10 if ratio > 3 * FAST else 5)
    return Symptom("updates_too_fast", sure, said, {"update_ratio": ratio}, remedies, int(over.index[0]), layer)


def not_smooth(curves: Curves, facts: Facts) -> Symptom | None:
    """The loss rises again and again from epoch to epoch; without epochs, it has spikes."""
    training, validated = by_epoch(curves, "training_loss"), by_epoch(curves, "val_loss")
    began = start(curves, facts)
    if len(training) < 5 or not began > 0:
        return _spikes(curves, facts)
    of_train, of_val = (_rises(losses[losses.index > 0], began, curves) for losses in (training, validated))
    sure = max(grade(of_train.mean(), RISES, 10 * RISES), grade(of_val.mean(), VAL_RISES, 5 * VAL_RISES))
    if not sure or (of_train > 0).sum() + (of_val > 0).sum() < 2:
        return None
    worst = of_train if of_train.mean() / RISES > of_val.mean() / VAL_RISES else of_val
    said = (
        f"from epoch to epoch the training loss rises by {100 * np.expm1(of_train.mean()):.0f} % and validation "
        f"loss by {100 * np.expm1(of_val.mean()):.0f} % (means, a fall counted as 0; lines: "
        f"{100 * np.expm1(RISES):.0f} and {100 * np.expm1(VAL_RISES):.0f} %), most after epoch {worst.idxmax()}"
    )
    numbers = {"training_rise": float(of_train.mean()), "val_rise": float(of_val.mean())}
    return Symptom("not_smooth", sure, said, numbers, _smoother(curves, facts))


def _rises(losses: pd.Series, began: float, curves: Curves) -> pd.Series:
    """By how much the logarithm rises after each epoch but the first quarter; below a FLOOR all losses are one."""
    logs = np.log(losses.clip(lower=FLOOR * began))
    rates = by_step(curves, "learning_rate")
    steps = by_epoch(curves, "step").reindex(losses.index)
    rises = logs.diff().clip(lower=0).iloc[1 + (len(losses) - 1) // 4 :]
    if rates.empty or steps.isna().any():
        return rises
    of_epoch = [float(rates.loc[:step].iloc[-1]) if len(rates.loc[:step]) else 0.0 for step in steps]
    is_restarted = pd.Series(of_epoch, losses.index).pct_change().reindex(rises.index) > 0.5
    return rises[~is_restarted] if not is_restarted.all() else rises.iloc[:0]


def _spikes(curves: Curves, facts: Facts) -> Symptom | None:
    losses = by_step(curves, "training_loss")
    if len(losses) < 60 or end(losses) < 0.05 * start(curves, facts):
        return None
    local = losses.rolling(15, center=True, min_periods=5).median()
    over = losses / local.clip(lower=0.05 * start(curves, facts))
    spikes = over[over > 4]
    share = len(spikes) / len(losses)
    sure = grade(share, 0.03, 0.3)
    if not sure:
        return None
    said = f"{len(spikes)} of {len(losses)} steps have more than 4 times the loss of the steps around them"
    return Symptom("not_smooth", sure, said, {"share": share}, _smoother(curves, facts), int(spikes.index[0]))


def _smoother(curves: Curves, facts: Facts) -> tuple[Remedy, ...]:
    spec, current = facts.spec, rate(curves, facts)
    settings: dict[str, Any] = {"lr": short(current / 3)} if current else {}
    if spec is None or spec.scheduler == "none":
        settings["scheduler"] = "cosine"
    remedies = [Remedy("lower the rate, and let it fall to the end", settings)]
    if spec is not None:
        larger = Remedy("a larger batch", {"batch_size": max(16, 4 * spec.batch_size)})
        remedies.insert(0 if spec.batch_size <= 2 else 1, larger)
    return tuple(remedies)


def plateau(curves: Curves, facts: Facts) -> Symptom | None:
    """A stretch without progress, and a fall before or after it."""
    losses, began = by_step(curves, "training_loss"), start(curves, facts)
    parts = blocks(losses)
    if len(parts) < 10 or not began > 0 or diverged_at(curves):
        return None
    means = parts["mean"].to_numpy()
    first, last = _longest_flat(means, FLAT * began, 0.15 * began)
    share = (last - first) / len(means)
    level, ending = float(means[first : max(last, 1)].mean()), float(means[-2:].mean())
    n_epochs = by_epoch(curves, "val_loss").index.max()
    if share < LONG or level < 0.3 * began or share * n_epochs < FLAT_EPOCHS:
        return None
    if _is_warming_up(curves, parts["step"].iloc[first], parts["step"].iloc[last - 1]):
        return None
    steps = (int(parts["step"].iloc[first]), int(parts["step"].iloc[last]))
    said = (
        f"from step {steps[0]} to {steps[1]}, {100 * share:.0f} % of the run, the training loss stays at {level:.3g}; "
        f"then it falls to {ending:.3g}"
    )
    numbers = {"share": share, "level": level}
    return Symptom("plateau", grade(share, LONG, 0.8), said, numbers, _off_plateau(curves, facts), steps[0])


def _off_plateau(curves: Curves, facts: Facts) -> tuple[Remedy, ...]:
    spec, current = facts.spec, rate(curves, facts)
    remedies = []
    if spec is not None and spec.model == "mlp":
        settings: dict[str, Any] = {"mlp_activation": "relu", "mlp_init": "he"}
        if any(getattr(spec, name) != value for name, value in settings.items()):
            if spec.optimizer == "sgd" and spec.mlp_activation != "relu":
                settings["lr"] = short(spec.lr / 10)  # the gradients that come through are as much larger
            remedies.append(Remedy("ReLU with He's initialization", settings))
    if spec is not None and spec.optimizer == "sgd":
        remedies.append(Remedy("an optimizer with a rate for each weight", {"optimizer": "adam", "lr": 1e-3}))
    return (*remedies, Remedy("raise the rate", {"lr": short(3 * current)} if current else {}))


def _longest_flat(means: np.ndarray, size: float, fall: float) -> tuple[int, int]:
    """The longest stretch [first, last) of blocks that differ by at most `size`, and from which the loss yet falls."""
    best, ending = (0, 0), float(means[-2:].mean())
    for first in range(len(means) - 1):
        last = first + 1
        while last < len(means) and np.ptp(means[first : last + 1]) <= size:
            last += 1
        if last <= len(means) - 2 and means[first:last].mean() - ending >= fall and last - first > best[1] - best[0]:
            best = (first, last)
    return best


def _is_warming_up(curves: Curves, first: int, last: int) -> bool:
    rates = by_step(curves, "learning_rate")
    return len(rates) > 0 and float(rates.loc[first:last].median()) < 0.3 * float(rates.max())


def _keeps_its_gradients(curves: Curves) -> bool:
    norms = by_step(curves, "gradient_norm_total")
    return len(norms) > 0 and 0.5 < end(norms) / float(norms.iloc[: max(1, len(norms) // 10)].mean()) < 2


def _window(facts: Facts) -> int:
    """Steps over which a loss is averaged before it is said to leap: about thirty pictures, at least three."""
    return 3 if facts.spec is None else max(3, round(48 / facts.spec.batch_size))
