"""Which picture serves for what: train, val, test or unlabelled; made once, by name, and known by its hash.

The index of a data set is a table image_name, label, split. Its `split` says what is given:

    train, val, test   that part
    unlabelled         learned from without a label; one that is given is hidden, an empty one is nobody's knowledge
    trainval           train or val, to be drawn (the official lists of Oxford-IIIT Pet)
    (empty)            anything, to be drawn

The rows in val, test and unlabelled stay as given. The others are the pool, and must all say the same; whichever
of val and test is not given is drawn out of the pool, the rest of which is train. Within each label the
pool's names are sorted and shuffled by (split_seed, label): neither the order of rows nor the other labels
matter. scikit-learn's stratified split is not used because it may leave a small class out of a part.

With `labels_per_class` only so many of train's pictures keep their label in each class, the first in another order that
(split_seed, label) decides, so that more labels are those of fewer and some more. The others go to unlabelled; the
table keeps their label, which no training sees and pseudo-labels are measured by.
"""

import hashlib
import zlib
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd

from pawprint.data.faults import Fault
from pawprint.data.index import COLUMNS, PARTS, POOLS, SPLITS, UNLABELLED, labels_in, listed, to_csv
from pawprint.data.listing import match, read_listing, split_file_path
from pawprint.errors import DataError, SettingsError
from pawprint.types import DataSettings


class Draw(NamedTuple):
    """What is to be drawn from what."""

    pool: pd.Series  # mask of the rows that are drawn from
    shares: dict[str, float]  # drawn part (of val and test) → its share of a class, 0 to 1


def given_splits(
    index: pd.DataFrame, settings: DataSettings, told: Collection[str] = ()
) -> tuple[pd.DataFrame, list[Fault]]:
    """The index sorted by name, with the splits of `settings.split_file` where it is set, and the faults of that.

    Rows at fault, and pictures that no row names, are not in the table. Nothing is said of the names in `told`, whose
    faults are known. An empty label, here or there, differs from none. Raises DataError for a file that cannot be read.
    """
    table = index[COLUMNS].sort_values("image_name", kind="stable", ignore_index=True)
    if settings.split_file is None:
        return table, []
    listing = read_listing(split_file_path(settings))
    own = table.set_index("image_name")["label"]
    matched = match(listing, [*own.index, *told])
    given = matched.table[matched.table["image_name"].isin(own.index)]
    theirs = given["image_name"].map(own)
    differs = (given["label"] != theirs) & (given["label"] != "") & (theirs != "")
    faults = [fault for fault in matched.faults if fault.image_name not in told]
    faults += [
        Fault(name, f"label differs: {label} in {listing.origin}, {own[name]} in the data set")
        for name, label in zip(given["image_name"][differs], given["label"][differs], strict=True)
    ]
    return given[~differs].reset_index(drop=True), faults


def limit_classes(table: pd.DataFrame, settings: DataSettings) -> pd.DataFrame:
    """At most `settings.max_per_class` rows of each label in each split that is given; 0: all.

    Of pictures without a label as many as of all classes together.
    """
    if not settings.max_per_class:
        return table
    most, n_classes = settings.max_per_class, len(labels_in(table))
    kept = [
        rows.index[_shuffled(len(rows), settings.split_seed, str(label))[: most if label else most * n_classes]]
        for (label, _), rows in table.groupby(["label", "split"], sort=True)
    ]
    return table.loc[sorted(row for rows in kept for row in rows)].reset_index(drop=True)


def plan_draw(table: pd.DataFrame, settings: DataSettings) -> Draw:
    """What the splits given leave to be drawn.

    Raises DataError for splits that contradict, SettingsError for shares that leave nothing for training.
    """
    pool = _pool(table)
    wanted = {"val": settings.val_percent / 100, "test": settings.test_percent / 100}
    shares = {part: share for part, share in wanted.items() if not (table["split"] == part).any()}
    if sum(shares.values()) >= 1:
        raise SettingsError([
            f"data: val_percent {settings.val_percent:g} and test_percent {settings.test_percent:g} leave"
            " nothing for training; expected less than 100 together"
        ])  # fmt: skip
    return Draw(pool, shares)


