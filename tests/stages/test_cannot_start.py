"""A training that cannot start, as its stage tells it: the setting is named, exit code 2, no traceback."""

import shutil
from pathlib import Path

import pytest

from pawprint import paths
from tests.in_process import pawprint

DEEPER = "model: cnn\ncnn_widths: [4, 4, 4, 4]\n"  # for 16 px


@pytest.fixture
def folder(study: Path, tmp_path: Path) -> Path:
    shutil.copytree(study, tmp_path / "study")
    return tmp_path / "study"


def set_up(folder: Path, old: str, new: str) -> None:
    params = (folder / "params.yaml").read_text()
    assert old in params
    (folder / "params.yaml").write_text(params.replace(old, new))
    assert pawprint(folder, module="pawprint.stages.resolve").returncode == 0


@pytest.mark.parametrize(("old", "new", "said"), [
    ("model: mlp\n", "model: mlp\nprecision: 16-mixed\naccelerator: cpu\n", "precision: 16-mixed needs an accelerator"),
    # Said to be of 16 px since, and not prepared anew: the pictures that are there have 8.
    ("image_size: 8}\nmodel: mlp\n", f"image_size: 16}}\n{DEEPER}", "cnn_widths: 4 convolutions, each of which halves"),
], ids=["precision", "stale pictures"])  # fmt: skip
def test_training_names_the_setting(folder: Path, old: str, new: str, said: str) -> None:
    set_up(folder, old, new)
    done = pawprint(folder, "baseline", module="pawprint.stages.train")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / paths.train_outputs("baseline").models / "baseline-s0").exists()


def test_so_does_the_stage_before_it(folder: Path) -> None:
    set_up(folder, "image_size: 8}\nmodel: mlp\n", f"image_size: 16}}\n{DEEPER}")
    done = pawprint(folder, module="pawprint.stages.check")
    assert done.returncode == 2
    assert "baseline: cnn_widths: 4 convolutions, each of which halves" in done.stderr
    assert "Traceback" not in done.stderr
