"""Drawn pets as files, and the ways in which people read such a folder anew in every epoch.

The files are as a web page has them: half JPEG, half PNG, 320 pixels a side. Training scripts see larger ones, which
take longer to decode, and ours decodes none: so the size favors theirs.
"""

import csv
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from pawprint.data.packed import pack
from pawprint.data.prepared import load
from pawprint.data.sources.procedural import BREEDS, draw_pet
from pawprint.types import Data, DataSettings

N_CLASSES = 8
DRAWN_PIXELS = 320  # side of the files
BATCH_SIZE = 32


def draw(folder: Path, n_train: int) -> None:
    """Pictures below images/train/<breed>/, one each for val and test beside them, and the index."""
    rows = []
    for breed in BREEDS[:N_CLASSES]:
        for index in range(n_train // N_CLASSES + 2):
            part = {0: "val", 1: "test"}.get(index, "train")
            name = f"{part}/{breed.name}/{index}.{'jpg' if index % 2 else 'png'}"
            path = folder / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw_pet(breed, seed=0, index=index, pixels=DRAWN_PIXELS)).save(path)
            rows.append((name, breed.name, part))
    _write_index(folder, rows)


def _write_index(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image_name", "label", "split"), *sorted(rows)])


def laid_out(pictures: Path, folder: Path) -> None:
    """Pictures in a folder a class, as `draw` leaves its own: linked, two of each class for val and test."""
    rows = []
    for kind in sorted(place for place in pictures.iterdir() if place.is_dir()):
        for index, file in enumerate(sorted(kind.iterdir())):
            part = {0: "val", 1: "test"}.get(index, "train")
            name = f"{part}/{kind.name}/{file.name}"
            place = folder / "images" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.resolve())
            rows.append((name, kind.name, part))
    _write_index(folder, rows)


def prepared(fetched: Path, pixels: int) -> Data:
    """The drawn pictures as `prepare` leaves them, in a folder beside."""
    place = fetched.with_name(f"prepared_{pixels}")
    if not place.exists():
        pack(fetched, place, DataSettings(image_size=pixels))
    return load(place)


def train_folder(fetched: Path) -> Path:
    return fetched / "images/train"


def ordinary_loader(folder: Path, data: Data, n_workers: int) -> DataLoader[Any]:
    """ImageFolder's pictures, each decoded and cut out anew whenever it is asked for; workers stay between epochs."""
    pixels = data.image_shape[1]
    transform = v2.Compose([
        v2.Resize(round(pixels * 1.2)), v2.RandomCrop(pixels), v2.RandomHorizontalFlip(),
        v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(data.mean, data.std),
    ])  # fmt: skip
    return loader_of(ImageFolder(str(folder), transform), n_workers)


def loader_of(pictures: ImageFolder, n_workers: int) -> DataLoader[Any]:
    return DataLoader(pictures, BATCH_SIZE, shuffle=True, num_workers=n_workers, persistent_workers=n_workers > 0)
