"""A person's own pictures: one folder a class, with or without train, val and test above.

    pictures/cat/1.jpg           or     pictures/train/cat/1.jpg
    pictures/dog/2.png                  pictures/test/cat/3.jpg

The parts go by the names that people give them (`SPLIT_FOLDERS`). Hidden files and folders are passed over.
"""

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pawprint.data.index import COLUMNS, listed, write_table
from pawprint.errors import DataError
from pawprint.types import DataSettings

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "evaluation"), "test"),
}
LAYOUT = "expected one folder a class, or train/, val/ and test/ with one folder a class in each"


@dataclass(frozen=True)
class FolderSummary:
    """What stands in a folder of pictures."""

    index: pd.DataFrame  # image_name (relative to the folder), label, split
    left_out: list[str]  # files that are no pictures by their suffix, or stand in no class's folder

    @property
    def n_per_class(self) -> dict[str, int]:
        return {str(label): int(n) for label, n in self.index["label"].value_counts().sort_index().items()}

    @property
    def n_per_split(self) -> dict[str, int]:
        """Split → pictures; empty when the folder gives none."""
        counts = Counter(self.index["split"])
        return {part: counts[part] for part in ("train", "val", "test") if counts[part]}


def fetch(settings: DataSettings, folder: Path) -> None:
    """Copy the pictures below `settings.path`. DataError if there is no such folder or no classes in it."""
    source = picture_folder(settings)
    summary = check_folder(source)
    copy_pictures(source, list(summary.index["image_name"]), folder / "images")
    write_table(summary.index, folder / "index.csv")


def check_folder(path: Path) -> FolderSummary:
    """Read the layout, decoding nothing; a line on stderr counts files left out. Raises DataError."""
    folders = _folders(path)
    split_folders = [f for f in folders if f.name.lower() in SPLIT_FOLDERS]
    with_classes = [f for f in split_folders if _folders(f)]
    left_out = [f.relative_to(path).as_posix() for f in _files(path)]
    if with_classes and len(with_classes) < len(folders):
        others = [f"{f.name}/" for f in folders if f not in with_classes]
        raise DataError(f"{path}: found {with_classes[0].name}/ with folders in it beside {listed(others)}; {LAYOUT}")
    if split_folders and len(split_folders) == len(folders) and not with_classes:
        raise DataError(f"{path}: found {listed([f.name + '/' for f in folders])} without class folders; {LAYOUT}")
    rows: list[tuple[str, str, str]] = []
    for above in with_classes or [path]:
        split = SPLIT_FOLDERS[above.name.lower()] if with_classes else ""
        if with_classes:
            left_out += [f.relative_to(path).as_posix() for f in _files(above)]
        for class_folder in _folders(above):
            pictures, strays = _class_files(class_folder)
            rows += [(f.relative_to(path).as_posix(), class_folder.name, split) for f in pictures]
            left_out += [f.relative_to(path).as_posix() for f in strays]
    if not rows:
        raise DataError(f"{path}: no pictures found; {LAYOUT}")
    if left_out:
        count = f"{len(left_out)} files that are no pictures ({' '.join(SUFFIXES)}) or stand in no class folder"
        print(f"{path}: left out {count}: {listed(sorted(left_out), shown=3)}", file=sys.stderr)
    index = pd.DataFrame(sorted(rows), columns=COLUMNS)
    return FolderSummary(index, left_out)


def picture_folder(settings: DataSettings) -> Path:
    """`data.path` as a folder that exists, or DataError with the absolute place that was looked at."""
    if settings.path is None:
        raise DataError(f"data.path: not set; data.source {settings.source} needs a folder of pictures")
    path = Path(settings.path).expanduser()
    if path.is_dir():
        return path
    hint = "" if path.is_absolute() else (
        " (it is relative to the study's folder; `dvc exp run --queue` and `--temp` work in a copy of"
        " the repository: give an absolute path there)"
    )  # fmt: skip
    raise DataError(f"data.path: {settings.path}: no such folder; looked at {path.resolve()}{hint}")


def copy_pictures(source: Path, names: list[str], target: Path) -> None:
    """Copy the named files, with the folders in their names, from `source` to `target`."""
    for folder in sorted({(target / name).parent for name in names}):
        folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, target / name)


def is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def _class_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Pictures and other files of one class; DataError for a class without pictures or with folders in it."""
    inner = _folders(folder)
    if inner:
        raise DataError(f"{folder}: found {inner[0].name}/ inside a class's folder; {LAYOUT}")
    files = _files(folder)
    pictures = [f for f in files if is_picture(f)]
    if not pictures:
        raise DataError(f"{folder}: a class without pictures; expected files ending in {' '.join(SUFFIXES)}")
    return pictures, [f for f in files if not is_picture(f)]


def _folders(path: Path) -> list[Path]:
    return [entry for entry in _visible(path) if entry.is_dir()]


def _files(path: Path) -> list[Path]:
    return [entry for entry in _visible(path) if entry.is_file()]


def _visible(path: Path) -> Iterator[Path]:
    """Entries in order of name, but those that systems add: hidden ones, and what a Mac's zip leaves."""
    for entry in sorted(path.iterdir()):
        if not entry.name.startswith((".", "__MACOSX")):
            yield entry
