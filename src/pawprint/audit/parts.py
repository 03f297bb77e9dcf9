"""What a work offers, made into the records that model tests take.

Three sets of pictures come out of one work, because its parts need not agree. Leakage is looked for in all that it
calls train, val and test. The tests before training are fed as train is, and so are the probes, but for the one of
normalization, which is given the test set as it is fed: `Data.mean` and `Data.std` are those of the respective feed
(feed.py).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from pawprint.audit.feed import Channel, Feed, Usual, recover
from pawprint.audit.pictures import SEED, Pictures, holds_the_same, of_one_size, read, seeded
from pawprint.audit.work import AuditError, Work
from pawprint.data.batches import Batch, standardize, unit_range
from pawprint.data.statistics import Statistics
from pawprint.probes.normalization import MEANING, feedings
from pawprint.seeding import generator
from pawprint.types import Data, Split

PARTS = ("train", "val", "test")
TESTED = "get_test_set()"
BATCH_SIZE = 32
NO_HASH = ""  # of data that DVC does not know


@dataclass(frozen=True)
class Part:
    """One part of the data, and how it is fed."""

    pictures: Pictures
    split: Split
    feed: Feed

    @property
    def fault(self) -> str | None:
        """Why no model can be given these pictures."""
        sizes = self.pictures.sizes
        if len(sizes) == 1:
            return None
        low, high = sizes[0], sizes[-1]
        return (
            f"{self.pictures.part}'s pictures have {len(sizes)} sizes, from {low[1]} x {low[0]} to {high[1]} x "
            f"{high[0]} pixels, and no batch can be made of them; its transform lacks a Resize and a crop to one size"
        )


@dataclass
class Parts:
    """All that could be read of a work's data."""

    by_name: dict[str, Part] = field(default_factory=dict)  # train, val, test, get_test_set()
    faults: dict[str, str] = field(default_factory=dict)  # function → why its data could not be read
    class_names: list[str] = field(default_factory=list)
    is_split_anew: bool = False  # get_dataset() gives another test set each time

    @property
    def tested(self) -> Part | None:
        """What the trained model is tested on."""
        return self.by_name.get(TESTED, self.by_name.get("test"))


def read_parts(work: Work, limit: int) -> Parts:
    """The data of both functions; what cannot be read is told in `faults`."""
    parts = Parts()
    read_: dict[str, Pictures] = {}
    for function, reading in (("get_dataset", _of_dataset), ("get_test_set", _of_test_set)):
        if function not in work.functions:
            continue
        try:
            read_ |= reading(work, limit)
        except AuditError as error:
            parts.faults[function] = str(error)
    if "get_dataset" in work.functions and "test" in read_:
        parts.is_split_anew = _is_split_anew(work)
    feeds = _feeds(read_)
    for name, pictures in read_.items():
        parts.by_name[name] = Part(pictures, _split(pictures, feeds[name]), feeds[name])
    parts.class_names = _class_names(list(read_.values()))
    return parts


def data_for_leakage(parts: Parts) -> Data:
    """Train, val and test; with test what get_test_set() offers besides."""
    train = parts.by_name["train"]
    splits = {name: _of(parts, name, train.split) for name in PARTS}
    if TESTED in parts.by_name:
        splits["test"] = _joined(splits["test"], parts.by_name[TESTED].split)
    return _data(splits, parts.class_names, train.feed, train.split)


def data_for_checks(parts: Parts) -> Data:
    """Fed as train is."""
    train = parts.by_name["train"]
    return _data({name: _of(parts, name, train.split) for name in PARTS}, parts.class_names, train.feed, train.split)


def data_for_probes(parts: Parts, limit: int) -> Data:
    """Fed as the tested set is; of that and of val at most `limit` pictures, evenly spaced."""
    tested = parts.tested
    if tested is None:
        raise AuditError("no test set; expected one from get_dataset() or get_test_set()")
    splits = {name: _of(parts, name, tested.split) for name in PARTS} | {"test": tested.split}
    splits |= {name: _some(splits[name], limit) for name in ("val", "test")}
    return _data(splits, parts.class_names, tested.feed, tested.split)


def right_statistics(parts: Parts) -> Statistics | None:
    """What training's pictures are standardized by."""
    return parts.by_name["train"].feed.statistics if "train" in parts.by_name else None


def batches(data: Data, seed: int) -> Iterator[Batch]:
    """Train in batches of 32, shuffled anew in each epoch, without end and without a last batch of one."""
    for epoch in itertools.count(1):
        order = generator("order", seed, epoch).permutation(len(data.train))
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            if len(rows) > 1 or len(order) == 1:
                images = standardize(unit_range(data.train.images[rows]), data)
                yield Batch(images, torch.from_numpy(data.train.labels[rows]))


def _is_split_anew(work: Work) -> bool:
    """Whether another random state makes another test set; what was tested on may have been trained on then."""
    with seeded(SEED):
        one = work.call("get_dataset")[-1]
    with seeded(SEED + 1):
        other = work.call("get_dataset")[-1]
    return not holds_the_same(one, other, "test", work)


