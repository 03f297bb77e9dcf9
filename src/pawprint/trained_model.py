"""A trained model from its folder alone: which folder that is, what the model is, and pictures as it is fed them.

`dvc pull train@baseline` on a fresh clone brings weights and run.json, and no data: so run.json says what the model is
and what it was fed. A picture is decoded by the function by which `prepare` decodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as validated
from torch import nn

from pawprint import paths
from pawprint.data.batches import in_order
from pawprint.data.decode import RESIZE, read_pictures
from pawprint.errors import DataError, PawprintError, SettingsError
from pawprint.integrity import verify
from pawprint.models import build_model
from pawprint.params import BASELINE, nearest, read_study
from pawprint.records import read_record
from pawprint.training.checkpoint import load_weights
from pawprint.training.evaluate import BATCH_SIZE, log_probabilities
from pawprint.types import Data, RunSpec, Split

LENIENT = ConfigDict(strict=True, extra="ignore")  # run.json holds more than is asked of it here


@validated(frozen=True, config=LENIENT)
class Input:
    """What a model was fed."""

    shape: tuple[int, int, int]  # (C, H, W)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str


@validated(frozen=True, config=LENIENT)
class Trained:
    """What predicting needs of a run.json."""

    spec: RunSpec
    class_names: list[str]
    input: Input
    test: dict[str, float | None]


@dataclass(frozen=True)
class Opened:
    """A model with its weights, and pictures for it."""

    folder: Path  # the model's
    trained: Trained
    network: nn.Module
    data: Data  # the model's data set as far as it is known: the pictures are `unlabelled`

    @property
    def pictures(self) -> Split:
        assert self.data.unlabelled is not None
        return self.data.unlabelled


def open_model(folder: Path, pictures: Sequence[Path] = ()) -> Opened:
    """The model of `folder`, whose files are first held against their hashes; DataError names every bad picture."""
    verify(folder)
    trained = read_trained(folder)
    data = _as_data(trained, pictures)
    torch.set_num_threads(trained.spec.threads)  # as `test`; not all of `seed_run`, which imports for seconds
    network = load_weights(folder / "weights.safetensors", build_model(trained.spec, data))
    # In eval mode from here on: who puts a mode back while another thread asks, puts back this one.
    return Opened(folder, trained, network.eval(), data)


def probabilities_of(opened: Opened) -> np.ndarray:
    """What the model answers to the pictures, (N, K) float32; PawprintError if that is no number."""
    batches = (images for images, _ in in_order(opened.pictures, BATCH_SIZE))
    probabilities = log_probabilities(opened.network, batches, opened.data).exp().float().numpy()
    if not np.isfinite(probabilities).all():
        raise PawprintError(f"{opened.folder}: the model's answers are not finite: its weights are of no use")
    return probabilities


def find_model(name: str | None, argument: str = "--model") -> Path:
    """The folder of a variant's first seed, or the folder given; the baseline's, or else any, where none is.

    `argument` is what the name was given as, for messages.
    """
    if name is None:
        trained = paths.TRAINED.iterdir() if paths.TRAINED.is_dir() else ()
        for folder in (paths.TRAINED / BASELINE, *sorted(trained)):
            if found := _first_run(folder):
                return found
        raise PawprintError(f"no trained model in {paths.TRAINED.resolve()}; {_how_to_get(BASELINE)}")
    for folder in (paths.TRAINED / name, Path(name)):
        if found := _first_run(folder):
            return found
    if "/" in name or Path(name).is_dir():
        raise PawprintError(
            f"{argument} {name}: no weights.safetensors in {Path(name).resolve()};"
            f" `dvc pull {name}` brings what a study's dvc.lock knows, `dvc repro` trains it"
        )
    if not paths.PARAMS.is_file():
        raise SettingsError(
            [f"{argument} {name}: no such folder, and no {paths.PARAMS} that could name such a variant"]
        )
    variants = list(read_study(paths.PARAMS)[0].variants)
    if name not in variants:
        raise SettingsError([f"{argument} {name}: neither a folder nor a variant; {nearest(name, variants)}"])
    raise PawprintError(f"{argument} {name}: {paths.TRAINED / name} holds no weights; {_how_to_get(name)}")


def read_trained(folder: Path) -> Trained:
    """What a run.json says of its model; DataError if it is missing, damaged or of a version that said less."""
    file, pull = folder / "run.json", f"dvc pull {folder}"
    trained = read_record(file, Trained, pull)
    refuse_unfit(trained.input, file, f"write it anew: {pull} --force")
    return trained


def refuse_unfit(given: Input, file: Path, advice: str) -> None:
    """DataError where pictures cannot be brought into the form that `file` says its model was fed."""
    channels, height, width = given.shape
    if channels not in (1, 3) or height != width or {len(given.mean), len(given.std)} != {channels}:
        raise DataError(f"{file}: input: expected a square of 1 or 3 channels, found {given}; {advice}")
    if given.resize != RESIZE:
        raise DataError(
            f"{file}: its pictures were resized by {given.resize!r}, this version of pawprint does it by"
            f" {RESIZE!r}: use the commit that trained it, or train it anew with `dvc repro`"
        )


def _first_run(folder: Path) -> Path | None:
    """The folder itself if it holds weights, else the first of its `<run>-s<seed>` that does."""

    def order(run: Path) -> tuple[str, int]:
        name, _, seed = run.name.rpartition("-s")
        return (name, int(seed)) if seed.isdecimal() else (run.name, 0)

    inside = sorted(folder.iterdir(), key=order) if folder.is_dir() else []
    return next((run for run in (folder, *inside) if (run / "weights.safetensors").is_file()), None)


def _how_to_get(variant: str) -> str:
    return f"`dvc pull train@{variant}` brings it from the remote, `dvc repro train@{variant}` trains it"


def _as_data(trained: Trained, pictures: Sequence[Path]) -> Data:
    """The model's data set as far as it is known: the pictures, without a label."""
    channels, pixels, _ = trained.input.shape
    images = read_pictures(pictures, pixels, channels)
    nothing = Split([], images[:0], np.zeros(0, dtype=np.int64))
    return Data(
        train=nothing,
        val=nothing,
        test=nothing,
        unlabelled=Split([str(p) for p in pictures], images, np.full(len(images), -1, dtype=np.int64)),
        class_names=trained.class_names,
        image_shape=trained.input.shape,
        mean=trained.input.mean,
        std=trained.input.std,
        split_hash="",  # nothing here is a training's
        content_hash="",
        resize=trained.input.resize,
    )
