"""A person's own pictures, in a folder or a .zip: one folder a class, with or without train, val and test above.

    pictures/cat/1.jpg           or     pictures/train/cat/1.jpg
    pictures/dog/2.png                  pictures/test/cat/3.jpg

Pictures that nobody labelled stand beside these folders, or in train's, directly in a folder `unlabelled` or in folders
in it, whose names mean nothing:

    pictures/unlabelled/4.jpg    or     pictures/train/labelled/cat/1.jpg
                                        pictures/train/unlabelled/00/4.jpg

The parts go by the names that people give them (`SPLIT_FOLDERS`, `UNLABELLED_FOLDERS`). A single folder around all is
passed over, as are hidden files and folders.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pawprint.data.faults import Fault, by_name, report, write_faults
from pawprint.data.index import COLUMNS, PARTS, UNLABELLED, listed, write_table
from pawprint.data.sources.tree import SUFFIXES, Tree, is_picture, open_tree
from pawprint.errors import DataError
from pawprint.types import DataSettings

SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "evaluation"), "test"),
}
LABELLED_FOLDERS = ("labelled", "labeled")
UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")
LAYOUT = "expected one folder a class, or train/, val/ and test/ with one folder a class in each"


@dataclass(frozen=True)
class Naming:
    """How the names of a set say what a picture shows."""

    of_folder: Callable[[str], str] = str  # a class's folder → label
    # A picture beside the classes' folders → label, or ValueError with the reason; None: such pictures are left out.
    of_file: Callable[[str], str] | None = None


BY_FOLDER = Naming()


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
        return {part: counts[part] for part in (*PARTS, UNLABELLED) if counts[part]}


@dataclass
class _Found:
    """What is being gathered into a summary."""

    faults: list[Fault]
    left_out: list[str]
    rows: list[tuple[str, str, str]] = field(default_factory=list)


def fetch(settings: DataSettings, folder: Path) -> None:
    """Copy the pictures in `settings.path`. DataError if there is no such folder or .zip, or no classes in it."""
    with open_tree(picture_place(settings)) as tree:
        summary = read_layout(tree)
        store(summary.tree, summary.index, summary.faults, folder)


def read_layout(tree: Tree, naming: Naming = BY_FOLDER) -> FolderSummary:
    """Labels and splits from the folders' names, decoding nothing; a line on stderr counts files left out.

    Raises DataError for a layout that contradicts itself, and where there are no pictures at all.
    """
    tree = unwrapped(tree)
    parents = _class_parents(tree, naming)
    places = {_class_place(tree, parent): SPLIT_FOLDERS.get(parent.lower(), "") for parent in parents}
    passed = dict.fromkeys(["", *parents])
    beside = [name for above in passed if above not in places for name in tree.files_in(above)]
    found = _Found(list(tree.faults), left_out=beside)
    for place, split in places.items():
        _read_classes(tree, place, split, naming, found)
    for folder in _unlabelled_folders(tree, passed):
        _read_unlabelled(tree, folder, found)
    if not found.rows:
        nothing = f"{tree.place}: no pictures found; {LAYOUT}"
        raise DataError(report(by_name(found.faults), nothing) if found.faults else nothing)
    if found.left_out:
        count = f"{len(found.left_out)} files that are no pictures ({' '.join(SUFFIXES)}) or stand in no class folder"
        print(f"{tree.place}: left out {count}: {listed(sorted(found.left_out), shown=3)}", file=sys.stderr)
    return FolderSummary(tree, pd.DataFrame(sorted(found.rows), columns=COLUMNS), found.faults, found.left_out)


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


def unwrapped(tree: Tree) -> Tree:
    """The tree inside the single folder that people and programs put around all others."""
    top = tree.folders_in("")
    if len(top) != 1 or top[0].lower() in (*SPLIT_FOLDERS, *UNLABELLED_FOLDERS) or not tree.folders_in(top[0]):
        return tree
    return tree.below(top[0])


def base_name(name: str) -> str:
    return name.rpartition("/")[2]


def _class_parents(tree: Tree, naming: Naming) -> list[str]:
    """The folders in which the classes stand: those of the splits, or the place itself, as "".

    Raises DataError if it is neither clearly.
    """
    folders = _labelled_folders(tree, "")
    split_folders = [folder for folder in folders if folder.lower() in SPLIT_FOLDERS]
    with_classes = [
        folder for folder in split_folders if tree.folders_in(folder) or _tells_labels(tree, folder, naming)
    ]
    if with_classes and len(with_classes) < len(folders):
        others = listed([f"{folder}/" for folder in folders if folder not in with_classes])
        raise DataError(f"{tree.place}: found {with_classes[0]}/ with folders in it beside {others}; {LAYOUT}")
    if split_folders and len(split_folders) == len(folders) and not with_classes:
        found = listed([f"{folder}/" for folder in folders])
        raise DataError(f"{tree.place}: found {found} without class folders; {LAYOUT}")
    return with_classes or [""]


def _class_place(tree: Tree, parent: str) -> str:
    """Where below such a folder the classes stand: in its only folder, if that is called `labelled`, else in itself."""
    folders = _labelled_folders(tree, parent)
    is_inner = len(folders) == 1 and base_name(folders[0]).lower() in LABELLED_FOLDERS
    return folders[0] if is_inner else parent


def _labelled_folders(tree: Tree, parent: str) -> list[str]:
    return [folder for folder in tree.folders_in(parent) if base_name(folder).lower() not in UNLABELLED_FOLDERS]


def _unlabelled_folders(tree: Tree, parents: Iterable[str]) -> list[str]:
    """Those directly in the parents; DataError for one in val or test, which nothing learns from."""
    found = [folder for parent in parents for folder in tree.folders_in(parent)
             if base_name(folder).lower() in UNLABELLED_FOLDERS]  # fmt: skip
    for folder in found:
        split = SPLIT_FOLDERS.get(folder.rpartition("/")[0].lower(), "")
        if split in ("val", "test"):
            expected = f"expected unlabelled pictures beside {folder.rpartition('/')[0]}/, or in train's folder"
            raise DataError(f"{tree.place}: found {folder}/, and nothing learns from {split}; {expected}")
    return found


def _tells_labels(tree: Tree, folder: str, naming: Naming) -> bool:
    """Whether the pictures directly in a folder are labelled by their own names."""
    return naming.of_file is not None and any(is_picture(name) for name in tree.files_in(folder))


def _read_classes(tree: Tree, place: str, split: str, naming: Naming, found: _Found) -> None:
    """The classes' folders in a place, and the pictures beside them, where their own names say what they show."""
    for folder in _labelled_folders(tree, place):
        label = naming.of_folder(base_name(folder))
        pictures = _class_pictures(tree, folder)
        found.left_out += [name for name in tree.files_in(folder) if not is_picture(name)]
        found.rows += [(name, label, split) for name in pictures]
        found.faults += _no_pictures(tree, folder, "class") if not pictures else []
    for name in tree.files_in(place):
        if naming.of_file is None or not is_picture(name):
            found.left_out.append(name)
            continue
        try:
            found.rows.append((name, naming.of_file(name), split))
        except ValueError as error:
            found.faults.append(Fault(name, str(error)))


