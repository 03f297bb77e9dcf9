"""The index of a data set as a CSV file: image_name, label, split, a line for each picture.

Sources write it, a person's `data.split_file` has the same columns; what a split may say stands in split.py.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from pawprint.errors import DataError
from pawprint.types import DataSettings

COLUMNS = ["image_name", "label", "split"]
PARTS = ("train", "val", "test")


def read_table(path: Path) -> pd.DataFrame:
    """A CSV with the columns image_name, label, split, all as text; DataError if they are not all there."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path.resolve()}: no such file") from None
    except (ValueError, OSError) as error:  # pandas' parser and encoding errors are ValueErrors
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; expected the header {','.join(COLUMNS)}")
    return table[COLUMNS]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write image_name, label, split; the same table gives the same bytes everywhere."""
    path.write_text(to_csv(table), encoding="utf-8", newline="")


def to_csv(table: pd.DataFrame) -> str:
    return table[COLUMNS].to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)


def split_file_path(settings: DataSettings) -> Path:
    """Where `data.split_file` is: in the study's folder, else in `data.path`. DataError if in neither."""
    written = Path(settings.split_file or "").expanduser()
    places = [written] + ([Path(settings.path).expanduser() / written] if settings.path else [])
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        looked = " and ".join(str(place.resolve()) for place in dict.fromkeys(places))
        raise DataError(
            f"data.split_file: {settings.split_file}: no such file; looked at {looked}"
            " (`dvc exp run --queue` and `--temp` work in a copy of the repository: give an absolute path)"
        )
    return found


def find_pictures(table: pd.DataFrame, present: Iterable[str], origin: Path, place: str) -> pd.DataFrame:
    """The table with each name as it stands in `present`, where it may have a suffix more (.jpg first).

    Raises DataError, `origin` being what lists the pictures and `place` where they are, for names that
    are not there and for pictures named twice.
    """
    names = set(present)
    by_stem: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (not name.lower().endswith(".jpg"), name)):
        by_stem.setdefault(str(PurePosixPath(name).with_suffix("")), name)
    found = [name if name in names else by_stem.get(name, "") for name in table["image_name"]]
    absent = [written for written, name in zip(table["image_name"], found, strict=True) if not name]
    if absent:
        raise DataError(
            f"{origin}: {len(absent)} of {len(found)} pictures named are not in {place}: {listed(absent)};"
            " add them or take their lines out"
        )
    table = table.assign(image_name=found)
    refuse_repeats(table["image_name"], str(origin))
    return table


def listed(names: Sequence[str], shown: int = 10) -> str:
    """The first names, and how many more there are: what an error can hold of a long list."""
    more = f" … and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def refuse_repeats(names: pd.Series, where: str) -> None:
    """DataError naming the names that stand more than once."""
    repeated = sorted(set(names[names.duplicated()]))
    if repeated:
        raise DataError(f"{where}: {len(repeated)} names stand more than once: {listed(repeated)}")
