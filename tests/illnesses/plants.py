"""Planted illnesses, each declared with the symptom it should be called by; and healthy trainings.

`CALIBRATION` sets the thresholds of `pawprint.symptoms`, `HELD_BACK` only scores: the split is made here, once. An
illness that may rightly be called by another name, too, has that name in `accepted`, with the reason, before it is
scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from pawprint.symptoms import Kind
from pawprint.training import loop
from pawprint.training.arithmetic import bare
from pawprint.types import Data
from tests.illnesses import tasks
from tests.illnesses.trainings import Change

Damage = Callable[[Data], Data]
Part = Literal["calibration", "held back"]
PARTS: tuple[Part, ...] = ("calibration", "held back")
Measure = Literal["test_accuracy", "val_loss", "gap", "mean_loss", "jump"]
LESS_IS_BETTER = ("val_loss", "gap", "mean_loss", "jump")

STEP_TOO_LONG = "a step that is too long makes loss and gradients grow: one cause, one cure"
SAME_CURE = "seen by another of its faces, with the same cure: shorter steps"
SATURATED = "units that saturate are why it does not move: the gradient is lost on its way"


@dataclass(frozen=True)
class Training:
    """A training of the zoo."""

    name: str
    part: Part
    data: Callable[[], Data]
    settings: dict[str, Any]
    seed: int = 0
    change: Change | None = None


@dataclass(frozen=True)
class Plant(Training):
    """An ill one."""

    kind: Kind = "converged"
    accepted: dict[Kind, str] = field(default_factory=dict)  # other right names → why
    measure: Measure = "test_accuracy"  # by which a remedy is judged
    cured: Callable[[], Data] | None = None  # where it is the data that are ill


# ---- what is done to a training before its first step ----


def huge_weights(training: loop.Training) -> None:
    """Weights of a unit Gaussian, as torch.randn gives them; not where a rule for them is set."""
    if training.spec.mlp_init == "default":
        _redraw(bare(training.state.model), 1.0)


def _redraw(model: nn.Module, std: float) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=std)


def negative_biases(training: loop.Training) -> None:
    """Every hidden unit begins so far below zero that no picture lifts it."""
    layers = [m for m in bare(training.state.model).modules() if isinstance(m, (nn.Linear, nn.BatchNorm2d))]
    with torch.no_grad():
        for layer in layers[:-1]:
            layer.bias.fill_(-8.0)


# ---- tasks and the settings that suit them ----

CNN: dict[str, Any] = {"model": "cnn", "cnn_widths": (8, 16), "lr": 3e-3, "epochs": 8}
DRAWN: dict[str, Any] = {"model": "cnn", "cnn_widths": (12, 24), "lr": 3e-3, "epochs": 10}
SGD: dict[str, Any] = {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9}
RESNET: dict[str, Any] = {"model": "resnet18", "lr": 1e-3, "epochs": 5}
CURVES: dict[str, Any] = {"epoch_curves": ("test",)}


def of(
    task: Callable[..., Data], damage: Callable[[Data], Data] = lambda data: data, **of_task: Any
) -> Callable[[], Data]:
    return lambda: damage(task(**of_task))


def ill(name: str, part: Part, kind: Kind, data: Callable[[], Data], settings: dict[str, Any], **others: Any) -> Plant:
    return Plant(name, part, data, settings, kind=kind, **others)


DIGITS, BLOBS, DRAWINGS = partial(of, tasks.digits), partial(of, tasks.blobs), partial(of, tasks.drawings)
LARGE = {"accepted": {"exploding": STEP_TOO_LONG}}
FAST = {"accepted": {"rate_too_large": SAME_CURE, "not_smooth": SAME_CURE}, "measure": "val_loss"}
RAW = {"accepted": {"rate_too_large": "pixels 255 times too large make every step as much too long"}}
ROUGH = {"accepted": {"rate_too_large": SAME_CURE, "updates_too_fast": SAME_CURE}, "measure": "val_loss"}
DEEP: dict[str, Any] = {"mlp_widths": (32,) * 20, "mlp_activation": "sigmoid"}
TOO_EARLY: dict[str, Any] = {"scheduler": "piecewise", "lr_milestone_epochs": (1,), "lr_decay": 0.01}
HALVED: dict[str, Any] = {"scheduler": "exponential", "lr_decay": 0.3}
RISES: dict[str, Any] = {"measure": "val_loss"}
SLOW_START: dict[str, Any] = {"mlp_activation": "sigmoid", **SGD, "lr": 0.2, "epochs": 24}
NO_STEPS: dict[str, Any] = {"measure": "mean_loss", "accepted": {"vanishing": SATURATED}}


def _family(part: Part, seed: int) -> list[Plant]:
    """The illnesses of one seed on digits: the same list for both parts, of other seeds and sizes."""
    data = partial(DIGITS, n=1400, seed=seed)
    width = 48 if part == "calibration" else 64
    plain: dict[str, Any] = {"mlp_widths": (width, 32), "lr": 1e-3}
    long = {"epochs": 30, "lr": 3e-3}
    return [
        ill(
            f"rate x 100, digits, mlp {seed}",
            part,
            "rate_too_large",
            data(),
            plain | {"lr": 0.1 * (1 + seed % 2)},
            seed=seed,
            **LARGE,
        ),
        ill(f"rate / 1000, digits, mlp {seed}", part, "rate_too_small", data(), plain | {"lr": 1e-6}, seed=seed),
        ill(f"20 sigmoid layers, digits {seed}", part, "vanishing", data(), DEEP | {"epochs": 8}, seed=seed),
        ill(
            f"weights of a unit Gaussian, digits, mlp {seed}",
            part,
            "exploding",
            data(),
            plain,
            seed=seed,
            change=huge_weights,
        ),
        ill(
            f"random labels, digits, mlp {seed}",
            part,
            "label_noise",
            data(tasks.random_labels),
            plain | long,
            seed=seed,
            cured=data(),
        ),
        ill(
            f"40 % wrong labels, digits, mlp {seed}",
            part,
            "label_noise",
            data(tasks.wrong_labels),
            plain | long,
            seed=seed,
            cured=data(),
        ),
        ill(
            f"one hidden unit, digits {seed}",
            part,
            "under_fitting",
            data(),
            {"mlp_widths": (1,), "mlp_activation": "tanh", "lr": 0.01, "epochs": 30},
            seed=seed,
        ),
        ill(
            f"40 pictures, digits, mlp {seed}",
            part,
            "over_fitting",
            data(tasks.few),
            plain | {"epochs": 150, "lr": 3e-3},
            seed=seed,
            **RISES,
        ),
        ill(
            f"rate falls after an epoch, digits, mlp {seed}",
            part,
            "rate_fell_too_early",
            data(),
            plain | TOO_EARLY | SGD | {"lr": 0.02},
            seed=seed,
        ),
        ill(
            f"pixels of 0 to 255, digits, mlp {seed}",
            part,
            "exploding",
            data(tasks.raw),
            plain | SGD,
            seed=seed,
            cured=data(),
            **RAW,
        ),
        ill(
            f"val copies of train, digits, mlp {seed}",
            part,
            "leak",
            data(tasks.copies),
            plain | {"epochs": 30, "lr": 3e-3},
            seed=seed,
            cured=data(),
            measure="gap",
        ),
        ill(
            f"label in the corner, digits, mlp {seed}",
            part,
            "leak",
            data(tasks.marked),
            plain | CURVES,
            seed=seed,
            cured=data(),
            measure="gap",
        ),
        ill(f"biases of -8, digits, mlp {seed}", part, "dead_units", data(), plain, seed=seed, change=negative_biases),
        ill(
            f"three sigmoid layers by SGD, digits {seed}",
            part,
            "plateau",
            data(),
            SLOW_START | {"mlp_widths": (32, 32, 32)},
            seed=seed,
            **NO_STEPS,
        ),
        ill(
            f"six epochs, digits, mlp {seed}",
            part,
            "not_converged",
            data(),
            plain | {"epochs": 6, "lr": 3e-4},
            seed=seed,
        ),
        ill(
            f"batches of 2 at a large rate, digits, mlp {seed}",
            part,
            "not_smooth",
            DIGITS(n=500, seed=seed),
            {"mlp_widths": (32,), "batch_size": 2, "lr": 0.02, "epochs": 14},
            seed=seed,
            **ROUGH,
        ),
        ill(
            f"Adam at 0.03, digits, mlp {seed}",
            part,
            "updates_too_fast",
            data(),
            plain | {"lr": 0.03},
            seed=seed,
            **FAST,
        ),
    ]


def _others(part: Part, seed: int) -> list[Plant]:
    """The illnesses of other models and tasks."""
    blob, drawn = partial(BLOBS, seed=seed, n_classes=4 + seed % 3), partial(DRAWINGS, seed=seed)
    digit = partial(DIGITS, n=1000, seed=seed)
    return [
        ill(
            f"rate x 100, blobs, mlp, SGD {seed}", part, "rate_too_large", blob(), SGD | {"lr": 5.0}, seed=seed, **LARGE
        ),
        ill(f"rate / 1000, drawings, cnn {seed}", part, "rate_too_small", drawn(), DRAWN | {"lr": 3e-6}, seed=seed),
        ill(
            f"12 layers of weights 0.01, blobs {seed}",
            part,
            "vanishing",
            blob(),
            {"mlp_widths": (32,) * 12, "mlp_init": "gaussian", "epochs": 6},
            seed=seed,
        ),
        ill(
            f"random labels, blobs, mlp {seed}",
            part,
            "label_noise",
            blob(tasks.random_labels),
            {"epochs": 40, "lr": 3e-3},
            seed=seed,
            cured=blob(),
        ),
        ill(
            f"40 % wrong in train, drawings, cnn {seed}",
            part,
            "label_noise",
            drawn(tasks.wrong_in_train),
            DRAWN | {"epochs": 30, "cnn_hidden": (64,), "cnn_grid": 4},
            seed=seed,
            cured=drawn(),
        ),
        ill(
            f"weight decay of 0.3, digits, mlp {seed}",
            part,
            "under_fitting",
            digit(),
            {"weight_decay": 0.3, "mlp_widths": (32,), "epochs": 30, "lr": 3e-3},
            seed=seed,
        ),
        ill(
            f"40 pictures, drawings, cnn {seed}",
            part,
            "over_fitting",
            DRAWINGS(tasks.few, seed=seed, n_classes=9, n_per_class=60),
            DRAWN | {"epochs": 60, "cnn_hidden": (64,), "cnn_grid": 4},
            seed=seed,
            **RISES,
        ),
        ill(
            f"rate falls by 0.3 an epoch, blobs, mlp {seed}",
            part,
            "rate_fell_too_early",
            blob(),
            HALVED | {"lr": 1e-3, "epochs": 15},
            seed=seed,
        ),
        ill(
            f"pixels of 0 to 255, blobs, mlp {seed}",
            part,
            "exploding",
            blob(tasks.raw),
            {},
            seed=seed,
            cured=blob(),
            **RAW,
        ),
        ill(
            f"batches of 2 with batch norm, digits, cnn {seed}",
            part,
            "tiny_batch_norm",
            DIGITS(n=300, seed=seed),
            CNN | {"batch_size": 2, "epochs": 5},
            seed=seed,
        ),
        ill(
            f"batches of 3 with batch norm, drawings, cnn {seed}",
            part,
            "tiny_batch_norm",
            DRAWINGS(n_per_class=60, seed=seed),
            DRAWN | {"batch_size": 3, "epochs": 5},
            seed=seed,
        ),
        ill(
            f"val copies of train, drawings, cnn {seed}",
            part,
            "leak",
            drawn(tasks.copies),
            DRAWN | {"epochs": 25, "cnn_hidden": (64,), "cnn_grid": 4},
            seed=seed,
            cured=drawn(),
            measure="gap",
        ),
        ill(
            f"label in the corner, blobs, mlp {seed}",
            part,
            "leak",
            blob(tasks.marked),
            CURVES,
            seed=seed,
            cured=blob(),
            measure="gap",
        ),
        ill(
            f"eight layers by SGD at 0.5, digits {seed}",
            part,
            "exploding",
            digit(),
            {"mlp_widths": (32,) * 8, "mlp_init": "he", **SGD, "lr": 0.5, "epochs": 6},
            seed=seed,
            accepted={"rate_too_large": STEP_TOO_LONG},
        ),
        ill(
            f"Adam at 0.05, digits, mlp {seed}",
            part,
            "updates_too_fast",
            digit(),
            {"optimizer": "adam", "lr": 0.05, "mlp_widths": (32,)},
            seed=seed,
            **FAST,
        ),
    ]


def _more(part: Part, seed: int) -> list[Plant]:
    """The illnesses of what is in no other list."""
    digit, blob = partial(DIGITS, n=1000, seed=seed), partial(BLOBS, seed=seed, n_classes=6)
    small, drawn = DIGITS(n=500, seed=seed), DRAWINGS(seed=seed, pixels=20)
    return [
        ill(f"rate x 100, digits, cnn {seed}", part, "rate_too_large", digit(), CNN | {"lr": 1.0}, seed=seed, **LARGE),
        ill(
            f"rate x 1000, digits, resnet18 {seed}",
            part,
            "rate_too_large",
            small,
            RESNET | {"lr": 1.0},
            seed=seed,
            **LARGE,
        ),
        ill(f"rate / 1000, digits, mlp, SGD {seed}", part, "rate_too_small", digit(), SGD | {"lr": 5e-5}, seed=seed),
        ill(
            f"20 layers of tanh, weights 0.01, digits {seed}",
            part,
            "vanishing",
            digit(),
            {"mlp_widths": (24,) * 20, "mlp_activation": "tanh", "mlp_init": "gaussian", "epochs": 8},
            seed=seed,
        ),
        ill(
            f"random labels, digits, cnn {seed}",
            part,
            "label_noise",
            small_random(seed),
            CNN | {"epochs": 30, "cnn_hidden": (64,), "cnn_grid": 2},
            seed=seed,
            cured=small,
        ),
        ill(
            f"one channel, drawings, cnn {seed}",
            part,
            "under_fitting",
            drawn,
            DRAWN | {"cnn_widths": (1,), "epochs": 15},
            seed=seed,
        ),
        ill(
            f"30 pictures, blobs, mlp {seed}",
            part,
            "over_fitting",
            blob(partial(tasks.few, n=30)),
            {"epochs": 100, "lr": 3e-3},
            seed=seed,
            **RISES,
        ),
        ill(
            f"rate falls after an epoch, drawings, cnn {seed}",
            part,
            "rate_fell_too_early",
            drawn,
            DRAWN | TOO_EARLY | {"lr": 1e-3},
            seed=seed,
        ),
        ill(
            f"weights of a unit Gaussian, blobs, mlp {seed}",
            part,
            "exploding",
            blob(),
            {},
            seed=seed,
            change=huge_weights,
        ),
        ill(f"biases of -8, digits, cnn {seed}", part, "dead_units", digit(), CNN, seed=seed, change=negative_biases),
        ill(
            f"batches of 1 at a large rate, blobs, mlp {seed}",
            part,
            "not_smooth",
            BLOBS(seed=seed, n=1200),
            {"mlp_widths": (32,), "batch_size": 1, "optimizer": "sgd", "lr": 0.1, "epochs": 8},
            seed=seed,
            **ROUGH,
        ),
        ill(
            f"four layers of tanh, weights 0.01, digits {seed}",
            part,
            "plateau",
            DIGITS(n=1400, seed=seed),
            {"mlp_widths": (24,) * 4, "mlp_activation": "tanh", "mlp_init": "gaussian", "lr": 4e-4, "epochs": 20},
            seed=seed,
            **NO_STEPS,
        ),
        ill(
            f"six epochs, drawings, cnn {seed}",
            part,
            "not_converged",
            drawn,
            DRAWN | {"epochs": 6, "lr": 5e-4},
            seed=seed,
        ),
    ]


def _calibration_more() -> list[Plant]:
    """A few of the above with other settings, for the rules that have few examples else."""
    blob = BLOBS(seed=7, n=1200)
    rough = {"mlp_widths": (24,), "batch_size": 1, "optimizer": "sgd", "lr": 0.1, "epochs": 8}
    return [
        ill("batches of 1, blobs, mlp 7", "calibration", "not_smooth", blob, rough, seed=7, **ROUGH),
        ill(
            "batches of 2 by SGD at 0.15, digits, mlp 7",
            "calibration",
            "not_smooth",
            DIGITS(n=500, seed=7),
            {"mlp_widths": (32,), "batch_size": 2, "optimizer": "sgd", "lr": 0.15, "epochs": 14},
            seed=7,
            **ROUGH,
        ),
        ill(
            "four layers of tanh, weights 0.01, digits 7",
            "calibration",
            "plateau",
            DIGITS(n=1400, seed=7),
            {"mlp_widths": (32,) * 4, "mlp_activation": "tanh", "mlp_init": "gaussian", "lr": 3e-4, "epochs": 20},
            seed=7,
            **NO_STEPS,
        ),
        ill(
            "one channel, digits, cnn 7",
            "calibration",
            "under_fitting",
            DIGITS(n=700, seed=7),
            CNN | {"cnn_widths": (1,), "epochs": 20},
            seed=7,
        ),
        ill(
            "rate x 300, digits, resnet18 7",
            "calibration",
            "rate_too_large",
            DIGITS(n=400, seed=7),
            RESNET | {"lr": 0.3},
            seed=7,
            **LARGE,
        ),
        ill(
            "rate / 1000, digits, mlp, SGD 7",
            "calibration",
            "rate_too_small",
            DIGITS(n=800, seed=7),
            SGD | {"lr": 5e-5},
            seed=7,
        ),
    ]


def small_random(seed: int) -> Callable[[], Data]:
    return DIGITS(tasks.random_labels, n=500, seed=seed)


PLANTS = (
    *_family("calibration", 0),
    *_others("calibration", 1),
    *_calibration_more(),
    *_family("held back", 2),
    *_family("held back", 3),
    *_others("held back", 4),
    *_more("held back", 5),
)


def well(name: str, part: Part, data: Callable[[], Data], settings: dict[str, Any], seed: int) -> Training:
    return Training(name, part, data, settings, seed)


def _well(part: Part, seeds: tuple[int, ...]) -> list[Training]:
    found = []
    for seed in seeds:
        digit, blob, drawn = DIGITS(n=1700, seed=seed), BLOBS(seed=seed, n=2400), DRAWINGS(seed=seed)
        found += [
            well(f"digits, mlp, Adam {seed}", part, digit, {"lr": 1e-3, "epochs": 10}, seed),
            well(f"digits, mlp, SGD, cosine {seed}", part, digit, SGD | {"scheduler": "cosine", "epochs": 10}, seed),
            well(f"digits, cnn, one-cycle {seed}", part, digit, CNN | {"scheduler": "onecycle", "lr": 5e-3}, seed),
            well(
                f"blobs, mlp, Adam, early stopping {seed}",
                part,
                blob,
                {"lr": 1e-3, "epochs": 10, "patience_epochs": 2, "mlp_widths": (16,)},
                seed,
            ),
            well(
                f"blobs, mlp, AdamW, tanh {seed}",
                part,
                blob,
                {
                    "optimizer": "adamw",
                    "weight_decay": 0.01,
                    "mlp_activation": "tanh",
                    "mlp_widths": (16,),
                    "epochs": 8,
                },
                seed,
            ),
            well(
                f"drawings, cnn, flips and crops {seed}",
                part,
                drawn,
                DRAWN | {"random_flip": True, "random_crop_percent": 10.0, "scheduler": "cosine", "epochs": 12},
                seed,
            ),
            well(
                f"digits, mlp, dropout {seed}", part, digit, {"dropout": 0.2, "mlp_widths": (96,), "epochs": 12}, seed
            ),
        ]
    return found


HEALTHY = (
    *_well("calibration", (10, 16)),
    *_well("held back", (11, 12, 13)),
    well(
        "digits, resnet18 14",
        "calibration",
        DIGITS(n=700, seed=14),
        RESNET | {"scheduler": "onecycle", "epochs": 6},
        14,
    ),
    well(
        "digits, resnet18 15", "held back", DIGITS(n=700, seed=15), RESNET | {"scheduler": "onecycle", "epochs": 6}, 15
    ),
)
