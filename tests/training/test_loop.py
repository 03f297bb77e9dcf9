"""The loop: against a slow reference, resumed, diverging, selecting."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from pawprint.data import batches
from pawprint.errors import SettingsError
from pawprint.models import build_model
from pawprint.training import checkpoint, loop, variant
from pawprint.training.arithmetic import half_precision
from pawprint.training.evaluate import evaluate
from pawprint.training.optimizers import OPTIMIZERS
from pawprint.training.schedules import SCHEDULES
from pawprint.types import Conduct, Data, RunSpec, TrainOutputs


def nothing(*_: Any) -> None:
    return None


def run(spec: RunSpec, data: Data) -> loop.Training:
    training = variant.set_up(spec, data)
    loop.run(training, nothing, nothing, save=nothing, save_every_seconds=1e9)
    return training


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_loop_does_what_a_plain_pytorch_loop_does(data: Data, spec: RunSpec) -> None:
    training = run(spec, data)
    reference = variant.set_up(spec, data)  # for its batches and its starting point
    model = reference.state.model
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses, norms = [], []
    for epoch in (1, 2, 3):
        for batch in reference.batches.epoch(epoch):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(batch.images), batch.labels)
            loss.backward()
            norms.append(float(np.mean([p.grad.norm().item() for p in model.parameters()])))
            optimizer.step()
            losses.append(loss.item())
    steps, epochs = training.history.tables()
    assert steps["training_loss"].tolist() == pytest.approx(losses, rel=1e-5)
    assert steps["gradient_norm_mean"].tolist() == pytest.approx(norms, rel=1e-4)
    assert steps["step"].tolist() == list(range(1, 22))
    assert steps["examples_seen"].iloc[-1] == 150
    assert epochs["epoch"].tolist() == [0, 1, 2, 3]
    assert epochs["training_loss"].iloc[1] == pytest.approx(np.mean(losses[:7]))


def test_it_learns(data: Data, spec: RunSpec) -> None:
    training = run(replace(spec, lr=0.01, epochs=10), data)
    assert training.best.val["accuracy"] > 0.9


def test_two_runs_end_in_the_same_bytes_and_another_seed_in_others(data: Data, resnet_spec: RunSpec) -> None:
    one, two = run(resnet_spec, data), run(resnet_spec, data)
    assert same_weights(one.state.model, two.state.model)
    assert one.history.steps == two.history.steps
    assert not same_weights(one.state.model, run(replace(resnet_spec, seed=1), data).state.model)


@pytest.mark.parametrize("model", ["mlp", "resnet18"])
def test_a_set_kept_in_memory_changes_no_byte(
    data: Data, spec: RunSpec, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    spec = replace(spec, model=model, batch_size=16, epochs=2, random_flip=False, random_crop_percent=0.0)
    kept = run(spec, data)
    monkeypatch.setattr(batches, "MOST_BYTES_IN_MEMORY", 0)
    made = run(spec, data)
    assert (kept.batches.in_memory, made.batches.in_memory) == (True, False)
    assert same_weights(kept.state.model, made.state.model)
    assert kept.history.steps == made.history.steps
    assert kept.history.epochs == made.history.epochs


@pytest.mark.parametrize("settings", [
    {"model": "resnet18", "epochs": 2},
    *({"optimizer": name, "momentum": 0.9} for name in OPTIMIZERS),
    {"amsgrad": True},
    *({"scheduler": name, "lr_period_epochs": 1, "warmup_epochs": 2, "lr_milestone_epochs": (1, 2)}
      for name in SCHEDULES),
    {"epoch_curves": ("train", "test")},
    {"objective": "fixmatch", "threshold": 0.4, "ema_decay": 0.9, "steps_per_epoch": 7},
    {"dropout": 0.5, "weight_decay": 0.1, "weight_decay_on": "weights", "precision": "bf16-mixed"},
    {"model": "cnn", "cnn_widths": (4,), "augmentation": "strong", "mixing": "cutmix", "ema_decay": 0.9},
    {"random_flip": False, "random_crop_percent": 0.0},
], ids=str)  # fmt: skip
def test_stopped_and_resumed_is_the_same_as_never_stopped(
    data: Data, spec: RunSpec, tmp_path: Path, settings: dict[str, Any]
) -> None:
    spec, data = replace(spec, **settings), replace(data, unlabelled=data.test)
    whole = run(spec, data)
    saves = 0

    class Killed(Exception):
        pass

    training = variant.set_up(spec, data)

    def save() -> None:
        nonlocal saves
        saves += 1
        checkpoint.save_state(tmp_path / "state", training.state_dict())
        if saves == 9:  # in the second epoch
            raise Killed

    with pytest.raises(Killed):
        loop.run(training, nothing, nothing, save=save, save_every_seconds=0)
    resumed = variant.set_up(spec, data)
    resumed.load_state_dict(checkpoint.read_state(tmp_path / "state"))
    assert 0 < resumed.state.step < whole.state.step
    loop.run(resumed, nothing, nothing, save=nothing, save_every_seconds=1e9)
    assert same_weights(whole.state.model, resumed.state.model)
    for one, other in zip(whole.history.tables(), resumed.history.tables(), strict=True):
        assert one.to_csv() == other.to_csv()
    assert whole.best.epoch == resumed.best.epoch
    assert same_weights(whole.evaluated, resumed.evaluated)
    assert whole.history.classes_table("abc").to_csv() == resumed.history.classes_table("abc").to_csv()


def test_a_loss_that_is_not_finite_ends_the_training_as_its_outcome(data: Data, spec: RunSpec, tmp_path: Path) -> None:
    outputs = TrainOutputs(tmp_path / "models", tmp_path / "plots", tmp_path / "metrics.json")
    diverging = replace(spec, optimizer="sgd", lr=1e30)
    (record,) = variant.train_variant([diverging], data, outputs, Conduct())
    assert record.outcome == "diverged"
    assert "at step" in record.reading
    assert "learning rate 1e+30" in record.reading
    assert "gradient norm" in record.reading
    assert record.steps < 21
    assert record.selected_epoch == 0  # no epoch ended with a finite loss: the untrained weights
    assert math.isfinite(record.test["loss"])
    assert (tmp_path / "models/baseline-s0/weights.safetensors").exists()


def test_clipping_bounds_the_step_and_is_not_seen_in_the_norms(data: Data, spec: RunSpec) -> None:
    plain = run(replace(spec, optimizer="sgd", lr=0.1, epochs=1), data)
    clipped = run(replace(spec, optimizer="sgd", lr=0.1, epochs=1, clip_norm=1e-3), data)
    first = plain.history.steps[0][6]
    assert clipped.history.steps[0][6] == first > 1e-3
    start = variant.set_up(spec, data).state.model.state_dict()
    moved = [
        sum((w - start[k]).square().sum() for k, w in t.state.model.state_dict().items()).sqrt()
        for t in (plain, clipped)
    ]
    assert moved[1] <= 7 * 0.1 * 1e-3 * 1.01 < moved[0]


def test_the_best_epoch_is_chosen_on_val(data: Data, spec: RunSpec) -> None:
    best = loop.Best()
    finite = {"loss": 2.0, "accuracy": 0.5}
    assert best.is_beaten_by({"loss": math.inf, "accuracy": 0.9}, "val_loss")  # something is better than nothing
    best = loop.Best(0, {"loss": 1.0, "accuracy": 0.1}, {"w": torch.zeros(1)})
    assert best.is_beaten_by(finite, "val_loss")  # the untrained weights are no candidate
    assert not best.is_beaten_by({"loss": math.nan, "accuracy": 0.9}, "val_loss")
    best = loop.Best(3, finite, {"w": torch.zeros(1)})
    assert not best.is_beaten_by({"loss": 2.0, "accuracy": 0.9}, "val_loss")
    assert best.is_beaten_by({"loss": 3.0, "accuracy": 0.9}, "val_accuracy")
    training = run(replace(spec, lr=0.01), data)
    losses = training.history.tables()[1]["val_loss"].tolist()[1:]
    assert training.best.epoch == 1 + losses.index(min(losses))


def test_onecycle_rises_then_falls(data: Data, spec: RunSpec) -> None:
    rates = run(replace(spec, scheduler="onecycle", epochs=10), data).history.tables()[0]["learning_rate"].tolist()
    top = rates.index(max(rates))
    assert rates[0] == pytest.approx(1e-3 / 25)
    assert max(rates) == pytest.approx(1e-3)
    assert top == 6  # a tenth of 70 steps
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(1e-3 / 25 / 10)


def test_onecycle_that_cannot_rise_says_so(data: Data, spec: RunSpec) -> None:
    with pytest.raises(SettingsError, match=r"onecycle_pct_start 0\.1 of 7 steps is 0\.7 steps"):
        variant.set_up(replace(spec, scheduler="onecycle", epochs=1), data)


def test_evaluate_agrees_with_a_slow_reference_and_leaves_the_model_alone(data: Data, resnet_spec: RunSpec) -> None:
    model = build_model(resnet_spec, data).train()
    before = checkpoint.snapshot(model)
    result = evaluate(model, data.test, data)
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    model.eval()
    right, losses = 0, []
    for image, label in zip(data.test.images, data.test.labels, strict=True):
        pixels = (torch.tensor(image).permute(2, 0, 1)[None] / 255 - 0.4) / 0.3
        logits = model(pixels)
        right += int(logits.argmax()) == label
        losses.append(functional.cross_entropy(logits, torch.tensor([label])).item())
    assert result.accuracy == right / 30
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert result.probabilities.sum(axis=1) == pytest.approx(np.ones(30), rel=1e-5)


def test_the_averaged_weights_are_evaluated_and_kept(data: Data, spec: RunSpec) -> None:
    """The average by its definition, over the steps of a plain loop: the first step's weights, then each a tenth."""
    averaged = run(replace(spec, ema_decay=0.9), data)
    reference = variant.set_up(spec, data)
    optimizer = torch.optim.Adam(reference.state.model.parameters(), lr=1e-3)
    average: list[torch.Tensor] = []
    for epoch in (1, 2, 3):
        for batch in reference.batches.epoch(epoch):
            optimizer.zero_grad()
            functional.cross_entropy(reference.state.model(batch.images), batch.labels).backward()
            optimizer.step()
            weights = [parameter.detach().clone() for parameter in reference.state.model.parameters()]
            pairs = zip(average or weights, weights, strict=True)
            average = [0.9 * old + 0.1 * new for old, new in pairs] if average else weights
    for found, expected in zip(averaged.evaluated.parameters(), average, strict=True):
        assert torch.allclose(found, expected, atol=1e-6)
    assert not same_weights(averaged.evaluated, averaged.state.model)
    last = averaged.history.epochs[-1]
    result = evaluate(averaged.evaluated, data.val, data)
    assert last[averaged.history.epoch_columns.index("val_loss")] == result.loss
    if averaged.best.epoch == 3:
        assert torch.equal(averaged.best.weights["1.weight"], averaged.evaluated.state_dict()["1.weight"])


