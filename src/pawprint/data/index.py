"""The index of a data set as a CSV file: image_name, label, split, a line for each picture.

Sources write it, and `prepare` writes split.csv in the same way. What a person writes is read by listing.py.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pawprint.errors import DataError

COLUMNS = ["image_name", "label", "split"]
PARTS = ("train", "val", "test")
UNLABELLED = "unlabelled"  # a fourth part, which few sets have: learned from, and the training sees no label
POOLS = ("train", "trainval", "")  # what parts are drawn from; split.py says how
SPLITS = "train, val, test, unlabelled, trainval or nothing"  # what a split may say, in words


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


def parts_of(table: pd.DataFrame) -> tuple[str, ...]:
    """The parts of a split table: always PARTS, and UNLABELLED where any picture is in it."""
    return (*PARTS, UNLABELLED) if (table["split"] == UNLABELLED).any() else PARTS


def labels_in(table: pd.DataFrame) -> set[str]:
    """The classes that are named; a picture that nobody labelled names none."""
    return set(table["label"]) - {""}


def listed(names: Sequence[str], shown: int = 10) -> str:
    """The first names, and how many more there are: what an error can hold of a long list."""
    more = f" … and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