def _read_unlabelled(tree: Tree, folder: str, found: _Found) -> None:
    """The pictures in a folder and in the folders in it. DataError where those have folders of their own."""
    inner = tree.folders_in(folder)
    deep = next((below for above in inner for below in tree.folders_in(above)), None)
    if deep is not None:
        raise DataError(f"{tree.place}: found {deep}/; expected pictures in {folder}/, or in folders in it")
    names = [name for place in (folder, *inner) for name in tree.files_in(place)]
    pictures = [name for name in names if is_picture(name)]
    found.left_out += [name for name in names if not is_picture(name)]
    found.rows += [(name, "", UNLABELLED) for name in pictures]
    found.faults += _no_pictures(tree, folder, "folder") if not pictures else []


def _class_pictures(tree: Tree, folder: str) -> list[str]:
    inner = tree.folders_in(folder)
    if inner:
        found = base_name(inner[0])
        raise DataError(f"{tree.place}/{folder}: found {found}/ inside a class's folder; {LAYOUT}")
    return [name for name in tree.files_in(folder) if is_picture(name)]


def _no_pictures(tree: Tree, folder: str, kind: str) -> list[Fault]:
    """The fault of a class, or other folder, that is empty; none where its pictures are faults themselves."""
    if any(fault.image_name.startswith(f"{folder}/") for fault in tree.faults):
        return []
    return [Fault(f"{folder}/", f"{kind} without pictures; expected files ending in {' '.join(SUFFIXES)}")]
