"""The pictures of a foreign data set, as 8-bit pixels, and how its model is fed them.

A data set is read once, in its own order; what it does at random is seeded. Of very many or very large pictures some
are read, evenly spaced. Where an example differs from one reading to the next, the data set changes its pictures at
random, and what is read is one draw of that.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset

from pawprint.audit.examples import Example, Form, example
from pawprint.audit.feed import Encoded, encode
from pawprint.audit.work import AuditError, Work, blamed
from pawprint.seeding import preserve_rng

MAX_PICTURES = 20_000  # read of a part
MAX_BYTES = 2**29  # of a part's pixels
N_TRIED = 16  # examples that are read twice: at random if one differs; of sizes that differ, likewise
COMMON_SIDE = 64  # pixels; what pictures of several sizes are reduced to, to compare them
SEED = 0


@dataclass(frozen=True)
class Pictures:
    """What was read of a data set."""

    part: str
    names: list[str]
    pixels: list[np.ndarray] | Encoded  # (H, W, C) uint8 each, or codes of what is fed
    labels: np.ndarray  # (N,) int64
    form: Form
    n_offered: int  # examples in the data set
    is_random: bool
    sizes: list[tuple[int, int]]  # distinct (H, W), sorted
    class_names: list[str] | None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def codes(self) -> list[np.ndarray]:
        return self.pixels.codes if isinstance(self.pixels, Encoded) else self.pixels

    @property
    def n_channels(self) -> int:
        return int(self.codes[0].shape[2])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, every global generator starts from `seed`; afterwards it goes on from where it was."""
    state = random.getstate()
    with preserve_rng():
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def read(dataset: Any, part: str, work: Work, limit: int = MAX_PICTURES) -> Pictures:
    """The first to last of its examples, or `limit` of them. Raises AuditError if they are no labelled pictures."""
    source = dataset.dataset if isinstance(dataset, DataLoader) else dataset
    source, n_offered = _indexable(source, part, work, limit)
    if not n_offered:
        raise AuditError(f"{part}: no example in it; expected pictures with labels")
    with seeded(SEED):
        first, again = (_spaced(source, n_offered, part, work) for _ in range(2))
    several_sizes = len({_size(e) for e in first}) > 1
    rows = _rows(n_offered, limit, first[0], several_sizes)
    examples, sizes = [], set()
    with seeded(SEED):
        for i in rows:
            found = _example(source, int(i), part, work)
            sizes.add(_size(found))
            examples.append(_small(found) if several_sizes else found)
    forms = {e.form for e in examples}
    if len(forms) > 1:
        raise AuditError(f"{part}: a mixture of {' and '.join(sorted(forms))}; expected one of them")
    return Pictures(
        part=part,
        names=[name_of(source, int(i)) for i in rows],
        pixels=_pixels(examples, part),
        labels=np.array([e.label for e in examples], dtype=np.int64),
        form=examples[0].form,
        n_offered=n_offered,
        is_random=not _are_equal(first, again),
        sizes=sorted(sizes),
        class_names=class_names_of(source),
    )


def holds_the_same(one: Any, other: Any, part: str, work: Work) -> bool:
    """Whether two data sets hold the same examples, as far as a few of them tell."""
    samples = []
    for dataset in (one, other):
        source, n = _indexable(dataset.dataset if isinstance(dataset, DataLoader) else dataset, part, work, N_TRIED)
        with seeded(SEED):
            samples.append(_spaced(source, n, part, work))
    return _are_equal(*samples)


def of_one_size(pictures: list[np.ndarray]) -> np.ndarray:
    """(N, H, W, C) uint8; pictures of several sizes are reduced to `COMMON_SIDE`."""
    if len({picture.shape for picture in pictures}) == 1:
        return np.stack(pictures)
    return np.stack([_reduced(picture) for picture in pictures])


