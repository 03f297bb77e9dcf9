"""Curves made up for the rules: what a rule is to see is put in."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pawprint.symptoms import Curves, Facts
from pawprint.types import RunSpec

Curve = Callable[[np.ndarray], np.ndarray]

FIRST = float(np.log(10))
N_STEPS, N_EPOCHS = 400, 20


def falling(to: float, by: float, start: float = FIRST) -> Curve:
    return lambda x: to + (start - to) * np.exp(-x / by)


def flat(at: float) -> Curve:
    return lambda x: np.full_like(x, at)


def made(
    loss: Curve | None = None,
    val_loss: Curve | None = None,
    accuracy: Curve | None = None,
    norm: Curve | None = None,
    rate: Curve | None = None,
    layers: dict[str, Curve] | None = None,
    seeds: tuple[int, ...] = (0, 1),
    **columns: Curve,
) -> Curves:
    """A run that learns ten classes and levels off, but for the curves that are given.

    All but `layers`, `norm` and `rate`, which go by steps, are functions of epochs; `layers` by whole quantity.
    """
    loss, draws = loss or falling(0.3, 1.2), np.random.default_rng(1)
    step, epoch = np.arange(1, N_STEPS + 1), np.arange(N_EPOCHS + 1)
    parts: dict[str, list[pd.DataFrame]] = {"steps": [], "epochs": [], "layers": []}
    for seed in seeds:
        noise = np.exp(0.05 * draws.normal(size=N_STEPS))
        losses = loss(step * N_EPOCHS / N_STEPS) * noise
        steps = pd.DataFrame({"seed": seed, "step": step, "epoch": (step - 1) * N_EPOCHS // N_STEPS + 1,
                              "training_loss": losses, "learning_rate": (rate or flat(1e-3))(step.astype(float)),
                              "gradient_norm_total": (norm or flat(1.0))(step.astype(float))})  # fmt: skip
        x = epoch.astype(float)
        luck = np.exp(0.01 * draws.normal(size=len(x)))
        epochs = pd.DataFrame({"seed": seed, "epoch": epoch, "step": epoch * N_STEPS // N_EPOCHS,
                               "training_loss": steps.groupby("epoch")["training_loss"].mean().reindex(epoch),
                               "val_loss": (val_loss or falling(0.4, 1.2))(x) * luck,
                               "val_accuracy": (accuracy or (lambda x: 0.1 + 0.8 * (1 - np.exp(-x / 1.2))))(x),
                               **{name: curve(x) for name, curve in columns.items()}})  # fmt: skip
        tables = [pd.DataFrame({"seed": seed, "step": step, "quantity": name, "value": curve(step.astype(float))})
                  for name, curve in (layers or {}).items()]  # fmt: skip
        empty = pd.DataFrame(columns=["seed", "step", "quantity", "value"])
        for name, table in zip(parts, (steps, epochs, pd.concat(tables) if tables else empty), strict=True):
            parts[name].append(table)
    return Curves(**{name: pd.concat(tables, ignore_index=True) for name, tables in parts.items()})


def facts(**settings: object) -> Facts:
    spec = RunSpec(
        "made", "run", "run", 0, **{"model": "mlp", "random_flip": False, "random_crop_percent": 0.0, **settings}
    )
    return Facts(spec, 10, 1000, spec.model != "mlp")
