"""What a person types: output, exit codes, and where things are written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.in_process import pawprint

ROOT = Path(__file__).parents[1]
SOURCE = str(ROOT / "src")


def test_help_names_commands_and_exit_codes_and_loads_nothing_heavy(tmp_path: Path) -> None:
    done = pawprint(tmp_path, "--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("train", "init-data", "Exit codes"))
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, pawprint.cli; print([m for m in ('torch', 'pandas', 'dvc', 'wandb', "
         "'matplotlib', 'pydantic', 'numpy') if m in sys.modules])"],
        env={**os.environ, "PYTHONPATH": SOURCE}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "[]"


def test_train_by_hand_writes_below_runs_and_results_to_stdout(study: Path, tmp_path: Path) -> None:
    done = pawprint(study, "train", "--variant", "baseline", "--lr", "1e-2", "--out", str(tmp_path / "out"), "--quiet")
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first.startswith("baseline-lr1e-2-bs32-none-s0: finished 2 epochs")
    assert str(tmp_path / "out") in last
    assert done.stderr == ""
    assert (tmp_path / "out/models/train/baseline/baseline-s0/weights.safetensors").exists()
    assert not (study / "models").exists(), "DVC's outputs are not touched"


def test_train_refuses_to_write_among_dvcs_outputs(study: Path) -> None:
    done = pawprint(study, "train", "--out", "models/mine")
    assert done.returncode == 2
    assert "only `dvc repro` writes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lrr", "1"], "did you mean 'lr'?"),
        (["--lr", "fast"], "should be a valid number, found 'fast'"),
        (["--variant", "basline"], "did you mean 'baseline'?"),
        (["--seed", "9"], "baseline has the seeds [0]"),
    ],
)
def test_bad_options_end_with_2_and_one_message(study: Path, arguments: list[str], said: str) -> None:
    done = pawprint(study, "train", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_check_stops_with_its_report_and_without_a_gate(study: Path, tmp_path: Path) -> None:
    """Labels beyond the classes, as a label file of another data set brings them."""
    shutil.copytree(study, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("metrics", "runs"))
    labels = tmp_path / "data/prepare/train_labels.npy"
    np.save(labels, np.load(labels) + 1)
    done = pawprint(tmp_path, module="pawprint.stages.check")
    assert done.returncode == 1
    assert "nothing is trained before this is mended" in done.stderr
    assert "train's labels: 108 of 1079 are out of range" in done.stderr
    assert '"passed": false' in (tmp_path / "metrics/check/report.json").read_text()
    assert not (tmp_path / "metrics/check/gate.json").exists()


def test_a_warning_check_does_not_stop(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("metrics", "runs"))
    (tmp_path / "params.yaml").write_text(
        (study / "params.yaml").read_text().replace("output_shape: {}", "output_shape: {level: warn}")
    )
    labels = tmp_path / "data/prepare/val_labels.npy"
    np.save(labels, np.load(labels) + 1)
    done = pawprint(tmp_path, module="pawprint.stages.check")
    assert done.returncode == 0, done.stderr
    assert "FAILED" in done.stdout
    assert (tmp_path / "metrics/check/gate.json").read_text() == (study / "metrics/check/gate.json").read_text()


def test_a_check_that_is_not_there_is_named(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("metrics", "runs"))
    (tmp_path / "params.yaml").write_text(
        (study / "params.yaml").read_text().replace("output_shape: {}", "output_shap: {}")
    )
    done = pawprint(tmp_path, module="pawprint.stages.check")
    assert done.returncode == 2
    assert "did you mean 'output_shape'?" in done.stderr


def test_init_data_points_the_study_at_a_folder(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    for label in ("cat", "dog"):
        for number in range(5):
            path = tmp_path / "mine" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), (40 * number, 0, 0)).save(path)
    done = pawprint(tmp_path, "init-data", "mine")
    assert done.returncode == 0, done.stderr
    assert "10 pictures of 2 classes" in done.stdout
    assert "source: folder" in (tmp_path / "params.yaml").read_text()
    (tmp_path / "mine/cat/broken.jpg").write_text("no picture")
    before = (tmp_path / "params.yaml").read_text()
    done = pawprint(tmp_path, "init-data", "mine")
    assert done.returncode == 1
    assert "broken.jpg" in done.stderr
    assert (tmp_path / "params.yaml").read_text() == before
