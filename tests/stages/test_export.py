"""The stage `export`: whole and held against the checkpoint, or an exit code and nothing; the same bytes anywhere."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pawprint import paths
from pawprint.data.prepared import load
from tests.in_process import pawprint

PARAMS = """
study: small
data: {source: procedural, n_per_class: 5, draw_pixels: 24, image_size: 16, test_percent: 20, classes: [Bengal, pug]}
model: cnn
cnn_widths: [4, 8]
epochs: 1
variants:
  baseline: {seeds: [10, 9]}
checks: {}
"""
EXPORT = Path("models/export/baseline")
METRICS = Path("metrics/export/baseline.json")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAWPRINT_RUNS", str(tmp_path_factory.mktemp("runs")))
        for stage in ("fetch", "prepare", "resolve", "start", "check", "train baseline"):
            name, *arguments = stage.split()
            done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
            assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def study(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "study")


def in_a_process_of_its_own(folder: Path) -> None:
    """As DVC runs it."""
    command = [sys.executable, "-m", "pawprint.stages.export", "baseline"]
    environment = os.environ | {"PYTHONPATH": str(paths.PACKAGE.parent)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_process_in_another_folder_writes_the_same_bytes(study: Path, tmp_path: Path) -> None:
    other = shutil.copytree(study, tmp_path / "somewhere else/it")
    for folder in (study, other):
        in_a_process_of_its_own(folder)
    assert files_below(study / EXPORT) == files_below(other / EXPORT)
    assert (study / METRICS).read_bytes() == (other / METRICS).read_bytes()


def test_the_record_says_what_the_files_are(study: Path) -> None:
    done = pawprint(study, "baseline", module="pawprint.stages.export")
    assert done.returncode == 0, done.stderr
    record, metrics = (
        json.loads((study / EXPORT / "export.json").read_text()),
        json.loads((study / METRICS).read_text()),
    )
    first = study / "models/train/baseline/baseline-s9"  # as `predict` takes it, and not s10
    assert record["weights_sha256"] == hashlib.sha256((first / "weights.safetensors").read_bytes()).hexdigest()
    assert record["run"] == "baseline-lr1e-3-bs32-none-s9"
    assert record["class_names"] == ["Bengal", "pug"]
    assert record["takes"] == {"name": "pictures", "shape": ["batch", 3, 16, 16], "type": "float32", "range": [0, 1]}
    assert "center crop" in record["preprocessing"]
    assert record["opset"] == 20
    assert {"torch", "onnx", "onnxruntime"} <= record["versions"].keys()
    assert any("deprecated" in line for line in record["torchscript_is_deprecated"])
    n_test = len(load(study / paths.PREPARED).test)
    assert metrics["n_pictures"] == record["parity"]["n_pictures"] == n_test
    for kind, file in record["files"].items():
        content = (study / EXPORT / file["file"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert metrics[kind]["megabytes"] == len(content) / 1e6
        assert metrics[kind]["same_answers"] == 1
        assert 0 <= metrics[kind]["largest_difference"] <= 1e-5
    assert len(done.stdout.splitlines()) == 3


def test_a_raw_picture_that_is_not_what_was_prepared_fails_the_stage_and_nothing_is_written(study: Path) -> None:
    name = load(study / paths.PREPARED).test.names[0]
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(noise).save(study / paths.FETCHED / "images" / name)
    done = pawprint(study, "baseline", module="pawprint.stages.export")
    assert (done.returncode, done.stdout) == (1, "")
    assert "model.pt2 does not answer as the checkpoint does: 1 of" in done.stderr
    assert f"{name}: " in done.stderr
    assert not (study / "models/export").exists() or not list((study / "models/export").iterdir())
    assert not (study / METRICS).exists()


def test_a_raw_picture_that_is_gone_is_named_and_nothing_is_written(study: Path) -> None:
    name = load(study / paths.PREPARED).test.names[0]
    (study / paths.FETCHED / "images" / name).unlink()
    done = pawprint(study, "baseline", module="pawprint.stages.export")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{name}: cannot be read: No such file or directory; run `dvc repro fetch`" in done.stderr
    assert not (study / METRICS).exists()


def test_a_variant_that_is_not_trained_is_told(study: Path) -> None:
    shutil.rmtree(study / "models/train/baseline")
    done = pawprint(study, "baseline", module="pawprint.stages.export")
    assert (done.returncode, done.stdout) == (1, "")
    assert "`dvc repro train@baseline` trains it" in done.stderr