def _of_dataset(work: Work, limit: int) -> dict[str, Pictures]:
    with seeded(SEED):
        offered = work.call("get_dataset")
    if not isinstance(offered, tuple | list) or len(offered) not in (2, 3):
        found = f"{type(offered).__name__}" + (f" of {len(offered)}" if isinstance(offered, tuple | list) else "")
        raise AuditError(f"get_dataset(): returned a {found}, expected (train, val, test) or (train, test)")
    names = PARTS if len(offered) == 3 else ("train", "test")
    there = {name: part for name, part in zip(names, offered, strict=True) if not _is_empty(part)}
    if "train" not in there:
        raise AuditError("get_dataset(): train is empty; expected (train, val, test) with pictures in it")
    return {name: read(part, name, work, limit) for name, part in there.items()}


def _is_empty(part: Any) -> bool:
    return part is None or (hasattr(part, "__len__") and len(part) == 0)


def _of_test_set(work: Work, limit: int) -> dict[str, Pictures]:
    with seeded(SEED):
        offered = work.call("get_test_set")
    return {TESTED: read(offered, TESTED, work, limit)}


def _feeds(pictures: dict[str, Pictures]) -> dict[str, Feed]:
    """How each part is fed; what one does not show by itself, the others may."""
    channels = {name: p.pixels.channels for name, p in pictures.items() if not isinstance(p.pixels, list)}
    feeds = {name: recover(own) for name, own in channels.items()}
    on_lattice = {name for name, own in channels.items() if all(channel.is_lattice for channel in own)}
    for name in sorted(channels, key=lambda name: name not in on_lattice):  # the others take over what these show
        if feeds[name].certainty == "exact":
            continue
        shown = {other for other, feed in feeds.items() if feed.certainty == "exact"}
        shown |= set() if name in on_lattice else on_lattice
        alike = [feeds[n] for n in channels if n in shown and len(channels[n]) == len(channels[name])]
        known = [usual for feed in alike for usual in (Usual(feed.by, feed.statistics), *mistaken(feed))]
        others = [own for other, own in channels.items() if other != name]
        feeds[name] = recover(pooled(channels[name], others), known)
    ones = {name: p.n_channels for name, p in pictures.items() if name not in channels}
    assumed = {name: Statistics((0.0,) * n, (1.0,) * n) for name, n in ones.items()}
    by = "8-bit pixels, which no model takes as they are: as ToTensor makes them, in 0 to 1"
    return feeds | {name: Feed(statistics, "assumed", by) for name, statistics in assumed.items()}


def mistaken(feed: Feed) -> list[Usual]:
    """What the usual mistakes make of a feed: they are affine as well, and so have statistics of their own."""
    mistakes = {
        name: (feeding.scale, feeding.shift)
        for name, feeding in feedings(feed.statistics).items()
        if name != "right" and not feeding.is_reversed
    }
    return [
        Usual(
            f"{feed.by}, but {MEANING[name]}",
            Statistics(tuple(-b / a for a, b in zip(scale, shift, strict=True)), tuple(1 / a for a in scale)),
        )
        for name, (scale, shift) in mistakes.items()
    ]


def pooled(channels: Sequence[Channel], others: Sequence[Sequence[Channel]]) -> list[Channel]:
    """The channels, each as wide as it is in all those data sets that lie on the same lattice in every channel."""
    pool = list(channels)
    for other in others:
        if len(other) == len(pool) and all(a.is_alike(b) for a, b in zip(pool, other, strict=True)):
            pool = [a.joined(b) for a, b in zip(pool, other, strict=True)]
    return pool


def _split(pictures: Pictures, feed: Feed) -> Split:
    coded = pictures.pixels
    pixels = coded if isinstance(coded, list) else coded.pixels(feed.statistics)
    return Split(pictures.names, of_one_size(pixels), pictures.labels)


def _class_names(pictures: Sequence[Pictures]) -> list[str]:
    """As offered; else numbers, as many as the labels need."""
    offered = next((p.class_names for p in pictures if p.class_names), None)
    if offered or not pictures:
        return offered or []
    labels = np.unique(np.concatenate([p.labels for p in pictures]))
    first = min(1, int(labels[0]))  # labels 1 to 10 are ten classes, and a fault that output_shape finds
    return [str(number) for number in range(first, int(labels[-1]) + 1)]


def _of(parts: Parts, name: str, like: Split) -> Split:
    """A part, or an empty one of pictures like these."""
    if name in parts.by_name:
        return parts.by_name[name].split
    return Split([], like.images[:0], like.labels[:0])


def _some(split: Split, limit: int) -> Split:
    if len(split) <= limit:
        return split
    rows = np.linspace(0, len(split) - 1, limit).astype(int)
    return Split([split.names[i] for i in rows], split.images[rows], split.labels[rows])


def _joined(test: Split, tested: Split) -> Split:
    """Test and what the other set holds besides, if both are of one size; else the other alone where test is empty."""
    if not len(test):
        return tested
    if test.images.shape[1:] != tested.images.shape[1:]:
        return test
    known = {image.tobytes() for image in test.images}
    new = [i for i, image in enumerate(tested.images) if image.tobytes() not in known]
    names = [*test.names, *(f"{TESTED} {tested.names[i]}" for i in new)]
    return Split(names, np.concatenate([test.images, tested.images[new]]), np.append(test.labels, tested.labels[new]))


def _data(splits: dict[str, Split], class_names: list[str], feed: Feed, like: Split) -> Data:
    height, width, n_channels = like.images.shape[1:]
    return Data(
        **splits,
        unlabelled=None,
        class_names=class_names,
        image_shape=(n_channels, height, width),
        mean=feed.statistics.mean,
        std=feed.statistics.std,
        split_hash=NO_HASH,
        content_hash=NO_HASH,
        resize=None,
    )
