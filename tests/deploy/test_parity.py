"""A file that answers otherwise than its checkpoint is refused by name and number, and leaves nothing behind."""

import copy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pawprint.data.prepared import load
from pawprint.deploy.export import export
from pawprint.deploy.formats import Standardized
from pawprint.deploy.parity import BATCH_SIZES, Parity, answers_to_files, raw_files
from pawprint.deploy.predictor import Predictor, from_opened
from pawprint.errors import PawprintError
from pawprint.trained_model import Opened, open_model
from pawprint.types import Split

NAMES = ["a.png", "b.png", "c.png"]
CLASSES = ["cat", "dog"]


@pytest.fixture
def opened(exported: Path) -> Opened:
    return open_model(exported / "models/train/baseline/baseline-s0")


@pytest.fixture
def checkpoint(opened: Opened) -> Predictor:
    return from_opened(opened)


@pytest.fixture
def pictures(exported: Path) -> Split:
    return load(exported / "data/prepare").test


@pytest.fixture
def files(exported: Path, pictures: Split) -> list[Path | bytes]:
    return raw_files(pictures, exported / "data/fetch")


def healthy(opened: Opened) -> Standardized:
    return Standardized(copy.deepcopy(opened.network), opened.data.mean, opened.data.std)


def changed_weight(opened: Opened) -> Standardized:
    model = healthy(opened)
    with torch.no_grad():
        next(model.network.parameters())[0] += 0.2
    return model


def no_standardization(opened: Opened) -> Standardized:
    n_channels = opened.trained.input.shape[0]
    return Standardized(copy.deepcopy(opened.network), [0.0] * n_channels, [1.0] * n_channels)


def statistics_of_another_set(opened: Opened) -> Standardized:
    return Standardized(copy.deepcopy(opened.network), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Reversed(Standardized):
    """As whoever reads pictures with OpenCV has it: blue first."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return super().forward(pictures.flip(1))


def blue_first(opened: Opened) -> Standardized:
    return Reversed(copy.deepcopy(opened.network), opened.data.mean, opened.data.std)


class OfItsBatch(Standardized):
    """Its answer to a picture depends on the others."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return super().forward(pictures - 0.1 * pictures.mean(dim=0, keepdim=True))


def of_its_batch(opened: Opened) -> Standardized:
    return OfItsBatch(copy.deepcopy(opened.network), opened.data.mean, opened.data.std)


def test_a_healthy_export_answers_as_the_checkpoint(
    opened: Opened, checkpoint: Predictor, pictures: Split, files: list[Path | bytes], tmp_path: Path
) -> None:
    numbers = export(healthy(opened), checkpoint, pictures, files, tmp_path / "export")
    assert numbers["n_pictures"] == len(pictures) > 0
    for kind in ("program", "onnx", "torchscript"):
        assert numbers[kind]["same_answers"] == 1
        assert 0 <= numbers[kind]["largest_difference"] < 1e-5
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == [
        "export.json", "model.onnx", "model.pt2", "model.torchscript.pt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "plant", [changed_weight, no_standardization, statistics_of_another_set, blue_first, of_its_batch]
)
def test_an_export_of_another_model_is_refused_and_what_was_there_stays(
    plant, opened: Opened, checkpoint: Predictor, pictures: Split, files: list[Path | bytes], tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export/model.onnx").write_text("of the last time")
    with pytest.raises(PawprintError, match=r"model\.pt2 does not answer as the checkpoint does") as refused:
        export(plant(opened), checkpoint, pictures, files, tmp_path / "export")
    assert any(name in str(refused.value) for name in pictures.names)
    assert "the checkpoint's" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert [path.read_text() for path in (tmp_path / "export").iterdir()] == ["of the last time"]


def test_pictures_that_are_not_those_of_the_test_are_refused(
    opened: Opened, checkpoint: Predictor, pictures: Split, files: list[Path | bytes], tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    Image.fromarray(np.full((24, 24, 3), (0, 0, 255), dtype=np.uint8)).save(other)
    with pytest.raises(PawprintError, match=f"1 of {len(pictures)} pictures of test differ") as refused:
        export(healthy(opened), checkpoint, pictures, [*files[:-1], other], tmp_path / "export")
    assert pictures.names[-1] in str(refused.value)
    assert "raw pictures" in str(refused.value)
    assert not (tmp_path / "export").exists()


def test_the_message_has_the_answers_and_the_numbers() -> None:
    expected = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], dtype=np.float32)
    found = np.array([[0.9, 0.1], [0.6, 0.4], [0.2001, 0.7999]], dtype=np.float32)
    with pytest.raises(PawprintError) as refused:
        Parity(expected, found).refuse("model.onnx", NAMES, CLASSES)
    lines = str(refused.value).splitlines()
    assert lines[0].startswith(
        "model.onnx does not answer as the checkpoint does: 2 of 3 pictures of test differ, by 0.2"
    )
    assert lines[1] == "  b.png: cat 0.600000, the checkpoint's dog 0.600000"
    assert lines[2].startswith("  c.png: ")
    assert "0.2001" in lines[2] or "0.7999" in lines[2]


@pytest.mark.parametrize(("difference", "refused"), [(4e-6, False), (2e-5, True), (float("nan"), True)])
def test_the_limit_is_1e_5_of_a_probability(difference: float, refused: bool) -> None:
    expected = np.array([[0.7, 0.3]], dtype=np.float32)
    parity = Parity(expected, expected + np.array([[-difference, difference]], dtype=np.float32))
    if not refused:
        parity.refuse("model.onnx", NAMES[:1], CLASSES)
        return
    with pytest.raises(PawprintError, match=r"a\.png"):
        parity.refuse("model.onnx", NAMES[:1], CLASSES)


def test_a_tie_that_goes_the_other_way_is_another_answer() -> None:
    expected = np.array([[0.500001, 0.499999]], dtype=np.float32)
    with pytest.raises(PawprintError, match=r"a\.png: dog"):
        Parity(expected, expected[:, ::-1]).refuse("model.onnx", NAMES[:1], CLASSES)


def test_every_file_is_asked_once_in_its_place_in_batches_of_each_size(tmp_path: Path) -> None:
    sizes = []

    def answer(batches: Iterable[torch.Tensor]) -> torch.Tensor:
        (images,) = batches
        sizes.append(len(images))
        return images[:, 0, 0, :1].double().log()

    values = np.arange(1, 101, dtype=np.uint8)
    split = Split([str(v) for v in values], values[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8), values * 0)
    (tmp_path / "images.npy").touch()  # as a source of arrays leaves it
    found = answers_to_files({"it": answer}, raw_files(split, tmp_path), (1, 8, 8))["it"]
    np.testing.assert_allclose(found[:, 0], values / 255, rtol=1e-6)
    assert set(BATCH_SIZES) <= set(sizes)
    assert sum(sizes) == 100
