"""A predictor answers the same whatever runs it; a file that is of no use is refused by name, before any picture."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from pawprint.data.prepared import load
from pawprint.deploy.description import AGAIN
from pawprint.deploy.predictor import Averaging, Predictor, from_checkpoint, from_onnx, from_opened, open_predictor
from pawprint.errors import DataError, PawprintError
from pawprint.models import build_model
from pawprint.params import read_resolved
from pawprint.trained_model import open_model
from pawprint.training.checkpoint import load_weights
from pawprint.training.evaluate import evaluate

CHECKPOINT = "models/train/baseline/baseline-s0"
ONNX = "models/export/baseline/model.onnx"


@pytest.fixture
def predictors(exported: Path) -> dict[str, Predictor]:
    return {"checkpoint": from_checkpoint(exported / CHECKPOINT), "onnx": from_onnx(exported / ONNX)}


@pytest.fixture
def pictures(exported: Path) -> np.ndarray:
    return np.asarray(load(exported / "data/prepare").test.images)


def test_a_checkpoint_answers_as_the_evaluation_does(
    exported: Path, predictors: dict[str, Predictor], pictures: np.ndarray
) -> None:
    data = load(exported / "data/prepare")
    (spec,) = read_resolved(exported / "params/baseline.yaml")
    network = load_weights(exported / CHECKPOINT / "weights.safetensors", build_model(spec, data))
    np.testing.assert_array_equal(predictors["checkpoint"](pictures), evaluate(network, data.test, data).probabilities)


def test_both_say_the_same_of_the_model_and_of_pictures(predictors: dict[str, Predictor], pictures: np.ndarray) -> None:
    checkpoint, exported = predictors["checkpoint"], predictors["onnx"]
    assert exported.description == checkpoint.description
    assert exported.class_names == ["Bengal", "pug"]
    assert exported.image_shape == (3, 16, 16)
    np.testing.assert_allclose(exported(pictures), checkpoint(pictures), atol=1e-5)


@pytest.mark.parametrize("averaging", [Averaging("flip"), Averaging("crops", "vote"), Averaging("all", "logits")])
def test_both_average_over_views_alike(
    averaging: Averaging, predictors: dict[str, Predictor], pictures: np.ndarray
) -> None:
    plain, found = predictors["onnx"](pictures), predictors["onnx"](pictures, averaging)
    np.testing.assert_allclose(found, predictors["checkpoint"](pictures, averaging), atol=1e-5)
    assert np.abs(found - plain).max() > 1e-4, "else nothing was averaged"
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_the_mirrored_picture_gets_the_same_average_over_flips(
    predictors: dict[str, Predictor], pictures: np.ndarray
) -> None:
    mirrored = np.ascontiguousarray(pictures[:, :, ::-1])
    for predictor in predictors.values():
        np.testing.assert_allclose(
            predictor(mirrored, Averaging("flip")), predictor(pictures, Averaging("flip")), atol=1e-5
        )


def test_a_checkpoint_stays_in_eval_mode_so_that_threads_may_share_it(exported: Path, pictures: np.ndarray) -> None:
    opened = open_model(exported / CHECKPOINT)
    predictor = from_opened(opened)
    alone = predictor(pictures)
    assert not any(module.training for module in opened.network.modules())
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(predictor, [pictures] * 40):
            np.testing.assert_array_equal(found, alone)


def test_no_pictures_get_no_answers(predictors: dict[str, Predictor], pictures: np.ndarray) -> None:
    assert predictors["onnx"](pictures[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    "alter", [lambda p: p.astype(np.float32), lambda p: p[:, :8], lambda p: p[0], lambda p: p[..., :1]]
)
def test_pictures_of_another_form_are_refused(
    alter: Callable[[np.ndarray], np.ndarray], predictors: dict[str, Predictor], pictures: np.ndarray
) -> None:
    for predictor in predictors.values():
        with pytest.raises(ValueError, match=r"expected pictures uint8 \(N, 16, 16, 3\), found"):
            predictor(alter(pictures))


def text_with(**changes: str | None) -> Callable[[Path], None]:
    """Another value of an entry of the metadata; None: without it."""

    def damage(path: Path) -> None:
        model = onnx.load(path)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        kept = {name: value for name, value in (metadata | changes).items() if value is not None}
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, kept)
        onnx.save(model, path)

    return damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def no_text(path: Path) -> None:
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)


def weights_that_are_no_numbers(path: Path) -> None:
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * np.float32("nan"), tensor.name))
    onnx.save(model, path)


INPUT = {"shape": [3, 16, 16], "mean": [0.5] * 3, "std": [0.2] * 3, "resize": "stretched"}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_text("no model"), "not an ONNX file that can be run"),
        (lambda path: path.write_bytes(b""), "not an ONNX file that can be run"),
        (cut, "not an ONNX file that can be run"),
        (no_text, "it says nothing of its classes"),
        (text_with(class_names="[1, 2]"), "its description cannot be read: class_names: 0: input should be"),
        (text_with(class_names="[" * 100_000), "its description cannot be read"),
        (text_with(class_names='["only one"]'), "its graph has"),
        (text_with(input=None), "its description cannot be read: input: field required"),
        (text_with(input=json.dumps(INPUT)), "resized by 'stretched'"),
        (text_with(input=json.dumps(INPUT | {"shape": [4, 16, 16]})), "expected a square of 1 or 3 channels"),
        (text_with(input=json.dumps(INPUT | {"mean": [0.5]})), "expected a square of 1 or 3 channels"),
    ],
)
def test_a_file_that_is_of_no_use_is_refused(
    damage: Callable[[Path], None], said: str, exported: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes((exported / ONNX).read_bytes())
    assert from_onnx(path).class_names == ["Bengal", "pug"], "sound before"
    damage(path)
    with pytest.raises(DataError, match=r"model\.onnx: ") as refused:
        from_onnx(path)
    assert said in str(refused.value)
    assert AGAIN in str(refused.value) or "ONNX file" in said or "stretched" in said


def test_answers_that_are_no_numbers_are_refused(exported: Path, tmp_path: Path, pictures: np.ndarray) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes((exported / ONNX).read_bytes())
    weights_that_are_no_numbers(path)
    with pytest.raises(PawprintError, match=r"model\.onnx: the model's answers are not finite"):
        from_onnx(path)(pictures)


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_has_as_many_threads_as_the_file(threads: int, exported: Path) -> None:
    """More would spin beside the model, and a server on two cores answer half as many pictures."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        from_onnx(exported / ONNX, threads)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_a_model_is_opened_by_what_its_name_is(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported)
    assert open_predictor(None).source == Path(CHECKPOINT)
    assert open_predictor("baseline").source == Path(CHECKPOINT)
    assert open_predictor(ONNX).source == Path(ONNX)
    with pytest.raises(PawprintError, match=r"--model nowhere\.onnx: no such file"):
        open_predictor("nowhere.onnx")
