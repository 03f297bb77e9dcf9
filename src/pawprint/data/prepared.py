"""Prepared data as training, test and probes read it: arrays that are memory-mapped, not decoded.

What the folder holds stands in packed.py, which writes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pawprint.data.arrays import read_array
from pawprint.data.index import UNLABELLED, listed, parts_of, read_table
from pawprint.errors import DataError
from pawprint.records import read_record
from pawprint.types import Data, Split


@dataclass(frozen=True)
class Description:
    """What data.json says that is not said elsewhere."""

    class_names: list[str]
    image_shape: tuple[int, int, int]  # (C, H, W)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    split_hash: str
    content_hash: str
    resize: str  # how pictures were brought to size


def load(folder: Path, excluded: Path | None = None) -> Data:
    """The prepared data, its pictures memory-mapped (read-only).

    `excluded` is a CSV with the one column image_name: pictures of train or unlabelled to leave out. Raises DataError
    for a folder that is not a prepared one, a CSV that is not one, and names that are in neither.
    """
    if not (folder / "data.json").exists():
        raise DataError(f"{folder.resolve()}: no data.json; run `dvc repro prepare` first")
    description = read_record(folder / "data.json", Description, "dvc repro prepare")
    table = read_table(folder / "split.csv")
    parts: dict[str, Any] = {part: _load_part(folder, part, table[table["split"] == part]) for part in parts_of(table)}
    data = Data(**{UNLABELLED: None, **parts}, **vars(description))
    return data if excluded is None else _without_those_in(excluded, data)


def without(data: Data, names: Sequence[str]) -> Data:
    """The data whose train and unlabelled lack these pictures; what is left of a part that had one is held in memory.

    An unlabelled part of which nothing is left is None. Mean and standard deviation stay those of the whole. Raises
    DataError for names that are in neither part.
    """
    unlabelled = [] if data.unlabelled is None else data.unlabelled.names
    strangers = sorted(set(names) - {*data.train.names, *unlabelled})
    if strangers:
        parts = "train" if data.unlabelled is None else f"train or {UNLABELLED}"
        raise DataError(f"{len(strangers)} names are not in {parts}: {listed(strangers)}")
    if not names:
        return data
    rest = None if data.unlabelled is None else _rest(data.unlabelled, names)
    return replace(data, train=_rest(data.train, names), unlabelled=rest or None)


def _rest(split: Split, names: Sequence[str]) -> Split:
    """The part without these pictures; itself where it has none of them."""
    keep = np.flatnonzero(~np.isin(split.names, names))
    if len(keep) == len(split):
        return split
    return Split([split.names[i] for i in keep], split.images[keep], split.labels[keep])


def _load_part(folder: Path, part: str, rows: pd.DataFrame) -> Split:
    try:
        images = read_array(folder / f"{part}_images.npy", np.uint8, 4)
        labels = np.array(read_array(folder / f"{part}_labels.npy", np.int64, 1))
    except DataError as error:
        raise DataError(f"{error}; run `dvc repro --force prepare`") from None
    if not len(images) == len(labels) == len(rows):
        raise DataError(
            f"{folder}: {part} has {len(images)} pictures, {len(labels)} labels and {len(rows)} lines in"
            " split.csv; run `dvc repro --force prepare`"
        )
    return Split(names=rows["image_name"].tolist(), images=images, labels=labels)


def _without_those_in(excluded: Path, data: Data) -> Data:
    try:
        names = pd.read_csv(excluded, dtype=str, keep_default_na=False)["image_name"].tolist()
        return without(data, names)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{excluded}: expected a CSV with the column image_name: {error}") from error
    except DataError as error:
        raise DataError(f"{excluded}: {error}") from None
