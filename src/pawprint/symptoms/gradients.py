"""Exploding and vanishing: by the signs of `signs`, and by what the weights that a training begins with make of a loss.

*Exploding*: the signs' own; or, before any step, a loss of the untrained network STARTS_HIGH times that of a uniform
guess, ln K: its weights or its inputs are so large that the answers are far from even (Glorot and Bengio 2010). That
needs the number of classes; without it, a first loss above SURELY_HIGH is of no task with as many as a million
classes. A norm that grows while the loss comes down well below its beginning is a network that wakes up, no explosion.

*Vanishing*: the signs' own, over depth only where little was learned: with normalization a first layer may live on
small gradients.
"""

from __future__ import annotations

import math

import numpy as np

from pawprint.symptoms import ACTIVATION, Curves, Facts, Remedy, Symptom
from pawprint.symptoms.measures import by_step, diverged_at, end, grade, guessing, of_layers, rate, short, start
from pawprint.symptoms.signs import DEEP, EXPLODING, GROWN, OVER_DEPTH, SHRUNK, VANISHING, Sign, signs

STARTS_HIGH = 2.0  # times ln K; torch's own initial weights begin at 1.0 to 1.3 times
SURELY_HIGH = 14.0  # nats: ln of a million classes
LEARNED = 0.8  # of the first loss: below it, gradients that grow are of a network that wakes up


def exploding(curves: Curves, facts: Facts) -> Symptom | None:
    """A loss or norm that is not finite, a norm that grew tenfold, or a network that begins beyond any guess."""
    diverged = diverged_at(curves)
    found = next((sign for sign in signs(curves.steps, curves.layers) if sign.kind == EXPLODING), None)
    losses = by_step(curves, "training_loss")
    if found is None and diverged is None:
        return _starts_high(curves, facts)
    if diverged is None and found is not None and end(losses) < LEARNED * start(curves, facts):
        return _starts_high(curves, facts)
    step = min(at for at in (diverged, found.step if found else None) if at is not None)
    size = found.size if found else math.inf
    if math.isfinite(size):
        said = f"the gradients' norm grew to {size:.3g} times the first step's from step {step} on (line: {GROWN:g})"
    else:
        said = f"loss or gradients are not finite from step {diverged or step} on"
    where = f", first in {found.layer} at step {found.layer_step}" if found and found.layer else ""
    sure = 1.0 if not math.isfinite(size) else grade(size, GROWN, 1000 * GROWN)
    numbers = {"growth": size, "step": float(step)}
    layer = found.layer if found else None
    return Symptom("exploding", sure, said + where, numbers, _against_explosion(curves, facts), step, layer)


def starts_high(curves: Curves, facts: Facts) -> float:
    """How sure it is that the untrained network's loss is beyond that of a guess; 0: it is not, or another loss."""
    if facts.spec is not None and facts.spec.loss != "cross_entropy":
        return 0.0
    return grade(start(curves, facts) / _even(curves, facts), STARTS_HIGH, 10 * STARTS_HIGH)


def _even(curves: Curves, facts: Facts) -> float:
    return guessing(curves, facts) if facts.n_classes else SURELY_HIGH / STARTS_HIGH


def _starts_high(curves: Curves, facts: Facts) -> Symptom | None:
    sure = starts_high(curves, facts)
    if not sure:
        return None
    began, even = start(curves, facts), _even(curves, facts)
    said = f"the loss begins at {began:.3g}, {began / even:.1f} times that of an even guess ({even:.3g})"
    outputs = of_layers(curves, ACTIVATION)
    layer, grows = None, True
    if not outputs.empty:
        grown = outputs.iloc[0]
        layer = str(grown.index[int(np.argmax(grown > 10))]) if (grown > 10).any() else None
        grows = bool(grown.iloc[-1] > grown.iloc[0])
        said += f"; the layers' outputs have standard deviations of {grown.iloc[0]:.2g} to {grown.iloc[-1]:.2g}"
    remedies = [Remedy("standardize the pictures: each channel to mean 0 and standard deviation 1")]
    if facts.spec is not None and facts.spec.model == "mlp" and facts.spec.mlp_init != "he":
        # Outputs that grow from layer to layer are the weights'; large ones from the first layer on are the pictures'.
        remedies.insert(0 if grows else 1, Remedy("draw the initial weights by He's rule", {"mlp_init": "he"}))
    numbers = {"first_loss": began, "of_guess": began / even}
    return Symptom("exploding", sure, said, numbers, (*remedies, *_against_explosion(curves, facts)), 1, layer)


def _against_explosion(curves: Curves, facts: Facts) -> tuple[Remedy, ...]:
    current, spec = rate(curves, facts), facts.spec
    remedies = [Remedy("lower the rate", {"lr": short(current / 10)})] if current else []
    if spec is None or not spec.clip_norm:
        # A step of Adam has the size of the rate whatever the gradient's; of SGD it has the gradient's.
        both = {"clip_norm": 1.0} | ({"lr": short(current / 10)} if current else {})
        clip = Remedy("clip the gradients, and lower the rate", both)
        remedies.insert(0 if spec and spec.optimizer == "sgd" else len(remedies), clip)
    if spec is None or spec.scheduler == "none":
        remedies.append(Remedy("let the rate rise at the beginning", {"scheduler": "warmup"}))
    return tuple(remedies)


def vanishing(curves: Curves, facts: Facts) -> Symptom | None:
    """Gradients that are lost over depth or over time, though little was learned."""
    found = [sign for sign in signs(curves.steps, curves.layers) if sign.kind in (VANISHING, OVER_DEPTH)]
    losses = by_step(curves, "training_loss")
    if not found or (len(losses) and end(losses) < LEARNED * start(curves, facts)):
        return None
    over_depth = next((sign for sign in found if sign.kind == OVER_DEPTH), None)
    return _over_depth(over_depth, facts) if over_depth else _over_time(found[0], curves, facts)


def _over_depth(sign: Sign, facts: Facts) -> Symptom:
    said = f"the gradients of {sign.layer} are {sign.size:.1g} of the last layer's (median; line: 1/{DEEP:g})"
    sure = grade(sign.size, 1 / DEEP, 1e-7, upward=False)
    remedies = [Remedy("normalize between layers, or put residual connections around them")]
    spec = facts.spec
    if spec is not None and spec.model == "mlp":
        settings = {"mlp_init": "he"} | ({} if spec.mlp_activation == "relu" else {"mlp_activation": "relu"})
        words = "ReLU" if "mlp_activation" in settings else "initial weights"
        remedies.insert(0, Remedy(f"{words} with He's initialization", settings))
    numbers = {"of_last_layer": sign.size}
    return Symptom("vanishing", sure, said, numbers, tuple(remedies), sign.step, sign.layer)


def _over_time(sign: Sign, curves: Curves, facts: Facts) -> Symptom:
    losses = by_step(curves, "training_loss")
    said = (
        f"from step {sign.step} on the gradients' norm is {sign.size:.2g} of the first step's (line: 1/{SHRUNK:g}) "
        f"while the training loss went from {start(curves, facts):.3g} to {end(losses):.3g}"
    )
    if sign.layer:
        said += f"; first in {sign.layer} at step {sign.layer_step}"
    current = rate(curves, facts)
    remedies = (Remedy("lower the rate", {"lr": short(current / 10)}),) if current else (Remedy("lower the rate"),)
    sure = grade(sign.size, 1 / SHRUNK, 1 / (50 * SHRUNK), upward=False)
    return Symptom("vanishing", sure, said, {"of_first_step": sign.size}, remedies, sign.step, sign.layer)
