"""A person's own pictures, in a folder or a .zip: one folder a class, with or without train, val and test above.

    pictures/cat/1.jpg           or     pictures/train/cat/1.jpg
    pictures/dog/2.png                  pictures/test/cat/3.jpg

The parts go by the names that people give them (`SPLIT_FOLDERS`). A single folder around all is passed over, as are
hidden files and folders.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pawprint.data.faults import Fault, by_name, report, write_faults
from pawprint.data.index import COLUMNS, PARTS, listed, write_table
from pawprint.data.sources.tree import SUFFIXES, Tree, is_picture, open_tree
from pawprint.errors import DataError
from pawprint.types import DataSettings

SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "evaluation"), "test"),
}
LAYOUT = "expected one folder a class, or train/, val/ and test/ with one folder a class in each"


@dataclass(frozen=True)
class FolderSummary:
    """What stands in a folder of pictures."""

    tree: Tree  # to which the names are relative
    index: pd.DataFrame  # image_name, label, split; sorted by name
    faults: list[Fault]  # of names, files and classes; none is of a row of the index
    left_out: list[str]  # files that are no pictures by their suffix, or stand in no class's folder

    @property
    def n_per_split(self) -> dict[str, int]:
        """Split → pictures; empty when the folder gives none."""
        counts = Counter(self.index["split"])
        return {part: counts[part] for part in PARTS if counts[part]}


def fetch(settings: DataSettings, folder: Path) -> None:
    """Copy the pictures in `settings.path`. DataError if there is no such folder or .zip, or no classes in it."""
    with open_tree(picture_place(settings)) as tree:
        summary = read_layout(tree)
        store(summary.tree, summary.index, summary.faults, folder)


def read_layout(tree: Tree) -> FolderSummary:
    """Labels and splits from the folders' names, decoding nothing; a line on stderr counts files left out.

    Raises DataError for a layout that contradicts itself, and where there are no pictures at all.
    """
    tree = _unwrapped(tree)
    faults, left_out = list(tree.faults), list(tree.files_in(""))
    rows: list[tuple[str, str, str]] = []
    for parent in _class_parents(tree):
        split = SPLIT_FOLDERS[parent.lower()] if parent else ""
        left_out += tree.files_in(parent) if parent else []
        for folder in tree.folders_in(parent):
            pictures = _class_pictures(tree, folder)
            left_out += [name for name in tree.files_in(folder) if not is_picture(name)]
            rows += [(name, folder.rpartition("/")[2], split) for name in pictures]
            faults += _no_pictures(tree, folder) if not pictures else []
    if not rows:
        nothing = f"{tree.place}: no pictures found; {LAYOUT}"
        raise DataError(report(by_name(faults), nothing) if faults else nothing)
    if left_out:
        count = f"{len(left_out)} files that are no pictures ({' '.join(SUFFIXES)}) or stand in no class folder"
        print(f"{tree.place}: left out {count}: {listed(sorted(left_out), shown=3)}", file=sys.stderr)
    return FolderSummary(tree, pd.DataFrame(sorted(rows), columns=COLUMNS), faults, left_out)


def picture_place(settings: DataSettings) -> Path:
    """`data.path` as a folder or .zip that exists, or DataError with the absolute place that was looked at."""
    if settings.path is None:
        raise DataError(f"data.path: not set; data.source {settings.source} needs a folder of pictures")
    path = Path(settings.path).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip"):
        return path
    hint = "" if path.is_absolute() else (
        " (it is relative to the study's folder; `dvc exp run --queue` and `--temp` work in a copy of"
        " the repository: give an absolute path there)"
    )  # fmt: skip
    raise DataError(f"data.path: {settings.path}: no such folder or .zip; looked at {path.resolve()}{hint}")


def store(tree: Tree, index: pd.DataFrame, faults: list[Fault], folder: Path) -> None:
    """Copy the index's pictures into `folder`/images, and write index.csv and, if there are faults, faults.csv.

    A picture whose file cannot be read is not in the index written, but among the faults.
    """
    unread = []
    for above in sorted({(folder / "images" / name).parent for name in index["image_name"]}):
        above.mkdir(parents=True, exist_ok=True)
    for name in index["image_name"]:
        try:
            content = tree.read(name)
        except ValueError as error:
            unread.append(Fault(name, str(error)))
            continue
        (folder / "images" / name).write_bytes(content)
    write_table(index[~index["image_name"].isin([fault.image_name for fault in unread])], folder / "index.csv")
    if faults or unread:
        write_faults(by_name([*faults, *unread]), folder / "faults.csv")


def _unwrapped(tree: Tree) -> Tree:
    """The tree inside the single folder that people and programs put around all others."""
    top = tree.folders_in("")
    if len(top) != 1 or top[0].lower() in SPLIT_FOLDERS or not tree.folders_in(top[0]):
        return tree
    return tree.below(top[0])


def _class_parents(tree: Tree) -> list[str]:
    """The folders in which the classes' folders stand: those of the splits, or the place itself, as "".

    Raises DataError if it is neither clearly.
    """
    folders = tree.folders_in("")
    split_folders = [folder for folder in folders if folder.lower() in SPLIT_FOLDERS]
    with_classes = [folder for folder in split_folders if tree.folders_in(folder)]
    if with_classes and len(with_classes) < len(folders):
        others = listed([f"{folder}/" for folder in folders if folder not in with_classes])
        raise DataError(f"{tree.place}: found {with_classes[0]}/ with folders in it beside {others}; {LAYOUT}")
    if split_folders and len(split_folders) == len(folders) and not with_classes:
        found = listed([f"{folder}/" for folder in folders])
        raise DataError(f"{tree.place}: found {found} without class folders; {LAYOUT}")
    return with_classes or [""]


def _class_pictures(tree: Tree, folder: str) -> list[str]:
    inner = tree.folders_in(folder)
    if inner:
        found = inner[0].rpartition("/")[2]
        raise DataError(f"{tree.place}/{folder}: found {found}/ inside a class's folder; {LAYOUT}")
    return [name for name in tree.files_in(folder) if is_picture(name)]


def _no_pictures(tree: Tree, folder: str) -> list[Fault]:
    """The fault of a class whose folder is empty; none where its pictures are faults themselves."""
    if any(fault.image_name.startswith(f"{folder}/") for fault in tree.faults):
        return []
    return [Fault(f"{folder}/", f"class without pictures; expected files ending in {' '.join(SUFFIXES)}")]
