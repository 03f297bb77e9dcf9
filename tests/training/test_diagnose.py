"""Diagnostics in the loop: they change nothing, survive a kill to the byte, and are written where asked for."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pawprint.diagnostics.histograms import BINS, histograms
from pawprint.diagnostics.layers import weights
from pawprint.training import checkpoint, diagnose, loop, variant
from pawprint.types import Conduct, Data, RunSpec, TrainOutputs

NOW_AND_THEN = ("weight_gradients", "gradient_noise", "curvature", "weight_norm")
OF_LAYERS = ("layer_gradients", "layer_updates", "activations", "histograms")
ALL = (*OF_LAYERS, *NOW_AND_THEN)
SGD: dict[str, Any] = {"optimizer": "sgd", "lr": 0.05, "momentum": 0.5, "diagnose_every_steps": 4}


def nothing(*_: Any) -> None:
    return None


def run(spec: RunSpec, data: Data) -> loop.Training:
    training = variant.set_up(spec, data)
    loop.run(training, nothing, nothing, save=nothing, save_every_seconds=1e9)
    return training


def wide(training: loop.Training) -> pd.DataFrame:
    return training.history.diagnostics_table().pivot(index="step", columns="quantity", values="value")


@pytest.mark.parametrize("settings", [SGD, {**SGD, "optimizer": "adam"}, {**SGD, "clip_norm": 0.1}])
def test_weights_and_generators_are_the_same_with_and_without(
    data: Data, spec: RunSpec, settings: dict[str, Any]
) -> None:
    spec = replace(spec, **settings)
    plain = run(spec, data)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    diagnosed = run(replace(spec, diagnostics=ALL, diagnose_every_steps=1), data)
    assert len(wide(diagnosed)) == 21
    for one, other in zip(plain.state.model.parameters(), diagnosed.state.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert plain.history.steps == diagnosed.history.steps
    assert plain.history.epochs == diagnosed.history.epochs
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])


MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"model": "mlp", "dropout": 0.5},
    "cnn": {"model": "cnn", "cnn_widths": (4, 8), "cnn_hidden": (8,), "dropout": 0.5},
    "resnet18": {"model": "resnet18", "batch_size": 25, "epochs": 1, "ema_decay": 0.9},
}
POSSIBLE = [(model, name) for model in MODELS for name in OF_LAYERS]
POSSIBLE += [("resnet18", "weight_gradients"), ("resnet18", "weight_norm")]


@pytest.fixture(scope="module")
def bare_runs() -> dict[str, loop.Training]:
    """Trainings without diagnostics, by model; each is done once."""
    return {}


@pytest.mark.parametrize(("model", "diagnostic"), POSSIBLE)
def test_each_diagnostic_leaves_each_model_to_the_bit(
    data: Data, spec: RunSpec, model: str, diagnostic: Any, bare_runs: dict[str, loop.Training]
) -> None:
    """Weights, running statistics, averages, rows and generators; with batch normalization and with dropout."""
    spec = replace(spec, **MODELS[model])
    if model not in bare_runs:
        bare_runs[model] = run(spec, data)
        bare_runs[f"{model}, generator"] = torch.get_rng_state()
    plain, diagnosed = bare_runs[model], run(replace(spec, diagnostics=(diagnostic,), diagnose_every_steps=1), data)
    assert torch.equal(bare_runs[f"{model}, generator"], torch.get_rng_state())
    assert_same(plain, diagnosed)
    assert diagnosed.history.diagnostics or diagnosed.history.histograms


def assert_same(one: loop.Training, other: loop.Training) -> None:
    """To the bit, but for what the diagnostics measured."""
    saved = (checkpoint._packed({**t.state_dict(), "history": None}) for t in (one, other))
    assert next(saved) == next(saved)
    for rows, others in zip(one.history.tables(), other.history.tables(), strict=True):
        assert rows.to_csv() == others.to_csv()


def test_the_first_step_and_every_so_many_are_measured(data: Data, spec: RunSpec) -> None:
    table = run(replace(spec, **SGD, diagnostics=NOW_AND_THEN), data).history.diagnostics_table()
    assert table.columns.tolist() == ["step", "examples_seen", "quantity", "value"]
    assert table["step"].unique().tolist() == [1, 4, 8, 12, 16, 20]
    assert table["examples_seen"].unique().tolist() == [8, 32, 58, 90, 116, 148]  # 7 steps of 8 make 50: the last of 2
    assert table["step"].is_monotonic_increasing
    n_quantities = table["quantity"].nunique()
    assert len(table) == 6 * n_quantities
    assert n_quantities == 6 + 7 + 9 + 2
    assert table["value"].notna().all()
    bound = table.loc[table["quantity"] == "stability_bound", "value"]
    assert set(bound) == {3.0}


def test_what_is_measured_is_of_the_step_it_stands_beside(data: Data, spec: RunSpec) -> None:
    """Plain SGD on the whole set: step, slope and curvature say each other, and the steps table says the same."""
    spec = replace(spec, optimizer="sgd", lr=0.05, batch_size=50, epochs=6, random_flip=False, random_crop_percent=0.0,
                   diagnostics=NOW_AND_THEN, diagnose_every_steps=2)  # fmt: skip
    training = run(spec, data)
    measured, steps = wide(training), training.history.tables()[0].set_index("step")
    at = measured.index
    assert at.tolist() == [1, 2, 4, 6]
    assert measured["probe_loss"].to_numpy() == pytest.approx(steps.loc[at, "training_loss"], rel=1e-5)
    assert measured["gradient_norm"].to_numpy() == pytest.approx(steps.loc[at, "gradient_norm_total"], rel=1e-4)
    assert measured["step_norm"].to_numpy() == pytest.approx(0.05 * measured["gradient_norm"], rel=1e-4)
    assert measured["slope_along_step"].to_numpy() == pytest.approx(-measured["gradient_norm"], rel=1e-4)
    assert measured["curvature_along_step"].to_numpy() == pytest.approx(measured["curvature_along_gradient"], rel=1e-3)
    assert (measured["noise_share"] == 0).all()


def test_the_rate_is_that_of_the_step(data: Data, spec: RunSpec) -> None:
    training = run(replace(spec, **SGD, scheduler="onecycle", diagnostics=("curvature",)), data)
    measured, steps = wide(training), training.history.tables()[0].set_index("step")
    rates = steps.loc[measured.index, "learning_rate"]
    assert rates.nunique() > 3
    assert measured["lr_times_eigenvalue"].to_numpy() == pytest.approx(rates * measured["eigenvalue_max"])


def test_layers_gradients_are_those_of_each_step_and_make_its_norm(data: Data, spec: RunSpec) -> None:
    """Before clipping; and of the step that ends a training, too."""
    training = run(replace(spec, **SGD, clip_norm=0.01, diagnostics=("layer_gradients",)), data)
    measured, steps = wide(training), training.history.tables()[0].set_index("step")
    assert measured.index.tolist() == steps.index.tolist()
    layers = {
        name: layer for name, layer in training.state.model.module.named_modules() if list(layer.parameters(False))
    }
    squares = sum(
        measured[f"gradient_of_layer_{name}"] ** 2 * sum(p.numel() for p in layer.parameters(False))
        for name, layer in layers.items()
    )
    assert squares.to_numpy() ** 0.5 == pytest.approx(steps["gradient_norm_total"].to_numpy(), rel=1e-6)
    diverged = run(replace(spec, optimizer="sgd", lr=1e30, diagnostics=("layer_gradients",)), data)
    assert wide(diverged).index[-1] == diverged.history.tables()[0]["step"].iloc[-1]


def test_updates_are_of_the_step_they_stand_beside(data: Data, spec: RunSpec) -> None:
    """Plain SGD: rate times gradient. A step clipped to nothing moves nothing, one that diverges is not taken."""
    spec = replace(spec, optimizer="sgd", lr=0.05, diagnostics=("layer_updates", "layer_gradients", "weight_norm"))
    spec = replace(spec, mlp_widths=(), diagnose_every_steps=3)
    training = run(spec, data)
    measured = wide(training).loc[[1, 3, 21]]
    n_weights = sum(parameter.numel() for parameter in training.state.model.parameters())
    norm = (measured["weight_norm"] ** 2 + measured["bias_norm"] ** 2) ** 0.5
    expected = 0.05 * measured["gradient_of_layer_1"] * n_weights**0.5 / norm
    assert measured["update_ratio_of_layer_1"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-4)
    clipped = wide(run(replace(spec, clip_norm=1e-20), data))
    assert clipped["update_ratio_of_layer_1"].dropna().max() < 1e-15
    diverged = run(replace(spec, mlp_widths=(8,), lr=1e30, diagnose_every_steps=1), data)
    assert diverged.diverged
    assert wide(diverged)["update_ratio_of_layer_1"].notna().sum() == diverged.state.step


@pytest.mark.parametrize("objective", ["self_training", "fixmatch"])
def test_layers_are_measured_where_unlabelled_pictures_are_learned_from(
    data: Data, spec: RunSpec, objective: Any
) -> None:
    few = replace(data, unlabelled=data.train)
    spec = replace(spec, objective=objective, unlabelled_ratio=2, diagnose_every_steps=1, ema_decay=0.9, dropout=0.5)
    plain, diagnosed = run(spec, few), run(replace(spec, diagnostics=OF_LAYERS), few)
    assert_same(plain, diagnosed)
    assert wide(diagnosed).notna().all(axis=None)


@pytest.mark.parametrize("killed_at", [2, 5, 9])
def test_stopped_and_resumed_is_the_same_as_never_stopped(
    data: Data, spec: RunSpec, tmp_path: Path, killed_at: int
) -> None:
    spec = replace(spec, **SGD, diagnostics=ALL)
    whole, resumed = run(spec, data), killed_and_resumed(spec, data, tmp_path / "state", killed_at)
    assert whole.history.diagnostics_table().to_csv() == resumed.history.diagnostics_table().to_csv()
    assert whole.history.histograms_table().to_csv() == resumed.history.histograms_table().to_csv()
    assert_same(run(replace(spec, diagnostics=()), data), resumed)


def killed_and_resumed(spec: RunSpec, data: Data, file: Path, killed_at: int) -> loop.Training:
    """The training, killed when this many steps are done, and another process's that goes on from what it saved."""
    training = variant.set_up(spec, data)

    class Killed(Exception):
        pass

    def save() -> None:
        checkpoint.save_state(file, training.state_dict())
        if training.state.step == killed_at:
            raise Killed

    with pytest.raises(Killed):
        loop.run(training, nothing, nothing, save=save, save_every_seconds=0)
    resumed = variant.set_up(spec, data)
    resumed.load_state_dict(checkpoint.read_state(file))
    loop.run(resumed, nothing, nothing, save=nothing, save_every_seconds=1e9)
    return resumed


