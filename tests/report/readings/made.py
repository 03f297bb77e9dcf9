"""Runs and curves made up for the rules: what a rule is to see is put in."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pawprint.comparison import MEASURES, RunComparison, Verdict
from pawprint.types import RunSpec

Curve = Callable[[np.ndarray], np.ndarray]


def row(name: str = "run", **fields: Any) -> RunComparison:
    """A run with two seeds that learned, within the noise of the baseline."""
    scores = dict.fromkeys(MEASURES, fields.pop("accuracy", 0.6))
    plain = RunComparison(
        variant=name, run=name, settings="lr 1e-2", pretrained_on=None, n_seeds=2, n_diverged=0, n_at_chance=0,
        pictures_per_step=32,
        n_test=1000, chance=0.1, is_baseline=False, against="baseline", same_settings_as=[], scores=scores,
        deviations=dict.fromkeys(MEASURES, 0.01), change=0.01, noise=0.05, level=0.05, p=0.5, n_paired_seeds=2,
        degrees_of_freedom=5, verdict="within noise",
    )  # fmt: skip
    return replace(plain, **fields)


def held(
    name: str, verdict: Verdict, change: float, noise: float | None = 0.02, against: str = "baseline"
) -> RunComparison:
    """A run with a verdict, as the table would have it."""
    return row(name, verdict=verdict, change=change, noise=noise, against=against)


def spec(name: str = "run", **settings: Any) -> RunSpec:
    return RunSpec("made", name, name, 0, **settings)


def epochs(
    training_loss: Curve,
    val_loss: Curve,
    val_accuracy: Curve,
    n: int = 10,
    seeds: Sequence[int] = (0, 1),
    jitter: float = 0.01,
) -> pd.DataFrame:
    """Curves over epochs 0 to n, each a function of the epochs, times a little luck of the seed's."""
    draws, at = np.random.default_rng(3), np.arange(n + 1)
    parts = []
    for seed in seeds:
        luck = 1 + jitter * draws.normal(size=(3, n + 1))
        loss, val, accuracy = (
            curve(at.astype(float)) * luck[i] for i, curve in enumerate((training_loss, val_loss, val_accuracy))
        )
        part = pd.DataFrame({"epoch": at, "training_loss": loss, "val_loss": val, "val_accuracy": accuracy})
        parts.append(part.assign(variant="run", run="run", seed=seed, step=10 * at, examples_seen=320 * at))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(training_loss=table["training_loss"].where(table["epoch"] > 0))


def steps(
    loss: Curve, norm: Curve | None = None, rate: Curve | None = None, n: int = 100, seeds: Sequence[int] = (0, 1)
) -> pd.DataFrame:
    """Curves over steps 1 to n."""
    at = np.arange(1, n + 1)
    x = at.astype(float)
    part = pd.DataFrame({
        "step": at, "examples_seen": 32 * at, "epoch": (at - 1) // 10 + 1, "training_loss": loss(x),
        "learning_rate": (rate or (lambda x: np.full_like(x, 1e-3)))(x),
        "gradient_norm_total": (norm or np.ones_like)(x),
    })  # fmt: skip
    part["gradient_norm_mean"] = part["gradient_norm_total"] / 10
    part["training_loss_smoothed"] = part["training_loss"]
    return pd.concat([part.assign(variant="run", run="run", seed=seed) for seed in seeds], ignore_index=True)


def layers(curves: dict[str, Curve], n: int = 100, seeds: Sequence[int] = (0, 1)) -> pd.DataFrame:
    """Each layer's gradients over steps 1 to n, the layers in this order."""
    at = np.arange(1, n + 1)
    x = at.astype(float)
    parts = [
        pd.DataFrame({"step": at, "quantity": f"gradient_of_layer_{name}", "value": curve(x), "seed": seed})
        for seed in seeds for name, curve in curves.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True).assign(variant="run", run="run")
