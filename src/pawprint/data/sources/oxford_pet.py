"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012): 7,390 photographs of 37 breeds, or any part of them.

`data.path` is a folder with `images/` and what says which picture is what, the first found of

1. `data.split_file`: image_name,label,split (the name with or without .jpg);
2. `annotations/trainval.txt` and `test.txt`, the official lists: trainval → `trainval`, out of which
   `prepare` draws val; test → test; a list.txt alone gives no splits. The class stands in the file's name;
3. the one `*split*.csv` beside `images/`.

Without `data.path` torchvision downloads the set (800 MB).
"""

import socket
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

import pandas as pd

from pawprint.data.index import (
    COLUMNS,
    find_pictures,
    read_table,
    split_file_path,
    write_table,
)
from pawprint.data.sources.folder import copy_pictures, is_picture, picture_folder
from pawprint.errors import DataError
from pawprint.types import DataSettings

ARCHIVE = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz"  # the smaller of the two
REACH_SECONDS = 6.0  # how long the site may take to answer at all
STALL_SECONDS = 60.0  # how long a download may stand still
LISTS = {"trainval.txt": "trainval", "test.txt": "test"}  # file → split


def fetch(settings: DataSettings, folder: Path) -> None:
    """Copy the listed pictures and write their index. DataError for what is missing, within seconds."""
    if settings.path is not None:
        _fetch_folder(picture_folder(settings), settings, folder)
        return
    _refuse_unreachable()
    with tempfile.TemporaryDirectory(prefix="oxford_pet-", suffix=".tmp", dir=folder.parent) as downloads:
        _fetch_folder(_download(Path(downloads)), settings, folder)


def _fetch_folder(source: Path, settings: DataSettings, folder: Path) -> None:
    if not (source / "images").is_dir():
        raise DataError(f"{source.resolve()}: no folder images/ in it; expected images/ and annotations/")
    present = sorted(f.name for f in (source / "images").iterdir() if is_picture(f) and f.name[0] != ".")
    listing, index = _read_listing(source, settings)
    index = find_pictures(index, present, listing, str(source / "images"))
    index = index.sort_values("image_name", kind="stable")
    n_unlisted = len(present) - len(index)
    if n_unlisted:
        print(f"{source}: left out {n_unlisted} pictures that are not in {listing}", file=sys.stderr)
    copy_pictures(source / "images", list(index["image_name"]), folder / "images")
    write_table(index, folder / "index.csv")


def _read_listing(source: Path, settings: DataSettings) -> tuple[Path, pd.DataFrame]:
    """What lists the pictures, and its index: image_name as written, label, split."""
    if settings.split_file is not None:
        path = split_file_path(settings)
        return path, read_table(path)
    annotations = source / "annotations"
    if all((annotations / name).is_file() for name in LISTS):
        lists = [_read_official(annotations / name, split) for name, split in LISTS.items()]
        return annotations, pd.concat(lists, ignore_index=True)
    if (annotations / "list.txt").is_file():
        return annotations / "list.txt", _read_official(annotations / "list.txt", split="")
    tables = sorted(source.glob("*split*.csv"))
    if len(tables) == 1:
        return tables[0], read_table(tables[0])
    raise DataError(
        f"{source.resolve()}: found {len(tables)} split files and no annotations/ with"
        f" {' and '.join(LISTS)}; expected these lists, or data.split_file set to a CSV"
        " image_name,label,split"
    )


def _read_official(path: Path, split: str) -> pd.DataFrame:
    """Lines `Abyssinian_100 1 1 1` (name, class, species, breed within species); `#` begins a comment."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        breed, underscore, picture = words[0].rpartition("_")
        if not (breed and underscore and picture):
            raise DataError(f"{path}:{number}: found {words[0]!r}; expected a name like Abyssinian_100")
        rows.append((words[0], breed, split))
    return pd.DataFrame(rows, columns=COLUMNS)


def _refuse_unreachable() -> None:
    """DataError if the site does not answer; asked in a thread, as a look-up of names knows no time limit."""
    failures: list[str] = [f"no answer in {REACH_SECONDS:g} seconds"]

    def ask() -> None:
        request = urllib.request.Request(ARCHIVE, method="HEAD", headers={"User-Agent": "pawprint"})
        try:
            urllib.request.urlopen(request, timeout=REACH_SECONDS).close()
            failures.clear()
        except OSError as error:
            failures[:] = [str(error)]

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(REACH_SECONDS)
    if failures:
        raise _no_pictures(failures[0])


def _download(folder: Path) -> Path:
    """torchvision's download into `folder`, checksums and all; the folder with images/ and annotations/."""
    from torchvision.datasets import OxfordIIITPet  # takes seconds to import

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)  # torchvision sets none, and a dead line would be waited on for ever
    try:
        OxfordIIITPet(folder, download=True)
    except (OSError, RuntimeError) as error:
        raise _no_pictures(str(error)) from error
    finally:
        socket.setdefaulttimeout(before)
    return folder / "oxford-iiit-pet"


def _no_pictures(reason: str) -> DataError:
    return DataError(
        f"data.source oxford_pet: the pictures could not be downloaded from www.robots.ox.ac.uk ({reason})."
        " Set data.path to a folder with images/ and annotations/, or connect to the network;"
        " or use data.source procedural, which needs neither"
    )
