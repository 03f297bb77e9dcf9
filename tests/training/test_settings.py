"""No setting is there that nothing reads: each is changed, and the training is another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pawprint.errors import SettingsError
from pawprint.training.variant import train_variant
from pawprint.types import RUN_SETTINGS, Conduct, Data, RunSpec, TrainOutputs

SURE: dict[str, Any] = {"objective": "fixmatch", "threshold": 0.4}  # of three classes
# setting: (settings that give it something to do, its other value)
OTHER: dict[str, tuple[dict[str, Any], Any]] = {
    "model": ({}, "resnet18"),
    "mlp_widths": ({}, (9,)),
    "mlp_activation": ({}, "tanh"),
    "mlp_layer_norm": ({}, (1,)),
    "mlp_init": ({}, "he"),
    "cnn_widths": ({"model": "cnn", "cnn_widths": (4,)}, (5,)),
    "cnn_grid": ({"model": "cnn", "cnn_widths": (4,)}, 2),
    "cnn_hidden": ({"model": "cnn", "cnn_widths": (4,)}, (3,)),
    "dropout": ({}, 0.5),
    "objective": ({}, "self_training"),
    "loss": ({}, "hinge"),
    "label_smoothing": ({}, 0.2),
    "threshold": (SURE, 0.9),
    "temperature": (SURE, 0.5),
    "unlabelled_weight": (SURE, 2.0),
    "unlabelled_ratio": (SURE, 1),
    "optimizer": ({}, "sgd"),
    "lr": ({}, 2e-3),
    "lr_scaling": ({}, "sqrt"),
    "lr_base_batch_size": ({"lr_scaling": "linear"}, 16),
    "betas": ({}, (0.5, 0.9)),
    "amsgrad": ({"betas": (0.9, 0.1)}, True),
    "alpha": ({"optimizer": "rmsprop"}, 0.5),
    "trust_coefficient": ({"optimizer": "lars"}, 0.01),
    "eps": ({}, 1e-2),
    "momentum": ({"optimizer": "sgd"}, 0.9),
    "nesterov": ({"optimizer": "sgd", "momentum": 0.9}, True),
    "weight_decay": ({}, 0.1),
    "weight_decay_on": ({"weight_decay": 0.1}, "weights"),
    "ema_decay": ({}, 0.9),
    "clip_norm": ({"optimizer": "sgd"}, 1e-3),
    "scheduler": ({}, "cosine"),
    "onecycle_pct_start": ({"scheduler": "onecycle"}, 0.5),
    "onecycle_final_div_factor": ({"scheduler": "onecycle"}, 1e4),
    "lr_decay": ({"scheduler": "exponential"}, 0.5),
    "lr_floor": ({"scheduler": "cosine"}, 1e-4),
    "lr_milestone_epochs": ({"scheduler": "piecewise"}, (1, 2)),
    "lr_period_epochs": ({"scheduler": "step"}, 1),
    "lr_power": ({"scheduler": "polynomial"}, 1.0),
    "warmup_epochs": ({"scheduler": "warmup"}, 1),
    "epoch_curves": ({}, ("train", "test")),
    "batch_size": ({}, 16),
    "epochs": ({}, 2),
    "steps_per_epoch": ({}, 3),
    "patience_epochs": ({"select_on": "val_accuracy", "lr": 0.0}, 1),
    "sampling": ({}, "balanced"),
    "class_weights": ({}, "balanced"),
    "random_flip": ({}, False),
    "random_crop_percent": ({}, 0.0),
    "resized_crop_area": ({}, 0.3),
    "color_jitter": ({}, 0.4),
    "augmentation": ({}, "strong"),
    "randaugment_ops": ({"augmentation": "strong"}, 1),
    "randaugment_magnitude": ({"augmentation": "strong"}, 5),
    "cutout_percent": ({"augmentation": "strong"}, 20.0),
    "erasing_percent": ({"augmentation": "strong"}, 50.0),
    "mixing": ({}, "mixup"),
    "mixing_alpha": ({"mixing": "mixup"}, 0.2),
    "precision": ({}, "bf16-mixed"),
    "compile": ({}, True),
    "diagnostics": ({}, ("weight_gradients",)),
    "diagnose_every_steps": ({"diagnostics": ("weight_gradients",)}, 3),
}
SAID_ELSEWHERE = {
    "pretrained": "models/test_starting_model.py",
    "distill_temperature": "objectives/test_distill.py",
    "distill_weight": "objectives/test_distill.py",
    "select_on": "test_loop.py, test_the_best_epoch_is_chosen_on_val",
    "accelerator": "test_an_accelerator_that_is_not_there_is_an_error",
    **dict.fromkeys(("devices", "num_nodes", "strategy"), "test_processes.py"),
    "threads": "test_threads_are_those_of_the_settings",
}


def result(spec: RunSpec, data: Data, folder: Path) -> bytes:
    outputs = TrainOutputs(folder / "models", folder / "plots", folder / "metrics.json")
    train_variant([spec], data, outputs, Conduct())
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*.csv")))


def test_every_setting_is_looked_at() -> None:
    assert set(OTHER) | set(SAID_ELSEWHERE) == set(RUN_SETTINGS)


@pytest.mark.parametrize("setting", OTHER)
def test_a_changed_setting_changes_the_training(setting: str, data: Data, spec: RunSpec, tmp_path: Path) -> None:
    base, value = OTHER[setting]
    spec = replace(spec, random_crop_percent=20.0, **base)
    data = replace(data, unlabelled=data.test)
    assert getattr(spec, setting) != value
    assert result(spec, data, tmp_path / "a") != result(replace(spec, **{setting: value}), data, tmp_path / "b")


def test_threads_are_those_of_the_settings(data: Data, spec: RunSpec, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """OMP_NUM_THREADS of the shell would change the bytes."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            result(replace(spec, threads=threads), data, tmp_path / str(threads))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_an_accelerator_that_is_not_there_is_an_error(data: Data, spec: RunSpec, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        assert result(replace(spec, accelerator="cuda"), data, tmp_path)
        return
    with pytest.raises(SettingsError, match="accelerator: cuda: torch finds none here"):
        result(replace(spec, accelerator="cuda"), data, tmp_path)
