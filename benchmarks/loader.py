"""What the input side costs: batches out of prepared arrays, against decoding every picture anew.

Ours: `TrainBatches`, decoded once by `prepare` and memory-mapped, mirrored and shifted as whole batches. Theirs:
torchvision's ImageFolder with PIL, Resize, RandomCrop, mirror, ToTensor and Normalize, picture by picture, in a
DataLoader without workers and with four. No model. One thread each; workers are processes beside it, which ours has
none of. Each in a process of its own, as people run them: that of a training of ours keeps the memory it frees.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from benchmarks.apart import apart
from benchmarks.pictures import BATCH_SIZE, draw, ordinary_loader, prepared, train_folder
from benchmarks.ratio import Comparison, Work, in_turn, timed
from benchmarks.threads import threads
from pawprint.data.batches import TrainBatches
from pawprint.memory import keep_freed_memory
from pawprint.types import RunSpec

N_TRAIN = 320
SIZES = (64, 224)  # side of what the model sees, pixels
WORKERS = (0, 4)
REPEATS = 5
TARGET = 0.1


def run() -> list[Comparison]:
    """A comparison for each picture size and number of workers, an epoch without a model each."""
    with tempfile.TemporaryDirectory() as name:
        fetched = Path(name) / "fetch"
        draw(fetched, N_TRAIN)
        return [row for pixels in SIZES for row in compare(pixels, fetched, WORKERS, REPEATS)]


def compare(pixels: int, fetched: Path, workers: tuple[int, ...], repeats: int) -> list[Comparison]:
    data = prepared(fetched, pixels)
    with ExitStack() as running:
        works = {"ours": running.enter_context(apart(ours, fetched, pixels))}
        works |= {str(n): running.enter_context(apart(theirs, fetched, pixels, n)) for n in workers}
        seconds = in_turn(works, repeats)
    name = f"loader, {len(data.train)} pictures, {pixels} px"
    return [
        Comparison(name, f"ImageFolder, {n} workers", seconds["ours"], seconds[str(n)], target=TARGET) for n in workers
    ]


@contextmanager
def ours(fetched: Path, pixels: int) -> Iterator[Work]:
    """An epoch of our batches, another one each time; from then on the process keeps what it frees."""
    spec = RunSpec(study="bench", variant="loader", run="loader", seed=0, batch_size=BATCH_SIZE, accelerator="cpu")
    batches, epochs = TrainBatches(prepared(fetched, pixels), spec), iter(range(1, 10**6))
    keep_freed_memory()
    with threads(1):
        yield timed(lambda: sum(len(batch) for batch in batches.epoch(next(epochs))))


@contextmanager
def theirs(fetched: Path, pixels: int, n_workers: int) -> Iterator[Work]:
    """An epoch of theirs."""
    with threads(1):
        yield timed(partial(n_seen, ordinary_loader(train_folder(fetched), prepared(fetched, pixels), n_workers)))


def n_seen(loader: DataLoader[Any]) -> int:
    """Goes through all of it: so many pictures."""
    return sum(len(labels) for _, labels in loader)
