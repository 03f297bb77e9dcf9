"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012): 7,390 photographs of 37 breeds, or any part of them.

`data.path` is a folder with `images/` and what says which picture is what, the first found of

1. `data.split_file`: image_name,label,split (the name with or without .jpg);
2. `annotations/trainval.txt` and `test.txt`, the official lists: trainval → `trainval`, out of which
   `prepare` draws val; test → test; a list.txt alone gives no splits. The class stands in the file's name;
3. the one `*split*.csv` beside `images/`.

Without `data.path` torchvision downloads the set (800 MB).
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd

from pawprint.data.faults import Fault, readable
from pawprint.data.index import COLUMNS, listed
from pawprint.data.listing import Listing, match, read_listing, split_file_path
from pawprint.data.sources.folder import picture_place, store
from pawprint.data.sources.tree import SUFFIXES, is_picture, open_tree
from pawprint.errors import DataError
from pawprint.network import stall_limit, why_unreachable
from pawprint.types import DataSettings

ARCHIVE = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz"  # the smaller of the two
LISTS = {"trainval.txt": "trainval", "test.txt": "test"}  # file → split


def fetch(settings: DataSettings, folder: Path) -> None:
    """Copy the listed pictures and write their index. DataError for what is missing, within seconds."""
    if settings.path is not None:
        _fetch_folder(picture_place(settings), settings, folder)
        return
    reason = why_unreachable(ARCHIVE)
    if reason:
        raise _no_pictures(reason)
    with tempfile.TemporaryDirectory(prefix="oxford_pet-", suffix=".tmp", dir=folder.parent) as downloads:
        _fetch_folder(_download(Path(downloads)), settings, folder)


def _fetch_folder(source: Path, settings: DataSettings, folder: Path) -> None:
    if not (source / "images").is_dir():
        raise DataError(f"{source.resolve()}: no folder images/ in it; expected images/ and annotations/")
    listing = _read_listing(source, settings)
    with open_tree(source / "images") as tree:
        unusable = [fault for fault in tree.faults if is_picture(fault.image_name)]
        present = [name for name in tree.files_in("") if is_picture(name)]
        if not present:
            raise DataError(f"{source.resolve()}/images: no pictures; expected files ending in {' '.join(SUFFIXES)}")
        matched = match(listing, [*present, *(fault.image_name for fault in unusable)])
        if matched.unlisted and not listing.names_all:
            count = f"{len(matched.unlisted)} pictures that are not in {listing.origin}"
            print(f"{source}: left out {count}: {listed(matched.unlisted, shown=3)}", file=sys.stderr)
        store(tree, matched.table[matched.table["image_name"].isin(present)], unusable + matched.faults, folder)


def _read_listing(source: Path, settings: DataSettings) -> Listing:
    if settings.split_file is not None:
        return read_listing(split_file_path(settings))
    annotations = source / "annotations"
    if all((annotations / name).is_file() for name in LISTS):
        return _read_official([(annotations / name, split) for name, split in LISTS.items()])
    if (annotations / "list.txt").is_file():
        return _read_official([(annotations / "list.txt", "")])
    tables = sorted(source.glob("*split*.csv"))
    if len(tables) == 1:
        return read_listing(tables[0])
    raise DataError(
        f"{source.resolve()}: found {len(tables)} split files and no annotations/ with"
        f" {' and '.join(LISTS)}; expected these lists, or data.split_file set to a CSV"
        " image_name,label,split"
    )


def _read_official(lists: list[tuple[Path, str]]) -> Listing:
    """Lines `Abyssinian_100 1 1 1` (name, class, species, breed within species); `#` begins a comment.

    The complete archive holds 41 pictures that the lists leave out, so that one in no list is no fault.
    """
    rows, faults = [], []
    for path, split in lists:
        for number, line in enumerate(_official_lines(path), start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            breed, _, picture = words[0].rpartition("_")
            if breed and picture:
                rows.append((words[0], breed, split))
            else:
                reason = f"no class in its name (line {number} of {path.name}); expected a name like Abyssinian_100"
                faults.append(Fault(readable(words[0]), reason))
    origin = " and ".join(f"annotations/{path.name}" for path, _ in lists)
    return Listing(origin, pd.DataFrame(rows, columns=COLUMNS, dtype=str), faults, names_all=False)


def _official_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _download(folder: Path) -> Path:
    """torchvision's download into `folder`, checksums and all; the folder with images/ and annotations/."""
    from torchvision.datasets import OxfordIIITPet  # takes seconds to import

    try:
        with stall_limit():
            OxfordIIITPet(folder, download=True)
    except (OSError, RuntimeError) as error:
        raise _no_pictures(str(error)) from error
    return folder / "oxford-iiit-pet"


def _no_pictures(reason: str) -> DataError:
    return DataError(
        f"data.source oxford_pet: the pictures could not be downloaded from www.robots.ox.ac.uk ({reason})."
        " Set data.path to a folder with images/ and annotations/, or connect to the network;"
        " or use data.source procedural, which needs neither"
    )
