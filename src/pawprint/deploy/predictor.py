"""A model that answers pictures, whatever runs it: a checkpoint in torch, or an ONNX file in ONNX Runtime.

Whoever has pictures as `read_picture` decodes them asks one of these: predict, the server, and what compares compressed
models with the one they are made of. From the 8-bit picture on there is one way as well: `unit_range` makes it float32
in [0, 1], views of test-time augmentation are of that, and standardization is the model's (in an exported file, inside
of it). So such a file is fed float32 (B, C, H, W) in [0, 1], and not bytes: a turned or enlarged picture has no bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pawprint.data.batches import unit_range
from pawprint.deploy.description import AGAIN, INPUT, OUTPUT, Description, describe, read_metadata
from pawprint.errors import DataError, PawprintError
from pawprint.integrity import verify
from pawprint.trained_model import Opened, find_model, open_model
from pawprint.training.evaluate import BATCH_SIZE, log_probabilities

if TYPE_CHECKING:
    from pawprint.test_time_augmentation import Answer, ViewSet, Way

ONNX = ".onnx"
Run = Callable[[torch.Tensor], torch.Tensor]  # pictures (B, C, H, W) float32 in [0, 1] → logits (B, K) float32


@dataclass(frozen=True)
class Averaging:
    """Test-time augmentation: a set of views, and how the answers to them are averaged."""

    views: ViewSet
    way: Way = "probabilities"


@dataclass(frozen=True)
class Predictor:
    """A model that is ready to answer."""

    source: Path  # the checkpoint's folder, or the file
    description: Description
    answer: Answer

    @property
    def class_names(self) -> list[str]:
        return self.description.class_names

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.description.input.shape

    def __call__(self, pictures: np.ndarray, averaging: Averaging | None = None) -> np.ndarray:
        """Probabilities (N, K) float32 of pictures (N, H, W, C) uint8, as `read_picture` decodes them.

        Raises ValueError for pictures of another shape or type, PawprintError for answers that are no numbers.
        """
        channels, height, width = self.image_shape
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (height, width, channels):
            expected = f"uint8 (N, {height}, {width}, {channels})"
            raise ValueError(f"expected pictures {expected}, found {pictures.dtype} {pictures.shape}")
        if len(pictures) == 0:
            return np.empty((0, len(self.class_names)), dtype=np.float32)
        probabilities = self._probabilities(_in_batches(pictures), averaging).float().numpy()
        if not np.isfinite(probabilities).all():
            raise PawprintError(f"{self.source}: the model's answers are not finite: its weights are of no use")
        return probabilities

    def _probabilities(self, batches: Iterable[torch.Tensor], averaging: Averaging | None) -> torch.Tensor:
        if averaging is None:
            return self.answer(batches).exp()
        from pawprint.test_time_augmentation import augmented_probabilities, view_sets  # torchvision takes seconds

        views = view_sets(self.description.input.mean)[averaging.views]
        return augmented_probabilities(self.answer, batches, list(views.values()), averaging.way)


def open_predictor(model: str | None, argument: str = "--model") -> Predictor:
    """Of an ONNX file, or of a checkpoint as `find_model` finds it; `argument` is what it was given as."""
    if model is not None and model.endswith(ONNX):
        if not Path(model).is_file():
            raise PawprintError(f"{argument} {model}: no such file; `dvc pull {model}` or `dvc repro export` brings it")
        return from_onnx(Path(model))
    return from_checkpoint(find_model(model, argument))


def from_checkpoint(folder: Path) -> Predictor:
    """Of a folder of weights and run.json, held against dvc.lock; DataError or PawprintError if it is of no use."""
    return from_opened(open_model(folder))


def from_opened(opened: Opened) -> Predictor:
    """Of a model that is opened already; its answers are to the bit those of the stage `test`."""
    answer = partial(log_probabilities, opened.network, data=opened.data)
    return Predictor(opened.folder, describe(opened.trained, weights_sha256(opened.folder)), answer)


def from_onnx(file: Path, threads: int = 1) -> Predictor:
    """Of an ONNX file, held against dvc.lock; DataError if it cannot be run or does not say what it is.

    As for a checkpoint, torch has as many threads as the model, in all of the process: what it does around the model
    takes microseconds, and threads that then spin, awaiting more of it, would take the cores from those that work.
    """
    import onnxruntime  # not needed of a checkpoint

    verify(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # errors raise: they need not be printed as well
    torch.set_num_threads(threads)
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's have no common class
        raise DataError(f"{file}: not an ONNX file that can be run ({' '.join(str(error).split())})") from error
    description = read_metadata(file, session.get_modelmeta().custom_metadata_map)
    _refuse_other_shapes(file, session, description)
    return Predictor(file, description, answers_of(partial(_run_onnx, session)))


def answers_of(run: Run) -> Answer:
    """Log-probabilities in float64, as those of a checkpoint, from logits."""

    @torch.inference_mode()
    def answer(batches: Iterable[torch.Tensor]) -> torch.Tensor:
        return torch.cat([run(images) for images in batches]).double().log_softmax(dim=1)

    return answer


def weights_sha256(folder: Path) -> str:
    """Of a checkpoint's weights."""
    with (folder / "weights.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run_onnx(session: Any, images: torch.Tensor) -> torch.Tensor:
    (logits,) = session.run([OUTPUT], {INPUT: images.contiguous().numpy()})
    return torch.from_numpy(logits)


def _refuse_other_shapes(file: Path, session: Any, description: Description) -> None:
    """A description that is not of this graph would fail at the first picture, or name wrong classes."""
    given = {node.name: node.shape[1:] for node in (*session.get_inputs(), *session.get_outputs())}
    expected = {INPUT: list(description.input.shape), OUTPUT: [len(description.class_names)]}
    if given != expected:
        raise DataError(f"{file}: its graph has {given}, its description says {expected}; {AGAIN}")


def _in_batches(pictures: np.ndarray) -> Iterator[torch.Tensor]:
    return (unit_range(pictures[start : start + BATCH_SIZE]) for start in range(0, len(pictures), BATCH_SIZE))