def name_of(dataset: Any, i: int) -> str:
    """An example's file, with its folder, or its number, in the data set that a subset or chain was made of."""
    if hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        return name_of(dataset.dataset, int(dataset.indices[i]))
    if hasattr(dataset, "cumulative_sizes") and hasattr(dataset, "datasets"):
        number = int(np.searchsorted(dataset.cumulative_sizes, i, side="right"))
        return name_of(dataset.datasets[number], i - ([0, *dataset.cumulative_sizes])[number])
    samples = getattr(dataset, "samples", None)
    if isinstance(samples, list) and isinstance(samples[i], tuple) and isinstance(samples[i][0], str | Path):
        return "/".join(Path(samples[i][0]).parts[-2:])
    return f"no. {i}"


def class_names_of(dataset: Any) -> list[str] | None:
    """The names that the data set, or what it was made of, offers as `classes`."""
    classes = getattr(dataset, "classes", None)
    if isinstance(classes, list | tuple) and classes:
        return [str(name) for name in classes]
    chained = getattr(dataset, "datasets", None)
    inner = chained[0] if isinstance(chained, list | tuple) and chained else getattr(dataset, "dataset", None)
    return None if inner is None else class_names_of(inner)


def _indexable(dataset: Any, part: str, work: Work, limit: int) -> tuple[Any, int]:
    """The data set as something with numbered examples, and their number."""
    with blamed(f"{part}: counting its examples", work.file.parent):
        is_stream = isinstance(dataset, IterableDataset)
        if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and not is_stream:
            return dataset, len(dataset)
        if not hasattr(dataset, "__iter__"):
            found = type(dataset).__name__
            raise AuditError(f"{part}: found a {found}, expected a torch data set with __len__ and __getitem__")
        with seeded(SEED):
            examples = list(islice(iter(dataset), limit))
        return examples, len(examples)


def _spaced(dataset: Any, n: int, part: str, work: Work) -> list[Example]:
    """A few examples, evenly spaced."""
    rows = np.unique(np.linspace(0, n - 1, N_TRIED).astype(int))
    return [_example(dataset, int(i), part, work) for i in rows]


def _are_equal(one: list[Example], other: list[Example]) -> bool:
    if [e.label for e in one] != [e.label for e in other]:
        return False
    return all(np.array_equal(a.picture, b.picture) for a, b in zip(one, other, strict=True))


def _rows(n: int, limit: int, first: Example, several_sizes: bool) -> np.ndarray:
    """Evenly spaced numbers of examples that fit into memory."""
    largest = limit if several_sizes else min(limit, max(1, MAX_BYTES // first.picture.size))
    return np.arange(n) if n <= largest else np.linspace(0, n - 1, largest).astype(int)


def _example(dataset: Any, i: int, part: str, work: Work) -> Example:
    where = f"{part}[{i}]"
    with blamed(where, work.file.parent):
        return example(dataset[i], where)


def _pixels(examples: list[Example], part: str) -> list[np.ndarray] | Encoded:
    pictures = [e.picture for e in examples]
    if examples[0].form == "floats":
        if len({len(p) for p in pictures}) > 1:
            raise AuditError(f"{part}: pictures of 1 and of 3 channels; expected all alike")
        return encode(pictures)
    if len({p.shape[2] for p in pictures}) > 1:  # grey files among colored ones: as they would be decoded
        return [np.repeat(p, 3, axis=2) if p.shape[2] == 1 else p for p in pictures]
    return pictures


def _size(e: Example) -> tuple[int, int]:
    height, width = e.picture.shape[1:] if e.form == "floats" else e.picture.shape[:2]
    return int(height), int(width)


def _small(found: Example) -> Example:
    return found if found.form == "floats" else found._replace(picture=_reduced(found.picture))


def _reduced(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    small = np.asarray(image.resize((COMMON_SIDE, COMMON_SIDE), Image.Resampling.BILINEAR))
    return small.reshape(COMMON_SIDE, COMMON_SIDE, -1)
