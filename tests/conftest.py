"""What several tests start from."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pawprint.types import Data, RunSpec, Split
from tests.clone import Repository
from tests.in_process import pawprint
from tests.small_study import small_study

SMALL_STUDY = """
study: small
data: {source: digits, image_size: 8}
model: mlp
mlp_widths: [16]
epochs: 2
random_flip: false
random_crop_percent: 0.0
seeds: [0]
variants:
  baseline: {}
checks: {output_shape: {}, parameter_update: {}}
"""

# No test reaches a service or leaves tracker files in the working tree.
os.environ["WANDB_MODE"] = "offline"


@pytest.fixture
def data() -> Data:
    """Three classes of 12 x 12 colour pictures that a small model learns: each class has its own brightness."""
    draws = np.random.default_rng(0)

    def split(part: str, n: int) -> Split:
        labels = np.arange(n, dtype=np.int64) % 3
        images = draws.integers(0, 60, (n, 12, 12, 3)) + 80 * labels[:, None, None, None]
        return Split([f"{part}_{i}" for i in range(n)], images.astype(np.uint8), labels)

    return Data(
        train=split("train", 50),
        val=split("val", 21),
        test=split("test", 30),
        unlabelled=None,
        class_names=["dark", "grey", "light"],
        image_shape=(3, 12, 12),
        mean=(0.4, 0.4, 0.4),
        std=(0.3, 0.3, 0.3),
        split_hash="0" * 64,
        content_hash="1" * 64,
    )


@pytest.fixture
def spec() -> RunSpec:
    """A small MLP's training: 3 epochs of 7 steps."""
    return RunSpec(
        study="test",
        variant="baseline",
        run="baseline",
        seed=0,
        model="mlp",
        mlp_widths=(8,),
        batch_size=8,
        epochs=3,
    )


@pytest.fixture
def resnet_spec(spec: RunSpec) -> RunSpec:
    return replace(spec, model="resnet18", batch_size=16, epochs=1)


@pytest.fixture(autouse=True)
def runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Resumable states, trackers' files and timings of a test go below its own folder."""
    monkeypatch.setenv("PAWPRINT_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder up to its gate: a small MLP on the digits, ready to be trained."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "params.yaml").write_text(SMALL_STUDY)
    for stage in ("fetch", "prepare", "resolve", "check"):
        done = pawprint(folder, module=f"pawprint.stages.{stage}")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A small study whose results are in DVC's cache; not to be changed: `tests.small_study.copy` makes another."""
    return small_study(tmp_path_factory.mktemp("stored") / "clone")