def small_classes(table: pd.DataFrame, labels: set[str], settings: DataSettings) -> dict[str, str]:
    """Which of the labels have too few rows in the pool to be in each part that is drawn from it, and why.

    A class of a single picture is too small even where all parts are given: it cannot be learned and tested. So is one
    of which fewer than `labels_per_class` are left for train. Unlabelled rows count for nothing.
    """
    draw = plan_draw(table, settings)
    in_pool = table[draw.pool]["label"].value_counts()
    in_all = table[table["split"] != UNLABELLED]["label"].value_counts()
    shares = list(draw.shares.values())
    needed = 1 + len(shares)
    parts = " and ".join(", ".join(["train", *draw.shares]).rsplit(", ", 1))
    small = {}
    for label in sorted(labels):
        if in_pool.get(label, 0) < needed:
            found = f"{label} has {in_pool.get(label, 0)}; expected {needed} or more"
            small[label] = f"too few pictures to be in {parts}: {found}"
        elif in_all[label] < 2:
            small[label] = f"too few pictures to learn from and to be tested on: {label} has 1; expected 2 or more"
        elif (n_train := in_pool[label] - sum(_part_counts(in_pool[label], shares))) < settings.labels_per_class:
            found = f"{label} has {n_train}; expected {settings.labels_per_class} or more, or a lower labels_per_class"
            small[label] = f"too few pictures in train for data.labels_per_class: {found}"
    return small


def assign_splits(table: pd.DataFrame, settings: DataSettings) -> pd.DataFrame:
    """The index with every split filled in as train, val, test or unlabelled, sorted by name.

    Raises DataError for names that stand twice, a single class, splits that cannot be understood and
    classes too small; SettingsError as `plan_draw`.
    """
    table = table[COLUMNS].sort_values("image_name", kind="stable", ignore_index=True)
    repeated = sorted(set(table["image_name"][table["image_name"].duplicated()]))
    if repeated:
        raise DataError(f"the data set: {len(repeated)} names stand more than once: {listed(repeated)}")
    labels = labels_in(table)
    if len(labels) < 2:
        raise DataError(f"the data set has {len(labels)} class; expected two or more")
    small = small_classes(table, labels, settings)
    if small:
        raise DataError(f"{'; '.join(small.values())}: add pictures or leave the class out")
    draw = plan_draw(table, settings)
    table.loc[draw.pool, "split"] = "train"
    for label, rows in table[draw.pool].groupby("label", sort=True):
        order = _shuffled(len(rows), settings.split_seed, str(label))
        counts = _part_counts(len(rows), list(draw.shares.values()))
        for part, chosen in zip(draw.shares, np.split(order, np.cumsum(counts)), strict=False):
            table.loc[rows.index[chosen], "split"] = part
    return _with_hidden_labels(table, settings) if settings.labels_per_class else table


def split_hash(table: pd.DataFrame) -> str:
    """sha256 of the split as CSV text, sorted by name."""
    return hashlib.sha256(to_csv(table.sort_values("image_name", kind="stable")).encode()).hexdigest()


def _with_hidden_labels(table: pd.DataFrame, settings: DataSettings) -> pd.DataFrame:
    """Of each class's rows in train all but `labels_per_class` as unlabelled."""
    for label, rows in table[table["split"] == "train"].groupby("label", sort=True):
        order = _shuffled(len(rows), settings.split_seed, str(label), purpose=b"labels")
        table.loc[rows.index[order[settings.labels_per_class :]], "split"] = UNLABELLED
    return table


def _pool(table: pd.DataFrame) -> pd.Series:
    """The rows to be drawn from, as a mask; DataError if the splits given are no splits, or contradict."""
    words = set(table["split"])
    unknown = sorted(words - {*PARTS, *POOLS, UNLABELLED})
    if unknown:
        raise DataError(f"split: found {listed(unknown)}; expected {SPLITS}")
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


def _shuffled(n: int, seed: int, label: str, purpose: bytes = b"split") -> np.ndarray:
    """0 … n-1 in an order that (seed, label) decides; here and not from seeding.py, which needs torch."""
    key = np.random.SeedSequence([zlib.crc32(purpose), seed, zlib.crc32(label.encode())])
    return np.random.Generator(np.random.Philox(key)).permutation(n)


def _part_counts(n: int, shares: list[float]) -> list[int]:
    """How many of `n` go to each drawn part: the nearest number, at least one each and one for train."""
    counts = [max(1, int(n * share + 0.5)) for share in shares]
    while sum(counts) >= n:
        counts[counts.index(max(counts))] -= 1
    return counts
