"""Fashion-MNIST (Xiao, Rasul and Vollgraf, arXiv 1708.07747): 70,000 grey pictures of 28 x 28 pixels, ten garments.

`data.path` is a folder with the set's four files, packed or not, or one that holds them as torchvision leaves them (in
`raw/` or `FashionMNIST/raw/`). Without it torchvision downloads them (31 MB). The 10,000 test pictures stay test; out
of the 60,000 others `prepare` draws val. A picture is named for its place in its file, counted from 0 as torchvision
does: `train_00000`.

The files' names, shapes and counts are also those of MNIST and KMNIST, which would be trained on as garments without a
word. So a file of full length must hold the set's own content; a shorter one is taken for a part of it.
"""

import hashlib
import tempfile
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pawprint.data.index import listed, write_table
from pawprint.data.sources.folder import picture_place
from pawprint.data.sources.idx import read_idx
from pawprint.errors import DataError
from pawprint.network import stall_limit, why_unreachable
from pawprint.types import DataSettings

# By label, 0 to 9, as the set's authors call them.
CLASS_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
SIDE = 28  # pixels
FOLDERS = ("", "raw", "FashionMNIST/raw")  # below data.path
SUFFIXES = (".gz", "")  # packed ones first: they hold a checksum
SITE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"  # where torchvision has the files from


class Part(NamedTuple):
    """One of the set's two parts."""

    name: str  # in the names of its pictures
    prefix: str  # of its files
    n: int  # pictures
    split: str
    sha256: str  # of its pixels and labels, unpacked


# Test first, as the index is sorted by name.
PARTS = (
    Part("test", "t10k", 10_000, "test", "9f1ec356a747bfe4ebab3cfb722d3694c9ca737e2570f6f90cf31d7b6fd689d4"),
    Part("train", "train", 60_000, "trainval", "16d82e2b505296aa2b78bd5ea0992634f30419a4c97def7c907d154a35ac6157"),
)


def fetch(settings: DataSettings, folder: Path) -> None:
    """Write images.npy (70000, 28, 28, 1) uint8 and index.csv. DataError for missing, damaged, contradicting files."""
    if settings.path is not None:
        _fetch_folder(picture_place(settings), folder)
        return
    reason = why_unreachable(f"{SITE}/t10k-labels-idx1-ubyte.gz")
    if reason:
        raise _no_pictures(reason)
    with tempfile.TemporaryDirectory(prefix="fashion_mnist-", suffix=".tmp", dir=folder.parent) as downloads:
        _download(Path(downloads))
        _fetch_folder(Path(downloads), folder)


def _fetch_folder(source: Path, folder: Path) -> None:
    files = _find_files(source)
    images, tables = [], []
    for part in PARTS:
        pictures, labels = _read_part(part, files[part, "images"], files[part, "labels"])
        names = [f"{part.name}_{row:05d}" for row in range(len(labels))]
        images.append(pictures)
        tables.append(pd.DataFrame({"image_name": names, "label": np.take(CLASS_NAMES, labels), "split": part.split}))
    np.save(folder / "images.npy", np.concatenate(images)[..., None])  # (N, H, W, 1)
    write_table(pd.concat(tables, ignore_index=True), folder / "index.csv")


def _find_files(source: Path) -> dict[tuple[Part, str], Path]:
    """Where each part's images and labels are; DataError that names all that are not there."""
    found, missing = {}, []
    for part, (kind, n_dimensions) in product(PARTS, (("images", 3), ("labels", 1))):
        name = f"{part.prefix}-{kind}-idx{n_dimensions}-ubyte"
        places = [source / folder / f"{name}{suffix}" for folder in FOLDERS for suffix in SUFFIXES]
        place = next((place for place in places if place.is_file()), None)
        if place is None:
            missing.append(f"{name}.gz")
        else:
            found[part, kind] = place
    if missing:
        raise DataError(
            f"{source.resolve()}: no {listed(missing)}; expected the four files of Fashion-MNIST, packed or not, there"
            " or in raw/ below: complete them, or set data.path to null to have them downloaded"
        )
    return found


def _read_part(part: Part, images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 28, 28) and their labels (N,), both uint8."""
    pictures, numbers = read_idx(images, (SIDE, SIDE), part.n), read_idx(labels, (), part.n)
    if len(pictures) != len(numbers):
        raise DataError(
            f"{images} holds {len(pictures)} pictures, {labels} {len(numbers)} labels; expected a label for each:"
            " are they of one set?"
        )
    wrong = np.flatnonzero(numbers >= len(CLASS_NAMES))
    if len(wrong):
        raise DataError(
            f"{labels}: {len(wrong)} of {len(numbers)} labels are out of range, the first {numbers[wrong[0]]}"
            f" (number {wrong[0]}, from 0); expected 0 to {len(CLASS_NAMES) - 1}: is it another set's?"
        )
    found = hashlib.sha256(pictures.tobytes() + numbers.tobytes()).hexdigest()
    if len(numbers) == part.n and found != part.sha256:
        raise DataError(
            f"{images} and {labels}: not the content of Fashion-MNIST (sha256 {found[:8]}…, expected"
            f" {part.sha256[:8]}…): is it MNIST or KMNIST, whose files have the same names, or a damaged copy?"
            " Fetch the files again; for changed pictures use data.source folder"
        )
    return pictures, numbers


def _download(folder: Path) -> None:
    """torchvision's download into `folder`/FashionMNIST/raw, checksums and all."""
    from torchvision.datasets import FashionMNIST  # takes seconds to import

    try:
        with stall_limit():
            FashionMNIST(folder, download=True)
    except (OSError, RuntimeError) as error:
        raise _no_pictures(" ".join(str(error).split())) from error


def _no_pictures(reason: str) -> DataError:
    return DataError(
        f"data.source fashion_mnist: the pictures could not be downloaded from {SITE} ({reason})."
        " Set data.path to a folder with the set's four .gz files, or connect to the network;"
        " or use data.source digits, which needs neither"
    )
