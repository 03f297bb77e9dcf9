"""Each tracker's own files are read back and held against what was told; a broken one stops nothing."""

import json
import resource
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from pawprint import tracking
from pawprint.diagnostics.histograms import BINS
from pawprint.interruption import Interrupted, stoppable
from pawprint.tracking.spool import settle
from pawprint.training.variant import train_variant
from pawprint.types import Conduct, Data, RunSpec, TrainOutputs
from tests.tracking.offline import history, offline_records


def train(spec: RunSpec, data: Data, folder: Path, *trackers: str) -> TrainOutputs:
    outputs = TrainOutputs(folder / "models", folder / "plots", folder / "metrics.json")
    train_variant([spec], data, outputs, Conduct(trackers))
    return outputs


def test_wandb_holds_the_very_numbers_of_the_metrics_files(
    data: Data, spec: RunSpec, tmp_path: Path, runs_folder: Path
) -> None:
    outputs = train(spec, data, tmp_path, "wandb")
    records = offline_records(runs_folder)
    logged = history(records)
    steps = pd.read_csv(outputs.curves / "baseline-s0-steps.csv")
    epochs = pd.read_csv(outputs.curves / "baseline-s0-epochs.csv")
    by_step = {row["_step"]: row for row in logged}
    for row in steps.to_dict("records"):
        for name in ("training_loss", "learning_rate", "gradient_norm_mean", "gradient_norm_total", "examples_seen"):
            assert by_step[row["step"]][name] == row[name]
    for row in epochs.to_dict("records"):
        assert by_step[row["step"]]["val_loss"] == row["val_loss"]
        assert by_step[row["step"]]["val_accuracy"] == row["val_accuracy"]
    metrics = json.loads(outputs.metrics.read_text())["baseline-s0"]
    last = by_step[max(by_step)]
    assert (last["test_loss"], last["test_accuracy"]) == (metrics["test_loss"], metrics["test_accuracy"])
    whole = json.dumps(records)
    assert "baseline-lr1e-3-bs8-none-s0" in whole
    for setting in ("batch_size", "onecycle_pct_start", "mlp_widths", "split_hash"):
        assert setting in whole, "config holds the whole RunSpec"


