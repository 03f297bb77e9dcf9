"""What an epoch of a small model costs against the loop that people write for it.

Theirs: torchvision's FashionMNIST, each picture made a PIL image and a tensor anew in every epoch, a DataLoader without
workers, the MLP 784-128-56-10, plain SGD; nothing is measured, logged or kept. Ours: the loop of every study on the
same 60,000 pictures, with gradient norms, a row of history a step, and batches out of memory. A second comparison gives
their loop such batches: what is left is what ours costs beside the pictures. One thread each; validation is not
counted, and neither is what either does once (reading the files, standardizing the set), which the first round does.
Each in a process of its own.

The pictures are those in the folder that FASHION_MNIST names, as `data.path` would; else noise of the same size, on
which both take as long.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

from benchmarks.apart import Apart, apart
from benchmarks.ratio import Comparison, Work, in_turn, timed
from benchmarks.step import TimedBatches, our_epoch
from benchmarks.threads import threads
from pawprint.data.batches import TrainBatches
from pawprint.data.index import read_table
from pawprint.data.packed import pixel_statistics
from pawprint.data.sources.fashion_mnist import CLASS_NAMES, SIDE, fetch
from pawprint.types import Data, DataSettings, RunSpec, Split

N_TRAIN = 60_000
PLACES = {1: 2_000, 256: N_TRAIN, 1000: N_TRAIN}  # batch size → pictures of an epoch; one by one, all take too long
REPEATS = 3
TARGETS = {256: 0.1, 1000: 0.1}  # batch size → of the report's loop


def run() -> list[Comparison]:
    """Two comparisons for each batch size."""
    images, labels = train_set(os.environ.get("FASHION_MNIST"))
    return [row for batch_size, n in PLACES.items() for row in compare(images[:n], labels[:n], batch_size, REPEATS)]


def train_set(place: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST's train pictures (N, 28, 28) uint8 and labels (N,) uint8, or as many of noise."""
    if place is None:
        draws = np.random.default_rng(0)
        images = draws.integers(0, 256, (N_TRAIN, SIDE, SIDE), dtype=np.uint8)
        return images, draws.integers(0, len(CLASS_NAMES), N_TRAIN, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        fetch(DataSettings(source="fashion_mnist", path=place), Path(folder))
        index, images = read_table(Path(folder) / "index.csv"), np.load(Path(folder) / "images.npy")
    rows = np.flatnonzero(index["split"] == "trainval")
    labels = [CLASS_NAMES.index(label) for label in index["label"].iloc[rows]]
    return images[rows, :, :, 0], np.array(labels, dtype=np.uint8)


def compare(images: np.ndarray, labels: np.ndarray, batch_size: int, repeats: int) -> list[Comparison]:
    """Our epoch against theirs, and against theirs on our batches."""
    with ExitStack() as running:

        def started(make: Callable[..., Any]) -> Apart:
            return running.enter_context(apart(make, images, labels, batch_size))

        seconds = in_turn({name: started(make) for name, make in (("ours", ours), ("theirs", theirs), ("bare", bare))},
                          repeats)  # fmt: skip
    name = f"small model, batch {batch_size}, {len(labels):,} pictures"
    return [
        Comparison(
            name,
            "FashionMNIST with ToTensor, DataLoader",
            seconds["ours"],
            seconds["theirs"],
            target=TARGETS.get(batch_size),
        ),
        Comparison(name, "the same plain loop on our batches", seconds["ours"], seconds["bare"]),
    ]


@contextmanager
def ours(images: np.ndarray, labels: np.ndarray, batch_size: int) -> Iterator[Work]:
    """The loop of every study."""
    data, spec = as_data(images, labels), spec_of(batch_size)
    yield our_epoch(spec, data, TimedBatches(data, spec), lambda row, step: None)


@contextmanager
def theirs(images: np.ndarray, labels: np.ndarray, batch_size: int) -> Iterator[Work]:
    """The plain loop on torchvision's dataset."""
    with threads(1), tempfile.TemporaryDirectory() as folder:
        loader = DataLoader(as_theirs(images, labels, Path(folder)), batch_size, shuffle=True)
        yield timed(plain_epoch(plain_model(), lambda: loader))


@contextmanager
def bare(images: np.ndarray, labels: np.ndarray, batch_size: int) -> Iterator[Work]:
    """The plain loop on our batches."""
    batches = TrainBatches(as_data(images, labels), spec_of(batch_size))
    with threads(1):
        yield timed(plain_epoch(plain_model(), lambda: ((batch.images, batch.labels) for batch in batches.epoch(1))))


def spec_of(batch_size: int) -> RunSpec:
    """The optimization study's MLP, nothing augmented."""
    return RunSpec(
        study="bench", variant="small", run="small", seed=0, model="mlp", mlp_widths=(128, 56), optimizer="sgd",
        lr=min(0.1, 0.1 * batch_size / 256), batch_size=batch_size, random_flip=False, random_crop_percent=0.0,
        accelerator="cpu",
    )  # fmt: skip


def as_data(images: np.ndarray, labels: np.ndarray) -> Data:
    """As `prepare` leaves them, in memory; of val and test two pictures each, as they are not timed."""
    pictures = images[..., None]  # (N, H, W, 1)
    mean, std = pixel_statistics(pictures)

    def split(n: int) -> Split:
        return Split([str(row) for row in range(n)], pictures[:n], labels[:n].astype(np.int64))

    return Data(
        train=split(len(images)), val=split(2), test=split(2), unlabelled=None, class_names=list(CLASS_NAMES),
        image_shape=(1, SIDE, SIDE), mean=tuple(mean), std=tuple(std), split_hash="", content_hash="",
    )  # fmt: skip


def as_theirs(images: np.ndarray, labels: np.ndarray, folder: Path) -> FashionMNIST:
    """torchvision's dataset of them; it reads files, here in `folder`, and keeps what it has read."""
    raw = folder / "FashionMNIST/raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):  # of which it reads the first, and asks for both
        for kind, array in (("images", images), ("labels", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
            (raw / f"{part}-{kind}-idx{array.ndim}-ubyte").write_bytes(header + array.tobytes())
    return FashionMNIST(str(folder), train=True, transform=ToTensor())


def plain_model() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(SIDE**2, 128), nn.ReLU(), nn.Linear(128, 56), nn.ReLU(), nn.Linear(56, 10)
    )


def plain_epoch(
    model: nn.Module, batches: Callable[[], Iterable[tuple[torch.Tensor, torch.Tensor]]]
) -> Callable[[], None]:
    """An epoch of the plain loop over what `batches` gives anew."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def epoch() -> None:
        for images, labels in batches():
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()

    return epoch
