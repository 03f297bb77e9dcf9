"""CIFAR-10 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009): 60,000 pictures of 32 x 32
pixels, ten animals and vehicles.

`data.path` is a folder with `cifar-10-batches-py`, as torchvision unpacks it, or a folder or .zip of pictures,
`train/<class>/0001.jpg` and `test/<class>/0001.jpg`. Without it torchvision downloads the set (170 MB). The 10,000 test
pictures stay test; out of the 50,000 others `prepare` draws val. A picture of the batches is named for its place in
them, counted from 0 as torchvision does: `train_00000`.

The batches are pickles, which can run any code. torchvision's loader compares the MD5 of each with the published one
before it unpickles any (its `_check_integrity` and `_load_meta`); here that is done before as well, so that the file at
fault is named. What was changed by a byte is not read.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from pawprint.data.index import listed, write_table
from pawprint.data.sources import folder as pictures
from pawprint.data.sources.folder import picture_place
from pawprint.errors import DataError
from pawprint.network import stall_limit, why_unreachable
from pawprint.types import DataSettings

SITE = "https://www.cs.toronto.edu/~kriz"
ARCHIVE = "cifar-10-python.tar.gz"
BATCHES = "cifar-10-batches-py"  # the folder in it
SPLITS = {"test": "test", "train": "trainval"}  # part → split; test first, as the index is sorted by name


def fetch(settings: DataSettings, folder: Path) -> None:
    """Write the pictures and their index. DataError for missing, damaged, contradicting files."""
    if settings.path is None:
        _download(folder)
        return
    source = picture_place(settings)
    root = source.resolve().parent if source.resolve().name == BATCHES else source
    if (root / BATCHES).is_dir():
        _fetch_batches(root, folder)
    elif (source / ARCHIVE).is_file():
        raise DataError(f"{source.resolve()}: {ARCHIVE} is packed; unpack it there: tar -xzf {ARCHIVE}")
    else:
        pictures.fetch(settings, folder)


def _fetch_batches(root: Path, folder: Path) -> None:
    """images.npy (60000, 32, 32, 3) uint8 and index.csv, from the batches below `root`."""
    from torchvision.datasets import CIFAR10  # takes seconds to import

    _refuse_changed(root / BATCHES)
    parts = {part: CIFAR10(root, train=part == "train") for part in SPLITS}
    shape = (sum(map(len, parts.values())), *parts["test"].data.shape[1:])
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
    tables, start = [], 0
    for name, part in parts.items():
        images[start : start + len(part)] = part.data
        start += len(part)
        names = [f"{name}_{row:05d}" for row in range(len(part))]
        labels = np.take(part.classes, part.targets)
        tables.append(pd.DataFrame({"image_name": names, "label": labels, "split": SPLITS[name]}))
    images.flush()
    write_table(pd.concat(tables, ignore_index=True), folder / "index.csv")


def _refuse_changed(batches: Path) -> None:
    """DataError that names every file of the set that is missing, or has not the content published."""
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    files = [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
    missing = [name for name, _ in files if not (batches / name).is_file()]
    if missing:
        raise DataError(
            f"{batches.resolve()}: no {listed(missing)}; expected the seven files of CIFAR-10: complete them, or set"
            " data.path to null to have them downloaded"
        )
    changed = [name for name, md5 in files if not check_integrity(batches / name, md5)]
    if changed:
        raise DataError(
            f"{batches.resolve()}: {listed(changed)}: not the content of CIFAR-10 (another MD5), and not read, as"
            " pickles can run code: fetch the files again; for changed pictures use data.source folder"
        )


def _download(folder: Path) -> None:
    """torchvision's download, checksum and all, into a folder beside `folder` that goes when it is read."""
    reason = why_unreachable(f"{SITE}/{ARCHIVE}")
    if reason:
        raise _no_pictures(reason)
    from torchvision.datasets import CIFAR10

    with tempfile.TemporaryDirectory(prefix="cifar10-", suffix=".tmp", dir=folder.parent) as downloads:
        try:
            with stall_limit():
                CIFAR10(downloads, download=True)
        except (OSError, RuntimeError) as error:
            raise _no_pictures(" ".join(str(error).split())) from error
        _fetch_batches(Path(downloads), folder)


def _no_pictures(reason: str) -> DataError:
    return DataError(
        f"data.source cifar10: the pictures could not be downloaded from {SITE} ({reason})."
        f" Set data.path to a folder with {BATCHES}, or of pictures, or connect to the network;"
        " or use data.source digits, which needs neither"
    )
