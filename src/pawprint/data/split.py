"""Which picture serves for what: train, val or test; made once, by name, and known by its hash.

The index of a data set is a table image_name, label, split. Its `split` says what the source gives:

    train, val, test   that part
    trainval           train or val, to be drawn (the official lists of Oxford-IIIT Pet)
    (empty)            anything, to be drawn

The rows in val and test stay as given. The others are the pool, and must all say the same; whichever
of val and test is not given is drawn out of the pool, the rest of which is train. Within each label the
pool's names are sorted and shuffled by (split_seed, label): neither the order of rows nor the other labels
matter. scikit-learn's stratified split is not used because it may leave a small class out of a part.
"""

import hashlib
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from pawprint.data.index import (
    COLUMNS,
    find_pictures,
    listed,
    read_table,
    refuse_repeats,
    split_file_path,
    to_csv,
)
from pawprint.errors import DataError, SettingsError
from pawprint.types import DataSettings

PARTS = ("train", "val", "test")
POOLS = ("train", "trainval", "")


def assign_splits(index: pd.DataFrame, settings: DataSettings) -> pd.DataFrame:
    """The index with every split filled in as train, val or test, sorted by name.

    `settings.split_file` overrides the index's own splits. Raises DataError for names that stand twice,
    a single class, splits that cannot be understood and classes too small.
    """
    table = index[COLUMNS].sort_values("image_name", kind="stable", ignore_index=True)
    refuse_repeats(table["image_name"], "the data set")
    if table["label"].nunique() < 2:
        raise DataError(f"the data set has {table['label'].nunique()} class; expected two or more")
    if settings.split_file is not None:
        table = _with_split_file(table, split_file_path(settings))
    pool = _pool(table)
    drawn = [part for part in ("val", "test") if not (table["split"] == part).any()]
    shares = {"val": settings.val_percent / 100, "test": settings.test_percent / 100}
    if sum(shares[part] for part in drawn) >= 1:
        raise SettingsError([
            f"data: val_percent {settings.val_percent:g} and test_percent {settings.test_percent:g} leave"
            " nothing for training; expected less than 100 together"
        ])  # fmt: skip
    _refuse_small(table, pool, n_parts=1 + len(drawn))
    table.loc[pool, "split"] = "train"
    for label, rows in table[pool].groupby("label", sort=True):
        order = _shuffled(len(rows), settings.split_seed, str(label))
        counts = _part_counts(len(rows), [shares[part] for part in drawn])
        for part, chosen in zip(drawn, np.split(order, np.cumsum(counts)), strict=False):
            table.loc[rows.index[chosen], "split"] = part
    return table


def split_hash(table: pd.DataFrame) -> str:
    """sha256 of the split as CSV text, sorted by name."""
    return hashlib.sha256(to_csv(table.sort_values("image_name", kind="stable")).encode()).hexdigest()


def _with_split_file(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    given = read_table(path)
    given = find_pictures(given, table["image_name"], path, "the data set").set_index("image_name")
    absent = [name for name in table["image_name"] if name not in given.index]
    if absent:
        raise DataError(
            f"{path}: {len(absent)} pictures of the data set are not listed: {listed(absent)}; expected a line for each"
        )
    given = given.loc[table["image_name"]].reset_index()
    other = given[given["label"] != table["label"]]
    if len(other):
        lines = [f"{name} ({label})" for name, label in zip(other["image_name"], other["label"], strict=True)]
        raise DataError(f"{path}: {len(other)} labels differ from the data set's: {listed(lines)}")
    return given


def _pool(table: pd.DataFrame) -> pd.Series:
    """The rows to be drawn from, as a mask; DataError if the splits given are no splits, or contradict."""
    words = set(table["split"])
    unknown = sorted(words - {*PARTS, *POOLS})
    if unknown:
        raise DataError(f"split: found {listed(unknown)}; expected train, val, test, trainval or nothing")
    pools = sorted(words & set(POOLS))
    if not pools:
        raise DataError(f"split: found only {' and '.join(sorted(words))}; expected pictures for train")
    if len(pools) > 1 or ("trainval" in pools and "val" in words):
        found = ", ".join(f"{count} {word or 'empty'}" for word, count in Counter(table["split"]).items())
        raise DataError(
            f"split: found {found}, which contradict; expected train, val and test (val or test may be"
            " missing), or trainval and test, or all empty"
        )
    return table["split"] == pools[0]


def _refuse_small(table: pd.DataFrame, pool: pd.Series, n_parts: int) -> None:
    """DataError naming the classes that cannot be in each of `n_parts` parts drawn from the pool."""
    counts = table[pool]["label"].value_counts()
    small = {str(label): int(counts.get(label, 0)) for label in sorted(table["label"].unique())}
    small = {label: count for label, count in small.items() if count < n_parts}
    if small:
        found = listed([f"{label} ({count})" for label, count in small.items()])
        parts = {1: "train", 2: "train and one more part", 3: "train, val and test"}[n_parts]
        raise DataError(
            f"too few pictures to be in {parts}, for which {n_parts} or more are needed: {found};"
            " add pictures or leave the class out"
        )


def _shuffled(n: int, seed: int, label: str) -> np.ndarray:
    """0 … n-1 in an order that (seed, label) decides; here and not from seeding.py, which needs torch."""
    key = np.random.SeedSequence([zlib.crc32(b"split"), seed, zlib.crc32(label.encode())])
    return np.random.Generator(np.random.Philox(key)).permutation(n)


def _part_counts(n: int, shares: list[float]) -> list[int]:
    """How many of `n` go to each drawn part: the nearest number, at least one each and one for train."""
    counts = [max(1, int(n * share + 0.5)) for share in shares]
    while sum(counts) >= n:
        counts[counts.index(max(counts))] -= 1
    return counts
