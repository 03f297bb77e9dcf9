"""What an epoch costs against the pattern that most training scripts have.

Ours: the loop over prepared arrays (decoded once, memory-mapped), flips and crops of whole batches. Theirs:
torchvision's ImageFolder, each picture decoded, resized, cropped, mirrored and normalized anew in every epoch, a
DataLoader with 0 or 2 workers, NCHW, torch's default Adam, the loss read each step. The same drawn pictures, half of
them JPEG and half PNG, and the same ResNet-18; validation is not counted. The training has one thread; the two
workers are processes beside it, which on a machine with idle cores is a core or two more than ours has.
"""

import csv
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.transforms import v2

from benchmarks.ratio import Comparison, in_turn, timed
from benchmarks.step import TimedBatches, our_epoch
from pawprint.data.packed import pack
from pawprint.data.prepared import load
from pawprint.data.sources.procedural import BREEDS, draw_pet
from pawprint.types import Data, DataSettings, RunSpec

N_CLASSES = 8
N_TRAIN = 320
PIXELS = 64  # side of what the model sees
DRAWN_PIXELS = 320  # side of the files; a camera's or a web page's are larger still, and take longer to decode
BATCH_SIZE = 32
REPEATS = 3


def run() -> list[Comparison]:
    """Ours against 0 and 2 workers, each an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        fetched, prepared = Path(folder) / "fetch", Path(folder) / "prepare"
        draw(fetched)
        settings = DataSettings(image_size=PIXELS)
        preparing = timed(lambda: pack(fetched, prepared, settings))()
        data = load(prepared)
        spec = RunSpec(study="bench", variant="epoch", run="epoch", seed=0, batch_size=BATCH_SIZE, accelerator="cpu")
        works = {
            "ours": our_epoch(spec, data, TimedBatches(data, spec), lambda row, step: None),
            "0": timed(_ordinary_epoch(fetched / "images/train", data, n_workers=0)),
            "2": timed(_ordinary_epoch(fetched / "images/train", data, n_workers=2)),
        }
        seconds = in_turn(works, REPEATS)
    note = f"preparing {N_TRAIN + 2 * N_CLASSES} pictures took {preparing:.1f} s, once for all trainings"
    return [
        Comparison(
            f"epoch, {N_TRAIN} pictures, {PIXELS} px",
            f"ImageFolder, DataLoader({workers} workers)",
            seconds["ours"], seconds[workers], note,
        )
        for workers in ("0", "2")
    ]  # fmt: skip


def draw(folder: Path) -> None:
    """Pictures below images/train/<breed>/, one each for val and test beside them, and the index."""
    rows = []
    for breed in BREEDS[:N_CLASSES]:
        for index in range(N_TRAIN // N_CLASSES + 2):
            part = {0: "val", 1: "test"}.get(index, "train")
            name = f"{part}/{breed.name}/{index}.{'jpg' if index % 2 else 'png'}"
            path = folder / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw_pet(breed, seed=0, index=index, pixels=DRAWN_PIXELS)).save(path)
            rows.append((name, breed.name, part))
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image_name", "label", "split"), *sorted(rows)])


def ordinary_loader(folder: Path, data: Data, n_workers: int, pixels: int = PIXELS) -> DataLoader[Any]:
    """ImageFolder's pictures, each decoded and cut out anew whenever it is asked for."""
    transform = v2.Compose([
        v2.Resize(round(pixels * 1.2)), v2.RandomCrop(pixels), v2.RandomHorizontalFlip(),
        v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(data.mean, data.std),
    ])  # fmt: skip
    return DataLoader(ImageFolder(str(folder), transform), BATCH_SIZE, shuffle=True, num_workers=n_workers)


def _ordinary_epoch(folder: Path, data: Data, n_workers: int) -> Callable[[], None]:
    loader = ordinary_loader(folder, data, n_workers)
    model = resnet18(num_classes=N_CLASSES).train()
    optimizer = torch.optim.Adam(model.parameters())

    def epoch() -> None:
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()

    return epoch
