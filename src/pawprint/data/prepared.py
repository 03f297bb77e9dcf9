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
from pawprint.data.index import PARTS, listed, read_table
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

    `excluded` is a CSV with the one column image_name: training pictures to leave out. Raises DataError for a folder
    that is not a prepared one, a CSV that is not one, and names that are not in train.
    """
    if not (folder / "data.json").exists():
        raise DataError(f"{folder.resolve()}: no data.json; run `dvc repro prepare` first")
    description = read_record(folder / "data.json", Description, "dvc repro prepare")
    table = read_table(folder / "split.csv")
    parts: dict[str, Any] = {part: _load_part(folder, part, table[table["split"] == part]) for part in PARTS}
    data = Data(**parts, unlabelled=None, **vars(description))
    return data if excluded is None else _without_those_in(excluded, data)


def without(data: Data, names: Sequence[str]) -> Data:
    """The data whose train lacks these pictures; those left are held in memory.

    Mean and standard deviation stay those of the whole of train. Raises DataError for names that are not in train.
    """
    strangers = sorted(set(names) - set(data.train.names))
    if strangers:
        raise DataError(f"{len(strangers)} names are not in train: {listed(strangers)}")
    if not names:
        return data
    train = data.train
    keep = np.flatnonzero(~np.isin(train.names, names))
    return replace(data, train=Split([train.names[i] for i in keep], train.images[keep], train.labels[keep]))


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