def test_an_average_takes_what_batch_normalization_has_seen_as_it_is(data: Data, spec: RunSpec) -> None:
    training = run(replace(spec, model="cnn", cnn_widths=(4,), ema_decay=0.9, epochs=1), data)
    model, averaged = training.state.model.state_dict(), training.evaluated.state_dict()
    assert torch.equal(model["1.running_mean"], averaged["1.running_mean"])
    assert not torch.equal(model["1.weight"], averaged["1.weight"])


def test_patience_ends_the_training_and_keeps_the_best(data: Data, spec: RunSpec, tmp_path: Path) -> None:
    """At a rate of 0 no epoch is better than the first."""
    stale = replace(spec, lr=0.0, epochs=9, patience_epochs=2)
    training = run(stale, data)
    assert [row[0] for row in training.history.epochs] == [0, 1, 2, 3]
    assert training.best.epoch == 1
    (record,) = variant.train_variant(
        [stale], data, TrainOutputs(tmp_path / "m", tmp_path / "p", tmp_path / "metrics.json"), Conduct()
    )
    assert record.reading.startswith("stopped after epoch 3 of 9: val_loss no better for 2; epoch 1 chosen")
    assert record.outcome == "finished"
    assert len(run(replace(spec, lr=0.01, epochs=9, patience_epochs=9), data).history.epochs) == 10  # it learns


