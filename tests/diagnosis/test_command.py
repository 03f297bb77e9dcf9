"""`pawprint diagnose`: runs of a study and CSVs of curves, told to a person and to programs, with an exit code."""

import json
import shutil
from pathlib import Path

import pytest

from tests.in_process import Done, pawprint

PARAMS = """
study: tiny
data: {source: digits, image_size: 8}
model: mlp
mlp_widths: [32]
batch_size: 64
epochs: 4
random_flip: false
random_crop_percent: 0.0
seeds: [0, 1]
variants:
  baseline: {}
  high: {lr: 1.0, diagnostics: [layer_gradients]}
checks: {output_shape: {}}
"""
STAGES = ("fetch", "prepare", "resolve", "pretrain", "start", "check", "train baseline", "train high")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAWPRINT_RUNS", str(folder / "runs"))
        for stage in STAGES:
            name, *arguments = stage.split()
            done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
            assert done.returncode == 0, done.stderr
    return folder


def diagnose(folder: Path, *arguments: str) -> Done:
    return pawprint(folder, "diagnose", *arguments)


def test_a_healthy_variant_has_no_alarm(study: Path) -> None:
    done = diagnose(study, "baseline")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("baseline  seeds 0, 1\n  no alarm\n")
    assert "not judged: which layer is ill: no `diagnostics: [layer_gradients]`" in done.stdout


def test_a_rate_far_too_large_is_told_with_evidence_and_what_to_try(study: Path) -> None:
    done = diagnose(study, "high")
    assert done.returncode == 1
    assert "learning rate too large, almost certain" in done.stdout
    assert "try -S lr=0.1  lower the rate" in done.stdout
    assert "pawprint train --variant high --" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_programs_get_numbers(study: Path) -> None:
    done = diagnose(study, "high/high-s1", "baseline", "--json")
    ill, healthy = json.loads(done.stdout)
    assert done.returncode == 1
    assert (ill["run"], ill["seeds"], ill["alarm"]) == ("high", [1], True)
    first = ill["symptoms"][0]
    assert first["kind"] in ("rate_too_large", "exploding")
    assert 0.5 <= first["confidence"] <= 1
    assert first["remedies"][0]["settings"]
    assert (healthy["seeds"], healthy["alarm"]) == ([0, 1], False)


def test_curves_alone_say_the_same_of_the_ill_run(study: Path, tmp_path: Path) -> None:
    shutil.copy(study / "plots/train/high/high-s0-steps.csv", tmp_path)
    done = diagnose(tmp_path, "high-s0-steps.csv")
    assert done.returncode == 1
    assert "learning rate too large, almost certain" in done.stdout
    assert "not judged: over-fitting" in done.stdout
    shutil.copy(study / "plots/train/baseline/baseline-s0-steps.csv", tmp_path)
    both = json.loads(diagnose(tmp_path, "high-s0-steps.csv", "baseline-s0-steps.csv", "--json").stdout)
    assert [(one["run"], one["alarm"]) for one in both] == [("high", True), ("baseline", False)]


def test_what_was_read_as_what_is_told(study: Path, tmp_path: Path) -> None:
    steps = (study / "plots/train/high/high-s0-steps.csv").read_text()
    (tmp_path / "theirs.csv").write_text(steps.replace("training_loss", "my_loss").replace("examples_seen", "n"))
    done = diagnose(tmp_path, "theirs.csv", "--as", "my_loss=training_loss")
    assert "read theirs.csv: my_loss as training_loss" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize(("arguments", "said"), [
    (["bsaeline"], "bsaeline: no variant that has been trained (did you mean 'baseline'"),
    (["gone.csv"], "gone.csv: cannot be read: No such file or directory"),
    (["baseline", "--as", "val_loss"], "--as val_loss: of which of 0 files?"),
    (["gone.csv", "--as", "a=loss"], "--as 'a=loss': expected COLUMN=QUANTITY"),
    (["val.csv"], "val: expected a training loss among its curves"),
    (["a.csv", "a/a.csv"], "training_loss of a, seed 0, stands in a.csv too"),
], ids=["run", "file", "no file", "quantity", "val alone", "twice"])  # fmt: skip
def test_what_cannot_be_used_ends_with_2_and_says_why(
    study: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    shutil.copytree(study / "models", tmp_path / "models")
    (tmp_path / "val.csv").write_text("epoch,val_loss\n1,2.0\n2,1.5\n")
    (tmp_path / "a").mkdir()
    for place in ("a.csv", "a/a.csv"):
        (tmp_path / place).write_text("step,a - training_loss\n1,2.0\n2,1.5\n")
    done = diagnose(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_whose_curves_are_gone_names_what_brings_them(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "models", tmp_path / "models")
    done = diagnose(tmp_path, "baseline")
    assert done.returncode == 2
    assert "baseline-s0-steps.csv: no such file; `dvc pull plots/train/baseline` or `dvc repro`" in done.stderr
