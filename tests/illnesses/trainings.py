"""A planted or a healthy training through pawprint's own loop, and its curves as `diagnose` takes them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from pawprint.symptoms import Curves, Facts
from pawprint.training import loop, variant
from pawprint.training.arithmetic import bare
from pawprint.training.evaluate import evaluate
from pawprint.types import Data, RunSpec

PLAIN: dict[str, Any] = {
    "model": "mlp", "mlp_widths": (64, 32), "epochs": 12, "random_flip": False, "random_crop_percent": 0.0,
    "diagnostics": ("layer_gradients", "layer_updates", "activations"), "diagnose_every_steps": 5,
}  # fmt: skip
Change = Callable[[loop.Training], None]


@dataclass(frozen=True)
class Trained:
    """What `diagnose` is given, and what a remedy is measured by."""

    curves: Curves
    facts: Facts
    scores: dict[str, float]  # of the last weights; gap: |log| of val loss by test loss


def train(settings: dict[str, Any], data: Data, seed: int, change: Change | None = None) -> Trained:
    """Train to the end; `change` is done to the training before its first step."""
    spec = RunSpec("illnesses", "run", "run", seed, **{**PLAIN, **settings})
    training = variant.set_up(spec, data)
    if change:
        change(training)
    loop.run(training, lambda *_: None, lambda *_: None, lambda: None, 1e9)
    steps, epochs = training.history.tables()
    layers = training.history.diagnostics_table()
    curves = Curves(steps.assign(seed=seed), epochs.assign(seed=seed), layers.assign(seed=seed))
    has_batch_norm = any(isinstance(module, nn.BatchNorm2d) for module in training.state.model.modules())
    facts = Facts(spec, len(data.class_names), len(data.train), has_batch_norm)
    return Trained(curves, facts, _scores(training, curves))


def _scores(training: loop.Training, curves: Curves) -> dict[str, float]:
    model, data, epochs = bare(training.state.model), training.data, curves.epochs
    test, val = evaluate(model, data.test, data), evaluate(model, data.val, data)
    losses = curves.steps["training_loss"]
    return {
        "test_accuracy": test.accuracy,
        "val_loss": float(epochs["val_loss"].iloc[-1]),
        "gap": abs(math.log(val.loss / test.loss)),
        "jump": float(epochs["val_loss"].iloc[1:].clip(lower=1e-6).pct_change().abs().mean()),
        "mean_loss": float(losses.fillna(losses.max()).mean()),
    }


def changed(settings: dict[str, Any], remedy: dict[str, Any]) -> dict[str, Any]:
    """The settings with a remedy's in their place."""
    return {**settings, **{name: tuple(v) if isinstance(v, list) else v for name, v in remedy.items()}}
