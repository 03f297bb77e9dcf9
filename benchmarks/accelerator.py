"""What an epoch costs on an accelerator against the ordinary pattern there; to be run where there is one.

Ours: pictures on the device and changed there, bfloat16, channels last, a compiled model, nothing waited for inside the
epoch. Theirs: the ordinary pattern of `epoch` with 8 workers, batches sent to the device, NCHW and fp32, the loss read
at each step. Pictures are drawn, as many as the pets have in train;
PHOTOGRAPHS names a folder with a folder a class instead:

    PHOTOGRAPHS=…/images python -m benchmarks accelerator
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn import functional
from torchvision.models import resnet18

from benchmarks.apart import apart
from benchmarks.epoch import Epoch
from benchmarks.pictures import draw, laid_out, ordinary_loader, prepared, train_folder
from benchmarks.ratio import Comparison, Work, in_turn, timed
from benchmarks.step import TimedBatches, our_epoch
from pawprint.errors import SettingsError
from pawprint.types import Data, RunSpec

N_TRAIN = 3_680  # the pets' train pictures
PIXELS = 224
WORKERS = 8  # theirs
REPEATS = 3
TARGET = 0.2  # five times as fast


def run() -> list[Comparison]:
    """One comparison; SettingsError where there is no accelerator."""
    if not torch.cuda.is_available():
        raise SettingsError(["accelerator: torch finds none here; this benchmark is for a machine that has one"])
    photographs = os.environ.get("PHOTOGRAPHS")
    with tempfile.TemporaryDirectory() as folder:
        fetched = Path(folder) / "fetch"
        laid_out(Path(photographs), fetched) if photographs else draw(fetched, N_TRAIN)
        return [compare(fetched, torch.device("cuda"), PIXELS, WORKERS, REPEATS)]


def compare(fetched: Path, device: torch.device, pixels: int, n_workers: int, repeats: int) -> Comparison:
    """On any device: what the accelerator is given, the processor can do, too."""
    data = prepared(fetched, pixels)
    with apart(ours, fetched, pixels, device) as one, apart(theirs, fetched, pixels, device, n_workers) as other:
        seconds = in_turn({"ours": one, "theirs": other}, repeats)
    name = f"accelerator, an epoch of {len(data.train):,} pictures, {pixels} px"
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    against = f"ImageFolder, {n_workers} workers, NCHW, fp32"
    return Comparison(name, against, seconds["ours"], seconds["theirs"], f"accelerator: on {where}", target=TARGET)


@contextmanager
def ours(fetched: Path, pixels: int, device: torch.device) -> Iterator[Work]:
    """An epoch as the settings for an accelerator have it; the first compiles."""
    data = prepared(fetched, pixels)
    spec = RunSpec(
        study="bench", variant="accelerator", run="accelerator", seed=0,
        accelerator="cuda" if device.type == "cuda" else "cpu", precision="bf16-mixed", compile=True,
    )  # fmt: skip
    yield our_epoch(spec, data, TimedBatches(data, spec, device=device), lambda row, step: None)


@contextmanager
def theirs(fetched: Path, pixels: int, device: torch.device, n_workers: int) -> Iterator[Work]:
    """An epoch of the pattern."""
    yield timed(ordinary(train_folder(fetched), prepared(fetched, pixels), device, n_workers))


def ordinary(folder: Path, data: Data, device: torch.device, n_workers: int) -> Epoch:
    """The pattern of most scripts for an accelerator."""
    model = resnet18(num_classes=len(data.class_names)).to(device).train()
    optimizer = torch.optim.Adam(model.parameters())
    loader = ordinary_loader(folder, data, n_workers)

    def epoch() -> int:
        n_seen = 0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            loss.item()  # at which the device has nothing left to do
            n_seen += len(labels)
        return n_seen

    return epoch