def test_dvclive_holds_the_epochs(data: Data, spec: RunSpec, tmp_path: Path, runs_folder: Path,
                                  monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    outputs = train(spec, data, tmp_path, "dvclive")
    folder = runs_folder / "dvclive" / spec.name
    metrics = json.loads((folder / "metrics.json").read_text())
    expected = json.loads(outputs.metrics.read_text())["baseline-s0"]
    assert metrics["test_accuracy"] == expected["test_accuracy"]
    told = pd.read_csv(folder / "plots/metrics/val_loss.tsv", sep="\t")
    epochs = pd.read_csv(outputs.curves / "baseline-s0-epochs.csv")
    assert told["val_loss"].tolist() == pytest.approx(epochs["val_loss"].tolist())
    assert not (tmp_path / "dvc.yaml").exists(), "the graph is ours"


def test_tensorboard_holds_the_steps(data: Data, spec: RunSpec, tmp_path: Path, runs_folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    outputs = train(spec, data, tmp_path, "tensorboard")
    events = EventAccumulator(str(runs_folder / "tensorboard" / spec.name), size_guidance={"scalars": 0}).Reload()
    steps = pd.read_csv(outputs.curves / "baseline-s0-steps.csv")
    told = [event.value for event in events.Scalars("training_loss")]
    assert told == pytest.approx(steps["training_loss"].tolist(), rel=1e-6)
    assert len(events.Scalars("test_accuracy")) == 1


class Stopping:
    """Stops the training after its third step."""

    def __init__(self, *_: Any) -> None:
        pass

    def log_step(self, values: dict[str, float], step: int) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGINT)

    def log_epoch(self, values: dict[str, float], step: int) -> None:
        """Nothing."""

    finish = log_epoch


@pytest.mark.parametrize("killed", [False, True])
def test_tensorboard_shows_histograms_and_the_graph_and_changes_no_byte(
    data: Data, resnet_spec: RunSpec, tmp_path: Path, runs_folder: Path, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With batch normalization; and told again where the training was killed."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    spec = replace(resnet_spec, diagnostics=("histograms",), diagnose_every_steps=2)
    without, generator = train(spec, data, tmp_path / "without"), torch.get_rng_state()
    if killed:
        monkeypatch.setitem(tracking.TRACKERS, "wandb", Stopping)
        with stoppable(), pytest.raises(Interrupted):
            train(spec, data, tmp_path / "with", "tensorboard", "wandb")
    with_it = train(spec, data, tmp_path / "with", "tensorboard")
    assert torch.equal(generator, torch.get_rng_state())
    assert (with_it.models / "baseline-s0/weights.safetensors").read_bytes() == (
        without.models / "baseline-s0/weights.safetensors"
    ).read_bytes()
    events = EventAccumulator(str(runs_folder / "tensorboard" / spec.name), size_guidance={"histograms": 0}).Reload()
    counted = pd.read_csv(with_it.curves / "baseline-s0-histograms.csv").set_index(["kind", "layer", "step"])
    assert set(events.Tags()["histograms"]) == {f"{kind}/{layer}" for kind, layer, _ in counted.index}
    for event in events.Histograms("gradients/layer1.0.conv1"):
        row = counted.loc[("gradients", "layer1.0.conv1", event.step)]
        assert event.histogram_value.bucket == row[list(BINS)].tolist()
        assert event.histogram_value.num == 64 * 64 * 9
    assert [event.step for event in events.Histograms("gradients/fc")] == [1, 2, 4]
    assert any("layer4" in node.name for node in events.Graph().node)


class Broken:
    def __init__(self, *_: Any) -> None:
        self.told = 0

    def log_step(self, values: dict[str, float], step: int) -> None:
        self.told += 1
        raise ConnectionError("the service is gone")

    log_epoch = finish = log_step


def test_a_tracker_that_fails_is_reported_once_and_changes_no_byte(
    data: Data, spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(tracking.TRACKERS, "wandb", Broken)
    with_it, without = train(spec, data, tmp_path / "a", "wandb"), train(spec, data, tmp_path / "b")
    assert capsys.readouterr().err.count("the service is gone") == 1
    for file in ("baseline-s0/weights.safetensors", "baseline-s0/run.json"):
        assert (with_it.models / file).read_bytes() == (without.models / file).read_bytes()


@pytest.mark.parametrize("name", ["dvclive", "tensorboard", "wandb"])
@pytest.mark.parametrize("fault", ["no folder", "full disk"])
def test_a_tracker_that_cannot_write_is_reported_once(
    name: str, fault: str, spec: RunSpec, runs_folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A file in the folder's place, as nobody may write there; files that cannot grow, as on a disk that is full."""
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    if fault == "no folder":
        runs_folder.mkdir()
        (runs_folder / name).touch()
    trackers = tracking.Trackers((name,), spec, "cannot_write", {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if fault == "full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
        for step in range(1, 101):
            trackers.log_step({"step": step, "training_loss": 1 / step}, step)
            trackers.log_epoch({"epoch": step, "step": step, "val_loss": 1 / step}, step)
        trackers.finish({"test_loss": 1.0}, 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        settle()
    assert capsys.readouterr().err.count(f"tracker {name} failed and is left out: ") == 1
    assert not trackers.trackers


def test_values_that_are_not_finite_reach_no_tracker(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, float]] = []

    class Listening(Broken):
        def log_step(self, values: dict[str, float], step: int) -> None:
            told.append(values)

    monkeypatch.setitem(tracking.TRACKERS, "wandb", Listening)
    trackers = tracking.Trackers(("wandb",), replace(spec, lr=0.1), "id", {})
    trackers.log_step({"a": float("nan"), "b": 1.0}, 1)
    assert told == [{"b": 1.0}]


def test_a_ctrl_c_that_a_tracker_swallows_at_the_end_is_answered_and_nothing_is_lost(
    data: Data, spec: RunSpec, tmp_path: Path, runs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As W&B's client does while it finishes: no step follows at which the signal could be answered."""

    class Swallowing(Broken):
        def log_step(self, values: dict[str, float], step: int) -> None:
            """Nothing."""

        log_epoch = log_step

        def finish(self, values: dict[str, float], step: int) -> None:
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    whole = train(spec, data, tmp_path / "whole")
    monkeypatch.setitem(tracking.TRACKERS, "wandb", Swallowing)
    with stoppable(), pytest.raises(Interrupted):
        train(spec, data, tmp_path / "stopped", "wandb")
    assert len(list((runs_folder / "state").iterdir())) == 1
    gone_on = train(spec, data, tmp_path / "stopped")
    assert gone_on.metrics.read_bytes() == whole.metrics.read_bytes()
