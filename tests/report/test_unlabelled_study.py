"""A small semi-supervised study through every stage: labels are hidden, and its report tells what came of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pawprint.types import CLASS_COUNTS, UNLABELLED_PARTS
from tests.in_process import pawprint

PARAMS = """
study: half
data: {source: digits, image_size: 8, labels_per_class: 6}
model: mlp
mlp_widths: [16]
optimizer: sgd
lr: 0.1
batch_size: 8
unlabelled_ratio: 2
threshold: 0.3
randaugment_magnitude: 10
epochs: 2
steps_per_epoch: 20
ema_decay: 0.9
random_flip: false
random_crop_percent: 10.0
seeds: [0, 1]
exported: [fixmatch]
variants:
  baseline: {}
  strong: {augmentation: strong}
  cutmix: {augmentation: strong, mixing: cutmix}
  self_training: {objective: self_training}
  fixmatch: {objective: fixmatch}
questions:
  unlabelled: [baseline, self_training, fixmatch]
  views: [baseline, strong, cutmix]
checks: {leakage: {}, output_shape: {}, parameter_update: {}, learning_rate: {level: warn}, initial_loss: {level: warn},
         overfit_one_batch: {level: warn}}
probes: {}
"""
VARIANTS = ("baseline", "strong", "cutmix", "self_training", "fixmatch")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("half")
    (folder / "params.yaml").write_text(PARAMS)
    stages = ["fetch", "prepare", "resolve", "pretrain", "start", "check", *(f"train {v}" for v in VARIANTS),
              *(f"test {v}" for v in VARIANTS), "compare", "report"]  # fmt: skip
    for stage in stages:
        name, *arguments = stage.split()
        done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
        assert done.returncode == 0, done.stderr
    return folder


def test_six_labels_of_each_class_are_learned_from(study: Path) -> None:
    table = pd.read_csv(study / "data/prepare/split.csv", dtype=str)
    assert table[table["split"] == "train"]["label"].value_counts().eq(6).all()
    assert len(np.load(study / "data/prepare/unlabelled_labels.npy")) == (table["split"] == "unlabelled").sum() > 900


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_that_learns_from_unlabelled_pictures_tells_of_them(study: Path, variant: str) -> None:
    steps = pd.read_csv(study / f"plots/train/{variant}/{variant}-s0-steps.csv")
    classes = study / f"plots/train/{variant}/{variant}-s0-classes.csv"
    if variant in ("baseline", "strong", "cutmix"):
        assert not set(UNLABELLED_PARTS) & set(steps.columns)
        assert not classes.exists()
        return
    assert len(steps) == 40
    assert steps[["labelled_loss", "unlabelled_loss", "mask_rate", "agreement"]].notna().all(axis=None)
    assert ((steps["training_loss"] - steps["labelled_loss"] - steps["unlabelled_loss"]).abs() < 1e-5).all()
    assert (steps["agreement"] == 1).all() == (variant == "self_training")  # it compares a view with itself
    counts = pd.read_csv(classes)
    assert list(counts.columns) == ["epoch", "class", *CLASS_COUNTS]
    assert counts["n"].sum() == 40 * 16


def test_the_checks_test_what_is_learned_from_labels(study: Path) -> None:
    report = json.loads((study / "metrics/check/report.json").read_text())
    assert set(report["mlp-16, sgd"]) > {"output_shape", "initial_loss"}
    assert not any("could not run" in finding["reading"] for found in report.values() for finding in found.values())


def test_the_report_says_what_unlabelled_pictures_were_worth(study: Path) -> None:
    answers = json.loads((study / "report/answers.json").read_text())
    about = answers["unlabelled"]
    assert about["outcome"].removeprefix("it helps: ") in ("yes", "no", "cannot tell", "measured")
    told = " ".join(about["readings"])
    assert told.count("of the unlabelled pictures counted") == 2  # of self-training and of FixMatch
    assert "their pseudo-labels were right" in told
    figures = {file.stem for file in (study / "report/figures").glob("*.png")}
    assert {"unlabelled_pseudo_labels", "unlabelled_views_1", "unlabelled_views_2", "views_views_1"} <= figures
    assert "views_views_3" in figures
    assert "views_views_4" not in figures
    page = (study / "report/index.html").read_text()
    assert "Training pictures as they are, and as fixmatch sees them: weak views, strong views." in page
    assert "Training pictures as they are, and as cutmix sees them: strong views, cutmix." in page
    assert "from_own_labels" in page  # the code that did it


def test_the_card_says_what_was_learned_from_without_labels(study: Path) -> None:
    card = (study / "report/cards/fixmatch.md").read_text()
    n = len(np.load(study / "data/prepare/unlabelled_labels.npy"))
    assert f"On 60 labelled pictures and {n:,} without labels." in card
    table = card[card.index("| setting | value |") : card.index("## From what")].rstrip().splitlines()
    assert len(table) > 20
    assert all(line.startswith("| ") for line in table)  # a blank line would end it
    assert "| threshold | 0.3 |" in table
    assert not any("cnn_widths" in line for line in table)  # an MLP reads none
