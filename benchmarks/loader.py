"""What the input side costs: batches out of prepared arrays, against decoding every picture anew.

Ours: `TrainBatches`, decoded once by `prepare` and memory-mapped, mirrored and shifted as whole batches. Theirs:
torchvision's ImageFolder with PIL, Resize, RandomCrop, mirror, ToTensor and Normalize, picture by picture, in a
DataLoader with 0 and with 4 workers. The same drawn pictures as the epoch's benchmark, no model. One thread; workers are processes
beside it.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.epoch import BATCH_SIZE, draw, ordinary_loader
from benchmarks.ratio import Comparison, in_turn, timed
from pawprint.data.batches import TrainBatches
from pawprint.data.packed import pack
from pawprint.data.prepared import load
from pawprint.types import DataSettings, RunSpec

SIZES = (64, 224)  # side of what the model sees, pixels
WORKERS = (0, 4)
REPEATS = 3


def run() -> list[Comparison]:
    """A comparison for each picture size and number of workers, an epoch without a model each."""
    n_before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name:
            fetched = Path(name) / "fetch"
            draw(fetched)
            return [row for pixels in SIZES for row in _at(pixels, fetched, Path(name) / str(pixels))]
    finally:
        torch.set_num_threads(n_before)


def _at(pixels: int, fetched: Path, prepared: Path) -> list[Comparison]:
    pack(fetched, prepared, DataSettings(image_size=pixels))
    data = load(prepared)
    spec = RunSpec(study="bench", variant="loader", run="loader", seed=0, batch_size=BATCH_SIZE, accelerator="cpu")
    batches, epochs = TrainBatches(data, spec), iter(range(1, 10**6))
    works = {"ours": timed(lambda: sum(len(batch) for batch in batches.epoch(next(epochs))))}
    for n_workers in WORKERS:
        loader = ordinary_loader(fetched / "images/train", data, n_workers, pixels)
        works[str(n_workers)] = timed(partial(_through, loader))
    seconds = in_turn(works, REPEATS)
    return [
        Comparison(
            f"loader, {len(data.train)} pictures, {pixels} px", f"ImageFolder, DataLoader({n} workers)",
            seconds["ours"], seconds[str(n)],
        )
        for n in WORKERS
    ]  # fmt: skip


def _through(loader: DataLoader[Any]) -> int:
    return sum(len(labels) for _, labels in loader)