def test_an_objective_that_counts_leaves_a_table_of_classes(data: Data, spec: RunSpec, tmp_path: Path) -> None:
    outputs = TrainOutputs(tmp_path / "models", tmp_path / "plots", tmp_path / "metrics.json")
    semi = replace(spec, objective="fixmatch", threshold=0.4, unlabelled_ratio=2)
    variant.train_variant([semi], replace(data, unlabelled=data.test), outputs, Conduct())
    classes = pd.read_csv(tmp_path / "plots/baseline-s0-classes.csv")
    assert classes["class"].tolist() == 3 * data.class_names
    steps = pd.read_csv(tmp_path / "plots/baseline-s0-steps.csv")
    per_step = 2 * np.diff(steps["examples_seen"], prepend=0)
    assert classes["n"].sum() == 7 * 3 * 2 * 8 == per_step[:6].sum() * 3 + 3 * 2 * 8
    confident = (steps["mask_rate"] * 16).groupby(steps["epoch"]).sum()
    assert classes.groupby("epoch")["n_confident"].sum().tolist() == pytest.approx(confident.tolist())
    assert (classes["n_right"] <= classes["n_known"]).all()


def test_what_is_evaluated_is_computed_in_32_bits(data: Data, spec: RunSpec) -> None:
    training = run(replace(spec, model="cnn", cnn_widths=(8,), precision="bf16-mixed"), data)
    images = torch.rand(9, 3, 12, 12)
    training.evaluated.eval()
    training.state.model.eval()
    exact = training.evaluated.double()(images.double())
    assert torch.allclose(training.evaluated.float()(images).double(), exact, atol=1e-5)
    assert not torch.allclose(training.state.model(images).double(), exact, atol=1e-5)  # as the training computes


