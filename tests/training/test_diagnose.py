"""Diagnostics in the loop: they change nothing, survive a kill to the byte, and are written where asked for."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pawprint.training import checkpoint, diagnose, loop, variant
from pawprint.types import Conduct, Data, RunSpec, TrainOutputs

NOW_AND_THEN = ("weight_gradients", "gradient_noise", "curvature", "weight_norm")
ALL = ("layer_gradients", *NOW_AND_THEN)
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


def test_a_model_with_running_statistics_is_left_alone(data: Data, resnet_spec: RunSpec) -> None:
    plain, diagnosed = (run(replace(resnet_spec, diagnostics=d, diagnose_every_steps=1), data) for d in ((), ALL[:2]))
    for one, other in zip(
        plain.state.model.state_dict().values(), diagnosed.state.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


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


@pytest.mark.parametrize("killed_at", [2, 5, 9])
def test_stopped_and_resumed_is_the_same_as_never_stopped(
    data: Data, spec: RunSpec, tmp_path: Path, killed_at: int
) -> None:
    spec = replace(spec, **SGD, diagnostics=ALL)
    whole = run(spec, data)
    training, saves = variant.set_up(spec, data), 0

    class Killed(Exception):
        pass

    def save() -> None:
        nonlocal saves
        saves += 1
        checkpoint.save_state(tmp_path / "state", training.state_dict())
        if saves == killed_at:
            raise Killed

    with pytest.raises(Killed):
        loop.run(training, nothing, nothing, save=save, save_every_seconds=0)
    resumed = variant.set_up(spec, data)
    resumed.load_state_dict(checkpoint.read_state(tmp_path / "state"))
    assert resumed.state.step == killed_at
    loop.run(resumed, nothing, nothing, save=nothing, save_every_seconds=1e9)
    assert whole.history.diagnostics_table().to_csv() == resumed.history.diagnostics_table().to_csv()


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
    for name, diagnostics in (("without", ()), ("with", ("gradient_noise",))):
        outputs = TrainOutputs(tmp_path / name, tmp_path / name, tmp_path / name / "metrics.json")
        variant.train_variant([replace(spec, diagnostics=diagnostics)], data, outputs, Conduct())
    assert not (tmp_path / "without/baseline-s0-diagnostics.csv").exists()
    table = pd.read_csv(tmp_path / "with/baseline-s0-diagnostics.csv")
    assert table["quantity"].unique().tolist() == [
        "probe_loss", "gradient_norm", "gradient_square", "noise_trace", "noise_norm", "noise_scale",
        "noise_share",
    ]  # fmt: skip
    assert table["step"].unique().tolist() == [1]  # 21 steps, and one in 50
