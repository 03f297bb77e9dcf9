"""The stage `compress`: every model answers and says what it is, losses are told, and test chooses nothing."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from benchmarks import compression as compression_table
from pawprint import paths
from pawprint.data.prepared import load
from pawprint.deploy.compress import AS_IS, DARKER, TURNED, Origin, compress, losses, recognized, shown
from pawprint.deploy.predictor import from_checkpoint, from_onnx
from pawprint.errors import PawprintError
from pawprint.params import compression, read_study, read_variant
from pawprint.probes import LEVEL
from pawprint.trained_model import open_model
from pawprint.types import Split
from tests.in_process import pawprint

PARAMS = """
study: small
data: {source: procedural, n_per_class: 30, draw_pixels: 24, image_size: 16, test_percent: 40, classes: [Bengal, pug]}
model: cnn
cnn_widths: [8, 16]
epochs: 6
lr: 0.003
seeds: [1]
variants:
  baseline: {}
compressed: [baseline]
compress:
  calibration_pictures: 16
  fine_tune: {epochs: 1}
  student: {cnn_widths: [4], epochs: 2}
checks: {}
"""
RUN = Path("models/train/baseline/baseline-s1")
FOLDER = paths.compressed("baseline")
ONNX_MODELS = ["float32", "int8", "trained_on", "pruned_random", "pruned_magnitude", "pruned_channels", "student",
               "student_distilled"]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compressed; not to be changed."""
    folder = tmp_path_factory.mktemp("compressed")
    (folder / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAWPRINT_RUNS", str(tmp_path_factory.mktemp("runs")))
        for stage in ("fetch", "prepare", "resolve", "start", "check", "train baseline", "compress baseline"):
            name, *arguments = stage.split()
            done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
            assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def numbers(study: Path) -> dict[str, Any]:
    return json.loads((study / paths.compress_metrics("baseline")).read_text())


def origin_of(study: Path) -> Origin:
    """As the stage has it."""
    before = Path.cwd()
    os.chdir(study)
    try:
        settings, _ = read_study(paths.PARAMS)
        opened, spec = open_model(RUN), read_variant("baseline")[0]
        description = from_checkpoint(RUN).description
        data = load(paths.PREPARED, paths.EXCLUDED)
        return Origin(opened.network, description, data, compression(settings, spec), settings.conduct)
    finally:
        os.chdir(before)


def test_every_model_is_there_and_answers_as_its_numbers_say(study: Path, numbers: dict[str, Any]) -> None:
    assert list(numbers) == ["checkpoint", "float32", "int8", "int8_dynamic", *ONNX_MODELS[2:]]
    test = load(study / "data/prepare").test
    for name in ONNX_MODELS:
        predictor = from_onnx(study / FOLDER / f"{name}.onnx")
        accuracy = float((predictor(test.images[:]).argmax(axis=1) == test.labels).mean())
        assert accuracy == numbers[name]["accuracy_as_is"] == predictor.description.test_accuracy
        assert predictor.description.run.endswith(f", {name}")
        assert numbers[name]["megabytes"] == (study / FOLDER / f"{name}.onnx").stat().st_size / 1e6
    assert (study / FOLDER / "int8_dynamic.torchscript.pt").is_file()


def test_sizes_and_shares_are_what_was_asked_for(numbers: dict[str, Any]) -> None:
    assert numbers["int8"]["megabytes"] < numbers["float32"]["megabytes"]
    assert numbers["int8"]["n_calibration"] == 16
    for name in ("pruned_random", "pruned_magnitude"):
        assert numbers[name]["zero_share"] == pytest.approx(0.7, abs=0.02)
        assert numbers[name]["megabytes_zipped"] < 0.8 * numbers["trained_on"]["megabytes_zipped"]
    assert numbers["trained_on"]["zero_share"] == 0
    assert numbers["pruned_channels"]["n_parameters"] < numbers["checkpoint"]["n_parameters"]
    assert numbers["student"]["n_parameters"] == numbers["student_distilled"]["n_parameters"]


def test_the_unchanged_model_loses_nothing(numbers: dict[str, Any]) -> None:
    for condition in (AS_IS, DARKER, TURNED):
        assert numbers["float32"][f"change_{condition}"] == 0
        assert numbers["float32"][f"is_lost_{condition}"] is False
        assert numbers["float32"][f"accuracy_{condition}"] == numbers["checkpoint"][f"accuracy_{condition}"]


def test_trained_on_and_not_pruned_begins_where_the_checkpoint_ended(numbers: dict[str, Any]) -> None:
    assert numbers["trained_on"]["accuracy_before_training_on"] == numbers["checkpoint"]["accuracy_as_is"]


def test_a_model_that_keeps_its_accuracy_and_lost_its_sight_in_the_dark_is_told_so() -> None:
    """Planted, and its healthy twin: one picture more and one less, here and there."""
    whole = {name: np.arange(200) % 10 < 6 for name in (AS_IS, DARKER, TURNED)}
    blind = whole | {DARKER: np.arange(200) % 10 < 3}
    twin = {name: right ^ (np.arange(200) < 8) for name, right in whole.items()}
    assert [name for name in whole if losses(blind, whole, LEVEL / 24)[f"is_lost_{name}"]] == [DARKER]
    assert losses(blind, whole, LEVEL / 24)[f"change_{DARKER}"] == pytest.approx(-0.3)
    assert not any(losses(twin, whole, LEVEL / 24)[f"is_lost_{name}"] for name in whole)


def test_each_condition_shows_what_it_says(study: Path) -> None:
    """A model that answers by the mean of the pictures: the dark ones are a factor darker, the turned ones are not."""
    origin, means = origin_of(study), {}

    def answer(batches: Iterable[torch.Tensor]) -> torch.Tensor:
        pictures = torch.cat(list(batches))
        means[len(means)] = pictures.mean().item()
        return torch.zeros(len(pictures), 2)

    for show in shown(origin).values():
        recognized(answer, origin.data.test, show)
    as_is, darker, turned = means.values()
    assert darker == pytest.approx(0.8 * as_is)
    assert turned == pytest.approx(as_is, rel=0.2)
    assert turned != as_is


def test_the_pruned_are_held_against_the_checkpoint_trained_on(numbers: dict[str, Any]) -> None:
    against = {name: of_model["against"] for name, of_model in numbers.items() if name != "checkpoint"}
    assert {name for name, other in against.items() if other == "trained_on"} == {
        "pruned_random", "pruned_magnitude", "pruned_channels",
    }  # fmt: skip
    for name, other in against.items():
        change = numbers[name]["accuracy_as_is"] - numbers[other]["accuracy_as_is"]
        assert numbers[name]["change_as_is"] == pytest.approx(change)


def test_test_chooses_nothing_and_the_same_goes_in_the_same_comes_out(study: Path, tmp_path: Path) -> None:
    """Of other test pictures the models are the same to the byte, but for the accuracy that they say."""
    origin = origin_of(study)
    test = origin.data.test
    others = Split(test.names, np.ascontiguousarray(255 - test.images[:]), test.labels)
    compress(replace(origin, data=replace(origin.data, test=others)), study / RUN, tmp_path / "other")
    for name in ONNX_MODELS:
        own, other = (without_text(folder / f"{name}.onnx") for folder in (study / FOLDER, tmp_path / "other"))
        assert own == other, name


def without_text(file: Path) -> bytes:
    model = onnx.load(file)
    del model.metadata_props[:]
    return model.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("compressed: [nobody]", r"compressed: there is no variant 'nobody'"),
        ("compress: {weights: 3}", r"compress: weights: no such setting; did you mean 'weights_percent'\?"),
        ("compress: {weights_percent: 100}", r"compress: weights_percent: should be less than 100, found 100"),
        ("compress: {student: {cnn_width: [4]}}", r"compress\.student: cnn_width: no such setting"),
        ("compress: {student: {objective: fixmatch}}", r"compress\.student: objective: no such setting"),
        ("compress: {student: {cnn_widths: [4, 4, 4, 4, 4]}}", r"compress\.student: cnn_widths: 5 convolutions halve"),
        ("compress: {fine_tune: {epochs: 0}}", r"compress\.fine_tune: epochs: should be greater than or equal to 1"),
        ("objective: distill", r"objective: distill learns from a teacher, which no variant has"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(line: str, said: str, tmp_path: Path) -> None:
    name = line.partition(":")[0]
    lines, inside = [], False
    for old in PARAMS.splitlines():  # without the setting's own lines
        inside = old.startswith(f"{name}:") or (inside and old.startswith(" "))
        lines += [] if inside else [old]
    (tmp_path / "params.yaml").write_text("\n".join([*lines, line, ""]))
    done = pawprint(tmp_path, module="pawprint.stages.resolve")
    assert done.returncode == 2, done.stdout
    assert re.search(said, done.stderr), done.stderr


def test_the_table_has_every_model_beside_the_checkpoint(
    study: Path, numbers: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    monkeypatch.setattr(compression_table, "ROUNDS", 1)
    compression_table.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    header, _, *models = rows
    assert [row[0] for row in models] == list(numbers)
    assert {len(row) for row in models} == {len(header)}
    assert dict(zip(header, models[0], strict=True))["times as fast"] == "1.0 (1.0 to 1.0)"


def test_without_models_the_table_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    with pytest.raises(PawprintError, match="run: dvc repro compress@baseline"):
        compression_table.main()
    (tmp_path / "params.yaml").write_text(PARAMS.replace("compressed: [baseline]", "compressed: []"))
    with pytest.raises(PawprintError, match=r"compressed: \[\]: expected the variants"):
        compression_table.main()