def test_half_precision_without_an_accelerator_says_so(data: Data, spec: RunSpec) -> None:
    with pytest.raises(SettingsError, match="precision: 16-mixed needs an accelerator; set precision: bf16-mixed"):
        variant.set_up(replace(spec, precision="16-mixed", accelerator="cpu"), data)


def test_half_precision_measures_and_clips_gradients_of_the_loss_itself(
    data: Data, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor, which torch can scale for, too: with what an accelerator would be given."""
    monkeypatch.setattr(variant, "fabric_for", lambda spec: half_precision(spec, "cpu"))
    plain, half = replace(spec, optimizer="sgd", lr=0.1, clip_norm=0.05), replace(spec, optimizer="sgd", lr=0.1)
    trained = run(plain, data)
    assert trained.state.scaler is not None
    assert trained.state.scaler.get_scale() > 1000
    monkeypatch.undo()
    exact = run(plain, data)
    columns = [exact.history.step_columns.index(name) for name in ("training_loss", "gradient_norm_total")]
    for found, expected in zip(trained.history.steps, exact.history.steps, strict=True):
        assert [found[c] for c in columns] == pytest.approx([expected[c] for c in columns], rel=0.02)
    unclipped = run(half, data)
    assert not same_weights(unclipped.state.model, exact.state.model)
    for one, other in zip(trained.evaluated.parameters(), exact.evaluated.parameters(), strict=True):
        assert torch.allclose(one, other, atol=2e-3)
