"""Warnings while training: an ill run is warned of while it runs, a healthy one is not, and neither is changed."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pawprint.symptoms import Symptom
from pawprint.training import watch
from pawprint.training.variant import train_variant
from pawprint.types import Conduct, Data, RunSpec, TrainOutputs

HEALTHY_RATE = 3e-3


@pytest.fixture
def mlp(spec: RunSpec) -> RunSpec:
    return replace(spec, mlp_widths=(32, 16), epochs=12, random_crop_percent=0.0, lr=HEALTHY_RATE)


def train(spec: RunSpec, data: Data, folder: Path) -> dict[str, bytes]:
    """What is written, by name."""
    outputs = TrainOutputs(folder / "models", folder / "curves", folder / "metrics.json")
    train_variant([spec], data, outputs, Conduct(save_every_seconds=999))
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def warnings(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if "  warning: " in line]


def test_a_rate_a_hundred_times_too_large_is_warned_of_once(
    data: Data, mlp: RunSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(replace(mlp, lr=100 * HEALTHY_RATE), data, tmp_path)
    told = warnings(capsys.readouterr().err)
    assert any("rate too large" in line and "-S lr=" in line for line in told), told
    kinds = [re.search("warning: ([a-z ]+):", line)[1] for line in told]  # type: ignore[index]
    assert len(set(kinds)) == len(kinds)


def test_a_healthy_run_is_not_warned_of(
    data: Data, mlp: RunSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(mlp, data, tmp_path)
    assert warnings(capsys.readouterr().err) == []


@pytest.mark.parametrize("diagnostics", [(), ("layer_gradients", "weight_norm")])
def test_weights_and_curves_are_the_same_with_and_without_warnings(
    data: Data, mlp: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diagnostics: tuple[str, ...]
) -> None:
    ill = replace(mlp, lr=100 * HEALTHY_RATE, diagnostics=diagnostics, diagnose_every_steps=5)
    watched = train(ill, data, tmp_path / "watched")

    def nothing(*_: object) -> list[Symptom]:
        return []

    monkeypatch.setattr(watch, "warnings_of", nothing)
    assert train(ill, data, tmp_path / "alone") == watched


def test_looks_become_rarer_as_the_curves_become_longer(
    data: Data, mlp: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    monkeypatch.setattr(watch, "warnings_of", lambda curves, facts: lengths.append(len(curves.steps)) or [])
    train(replace(mlp, epochs=30), data, tmp_path)
    assert len(lengths) < 10
    assert (np.diff(lengths) >= (watch.LONGER - 1) * np.array(lengths[:-1])).all()


def test_a_rule_that_raises_ends_no_training_and_changes_no_byte(
    data: Data, mlp: RunSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = train(mlp, data, tmp_path / "healthy")

    def broken(*anything: object) -> list[Symptom]:
        raise ZeroDivisionError("a rule of no use")

    monkeypatch.setattr(watch, "warnings_of", broken)
    assert train(mlp, data, tmp_path / "broken") == healthy
    said = capsys.readouterr().err
    assert said.count("warnings are left out from here on: a rule failed: ZeroDivisionError: a rule of no use") == 1
