"""What a column of somebody's CSV is: the names that trackers and libraries give to losses, accuracies and rates.

Names are compared without case, and with `/`, `.`, `-`, blanks and `_` as one and the same: `train/loss`, `Train Loss`
and `train_loss` are equal. Of a quantity's names the first that a file has is taken. Beside our own they are those of
Keras (`loss`, `val_loss`), Lightning (`train_loss_step`, `lr-Adam`), Hugging Face's Trainer (`train/loss`, `eval/loss`,
`train/grad_norm`), timm's summary.csv (`eval_top1`) and Ultralytics' (`lr/pg0`). `test_loss` is none of them: what is
chosen by is val, and who means it says so with `--as`.
"""

from __future__ import annotations

import re
from typing import Literal

Quantity = Literal[
    "training_loss", "learning_rate", "gradient_norm_total", "gradient_norm_mean",  # of a step
    "epoch_loss", "val_loss", "val_accuracy", "train_accuracy",  # of an epoch
]  # fmt: skip
OF_STEPS: tuple[Quantity, ...] = ("training_loss", "learning_rate", "gradient_norm_total", "gradient_norm_mean")
OF_EPOCHS: tuple[Quantity, ...] = ("epoch_loss", "val_loss", "val_accuracy", "train_accuracy")

_TRAIN = ("train", "training", "trn")
_VAL = ("val", "valid", "validation", "eval", "evaluation", "dev")
_ACCURACIES = ("accuracy", "acc", "top1", "acc1", "acc_1", "top1_accuracy", "binary_accuracy", "categorical_accuracy",
               "sparse_categorical_accuracy", "multiclassaccuracy")  # fmt: skip


def _of(parts: tuple[str, ...], names: tuple[str, ...], endings: tuple[str, ...] = ("",)) -> tuple[str, ...]:
    """`train_loss`, `loss_train` … of every part and name."""
    both = [f"{part}_{name}{ending}" for ending in endings for part in parts for name in names]
    return (*both, *(f"{name}_{part}" for part in parts for name in names))


NAMES: dict[Quantity, tuple[str, ...]] = {
    "training_loss": (*_of(_TRAIN, ("loss",), ("", "_step", "_batch")), "loss", "loss_step", "batch_loss"),
    "epoch_loss": (*_of(_TRAIN, ("loss",), ("_epoch",))[:3], "train_epoch_loss", "loss_epoch", "epoch_loss"),
    "val_loss": _of(_VAL, ("loss", "epoch_loss"), ("", "_epoch")),
    "val_accuracy": _of(_VAL, _ACCURACIES, ("", "_epoch")),
    "train_accuracy": (*_of(_TRAIN, _ACCURACIES, ("", "_epoch", "_step")), *_ACCURACIES),
    "learning_rate": ("learning_rate", "lr", *_of(_TRAIN, ("learning_rate", "lr")), "lr_adam", "lr_adamw", "lr_sgd",
                      "lr_pg0", "trainer_lr", "optimizer_lr", "lr_group_0"),
    "gradient_norm_total": ("gradient_norm_total", "grad_norm", "gradient_norm", "total_grad_norm", "grad_norm_total",
                            "total_norm", "grad_2_0_norm_total", *_of(_TRAIN, ("grad_norm", "gradient_norm"))),
    "gradient_norm_mean": ("gradient_norm_mean", "grad_norm_mean"),
}  # fmt: skip
STEPS = ("step", "global_step", "train_global_step", "trainer_global_step", "iteration", "iterations", "iter",
         "train_step", "batch", "batch_idx")  # fmt: skip
EPOCHS = ("epoch", "epochs", "train_epoch", "trainer_epoch")


def plain(name: str) -> str:
    """`Train/Loss ` as `train_loss`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def quantity(name: str) -> Quantity | None:
    """What a column of this name is; None: nothing that is known."""
    return next((quantity for quantity, names in NAMES.items() if plain(name) in names), None)


def rank(name: str) -> int:
    """The place of the name among those of its quantity: the first is the one that is meant."""
    found = quantity(name)
    return NAMES[found].index(plain(name)) if found else -1