@pytest.mark.parametrize("model", MODELS)
def test_each_model_resumed_with_diagnostics_of_layers_is_what_it_would_have_been_without(
    data: Data, spec: RunSpec, model: str, tmp_path: Path, bare_runs: dict[str, loop.Training]
) -> None:
    spec = replace(spec, **MODELS[model], diagnose_every_steps=2)
    whole = run(replace(spec, diagnostics=OF_LAYERS), data)
    resumed = killed_and_resumed(replace(spec, diagnostics=OF_LAYERS), data, tmp_path / "state", killed_at=1)
    assert_same(run(spec, data), resumed)
    for table in ("diagnostics_table", "histograms_table"):
        assert getattr(whole.history, table)().to_csv() == getattr(resumed.history, table)().to_csv()


def test_histograms_are_of_weights_before_a_step_and_of_what_it_adds(data: Data, spec: RunSpec) -> None:
    """Plain SGD with a rate of 1: what is added is the gradient, with the other sign."""
    spec = replace(spec, optimizer="sgd", lr=1.0, mlp_widths=(), diagnostics=("histograms",), diagnose_every_steps=4)
    training = run(spec, data)
    table = training.history.histograms_table()
    assert table["step"].unique().tolist() == [1, 4, 8, 12, 16, 20]
    assert (table[list(BINS)].sum(axis=1) + table["not_finite"] == 432 * 3 + 3).all()
    counts = table.set_index(["step", "kind"])[list(BINS)]
    for step in (4, 20):
        assert counts.loc[step, "updates"].tolist()[::-1] == pytest.approx(counts.loc[step, "gradients"], abs=3)
    drawn = histograms("weights", weights(variant.set_up(spec, data).state.model.module))
    assert counts.loc[1, "weights"].tolist() == drawn["weights", "1"][1:]


