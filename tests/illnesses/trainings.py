"""A planted or a healthy training through pawprint's own loop, and its curves as `diagnose` takes them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn

from pawprint.symptoms import ACTIVATION, DEAD, UPDATE, Curves, Facts
from pawprint.training import loop, variant
from pawprint.training.arithmetic import bare
from pawprint.training.evaluate import evaluate
from pawprint.types import Data, RunSpec

EVERY = 5  # steps from measurement to measurement of updates and outputs

PLAIN: dict[str, Any] = {
    "model": "mlp", "mlp_widths": (64, 32), "epochs": 12, "random_flip": False, "random_crop_percent": 0.0,
    "diagnostics": ("layer_gradients",), "select_on": "val_loss",
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
    around = Around(bare(training.state.model))
    loop.run(training, around.after_backward, lambda *_: None, lambda: None, 1e9)
    steps, epochs = training.history.tables()
    layers = pd.concat([training.history.diagnostics_table(), pd.DataFrame(around.rows)], ignore_index=True)
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


class Around:
    """Updates, outputs and dead units, measured around the loop's steps."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.rows, self.step = model, list[dict[str, Any]](), 1
        self.weights: dict[str, torch.Tensor] = {}
        for name, module in model.named_modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                module.register_forward_hook(self._output(name))
            if isinstance(module, nn.ReLU):
                module.register_forward_hook(self._dead(name))

    def after_backward(self, _: dict[str, float], step: int) -> None:
        """Called in the step, before the weights change: what the step before did to them is seen here."""
        if self.weights:
            for name, now in self._now().items():
                before = self.weights[name]
                self._add(UPDATE + name, (now - before).norm().item() / max(before.norm().item(), 1e-12), step - 1)
        self.weights = {n: w.clone() for n, w in self._now().items()} if self._is_due(step) else {}
        self.step = step + 1

    def _now(self) -> dict[str, torch.Tensor]:
        return {
            name.removesuffix(".weight"): weight.detach()
            for name, weight in self.model.named_parameters()
            if name.endswith("weight") and weight.ndim > 1
        }

    def _output(self, name: str) -> Any:
        def hook(module: nn.Module, _: Any, output: torch.Tensor) -> None:
            if module.training and self._is_due(self.step):
                self._add(ACTIVATION + name, output.detach().std().item(), self.step)

        return hook

    def _dead(self, name: str) -> Any:
        def hook(module: nn.Module, _: Any, output: torch.Tensor) -> None:
            if module.training and self._is_due(self.step):
                by_unit = output.detach().transpose(0, 1).flatten(1)
                self._add(DEAD + name, (by_unit <= 0).all(dim=1).double().mean().item(), self.step)

        return hook

    def _add(self, quantity: str, value: float, step: int) -> None:
        self.rows.append({"step": step, "examples_seen": 0, "quantity": quantity, "value": value})

    def _is_due(self, step: int) -> bool:
        return step % EVERY == 1


def changed(settings: dict[str, Any], remedy: dict[str, Any]) -> dict[str, Any]:
    """The settings with a remedy's in their place."""
    return {**settings, **{name: tuple(v) if isinstance(v, list) else v for name, v in remedy.items()}}
