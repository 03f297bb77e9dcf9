"""Units that answer nothing any more; batch normalization by a handful of pictures.

*Dead units*: in some layer more than MANY of the ReLUs are 0 for every picture of a batch, at the end of the run, and
no fewer than before (Lu et al., arXiv 1903.06733): no gradient passes them. *Tiny batch norm*: with FEW pictures or
fewer to a batch, batch normalization's mean and variance are guesses (Wu and He, arXiv 1803.08494), and what it learns
with them does not hold for the running ones that validation uses. That is read from the settings.
"""

from __future__ import annotations

import math

from pawprint.symptoms import DEAD, Curves, Facts, Remedy, Symptom
from pawprint.symptoms.measures import LATE, grade, of_layers, rate, short

MANY = 0.75
FEW = 4


def dead_units(curves: Curves, facts: Facts) -> Symptom | None:
    """Units that are 0 for every picture, and they become more, or stay many."""
    shares = of_layers(curves, DEAD)
    if shares.empty:
        return None
    first, late = shares.iloc[0], shares.iloc[-max(1, round(LATE * len(shares))) :].mean()
    layer = str(late.idxmax())
    share = float(late[layer])
    sure = grade(share, MANY, 1.0)
    if not sure or share < float(first[layer]) - 0.1:
        return None
    crossed = shares.index[shares[layer] > MANY]
    step = int(crossed[0]) if len(crossed) else None
    said = (
        f"{100 * share:.0f} % of the units of {layer} are 0 for every picture of a batch at the end, "
        f"{100 * first[layer]:.0f} % at the first (line: {100 * MANY:.0f} %), more than that from step {step} on"
    )
    current, spec = rate(curves, facts), facts.spec
    remedies = [Remedy("lower the rate", {"lr": short(current / 10)} if current else {})]
    if spec is not None and spec.model == "mlp":
        remedies.append(Remedy("units that let a little through", {"mlp_activation": "leaky_relu"}))
    if float(first[layer]) > MANY:  # they were dead before the first step
        remedies.insert(0, Remedy("begin with biases of 0, and weights of mean 0"))
        if spec is not None and spec.model == "mlp":
            numbered = tuple(range(1, len(spec.mlp_widths) + 1))
            remedies.insert(0, Remedy("normalize between layers", {"mlp_layer_norm": numbered}))
    numbers = {"share": share, "at_first": float(first[layer])}
    return Symptom("dead_units", sure, said, numbers, tuple(remedies), step, layer)


def tiny_batch_norm(curves: Curves, facts: Facts) -> Symptom | None:
    """Batch normalization by a handful of pictures."""
    spec = facts.spec
    if spec is None or not facts.has_batch_norm or spec.batch_size > FEW:
        return None
    said = f"batch normalization takes its mean and variance of {spec.batch_size} pictures (line: more than {FEW})"
    settings = {"batch_size": 32}
    if facts.n_train and not spec.steps_per_epoch:
        settings["steps_per_epoch"] = math.ceil(facts.n_train / spec.batch_size)
    remedies = (Remedy("a larger batch, for as many steps", settings),)
    sure = 0.95 if spec.batch_size <= FEW // 2 else 0.8
    return Symptom("tiny_batch_norm", sure, said, {"batch_size": float(spec.batch_size)}, remedies, 1)