def test_histograms_of_a_training_that_diverges_end_with_the_gradients_that_ended_it(data: Data, spec: RunSpec) -> None:
    spec = replace(spec, optimizer="sgd", lr=1e30, diagnostics=("histograms",), diagnose_every_steps=1)
    last = run(spec, data).history.histograms_table()
    last = last[last["step"] == last["step"].max()]
    assert last["kind"].unique().tolist() == ["weights", "gradients"]
    assert (last.loc[last["kind"] == "gradients", "not_finite"] > 0).any()


def test_a_measurement_that_is_interrupted_is_done_again(
    data: Data, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the Hessian is looked at: the step is not done, and neither is its row."""
    spec = replace(spec, **SGD, diagnostics=NOW_AND_THEN)
    whole, training = run(spec, data), variant.set_up(spec, data)
    curvature, n_measured = diagnose.curvature, 0

    def interrupted(*arguments: Any) -> dict[str, float]:
        nonlocal n_measured
        n_measured += 1
        if n_measured == 3:
            raise KeyboardInterrupt
        return curvature(*arguments)

    monkeypatch.setattr(diagnose, "curvature", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.run(training, nothing, nothing, save=nothing, save_every_seconds=1e9)
    assert training.state.step == 7
    assert training.history.diagnostics_table()["step"].max() == 4
    resumed = variant.set_up(spec, data)
    resumed.load_state_dict(training.state_dict())
    loop.run(resumed, nothing, nothing, save=nothing, save_every_seconds=1e9)
    assert whole.history.diagnostics_table().to_csv() == resumed.history.diagnostics_table().to_csv()


def test_a_training_that_diverges_is_measured_to_its_end(data: Data, spec: RunSpec) -> None:
    training = run(replace(spec, **{**SGD, "lr": 1e30}, diagnostics=ALL), data)
    measured = wide(training)
    assert training.diverged
    assert math.isfinite(measured.loc[1, "step_norm"])
    last = run(replace(spec, **{**SGD, "lr": 1e30, "diagnose_every_steps": 1}, diagnostics=ALL), data)
    assert wide(last).index[-1] == last.history.steps[-1][0]


def test_the_file_is_there_when_asked_for(data: Data, spec: RunSpec, tmp_path: Path) -> None:
    for name, diagnostics in (("without", ()), ("with", ("gradient_noise", "histograms"))):
        outputs = TrainOutputs(tmp_path / name, tmp_path / name, tmp_path / name / "metrics.json")
        variant.train_variant([replace(spec, diagnostics=diagnostics)], data, outputs, Conduct())
    for kind in ("diagnostics", "histograms"):
        assert not (tmp_path / f"without/baseline-s0-{kind}.csv").exists()
    counted = pd.read_csv(tmp_path / "with/baseline-s0-histograms.csv")
    assert counted.columns.tolist() == ["step", "examples_seen", "kind", "layer", "not_finite", *BINS]
    assert len(counted) == 6  # three kinds of two layers
    table = pd.read_csv(tmp_path / "with/baseline-s0-diagnostics.csv")
    assert table["quantity"].unique().tolist() == [
        "probe_loss", "gradient_norm", "gradient_square", "noise_trace", "noise_norm", "noise_scale",
        "noise_share",
    ]  # fmt: skip
    assert table["step"].unique().tolist() == [1]  # 21 steps, and one in 50
