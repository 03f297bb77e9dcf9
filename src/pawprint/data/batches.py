"""From packed arrays to what a model sees. No picture is decoded here: that was `prepare`'s work."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pawprint.data.views import Drawn, View, unlabelled_views, view_of
from pawprint.errors import SettingsError
from pawprint.interruption import end_with
from pawprint.seeding import generator
from pawprint.types import Data, RunSpec, Split

MOST_BYTES_IN_MEMORY = 10**9  # of a train set that is kept as a model sees it: 300,000 pictures of 28 x 28 grey pixels
CHUNK = 1024  # pictures standardized together


@dataclass(frozen=True)
class Unlabelled:
    """The pictures of a step that are learned from without their labels."""

    weak: torch.Tensor  # (U, C, H, W) float32, standardized
    strong: torch.Tensor | None  # the same pictures, altered more; None where the objective does without
    labels: torch.Tensor  # (U,) int64, hidden, to measure by; -1 where nobody knows


@dataclass(frozen=True)
class Batch:
    """One optimizer step's examples."""

    images: torch.Tensor  # (B, C, H, W) float32, standardized
    labels: torch.Tensor  # (B,) int64
    soft_labels: torch.Tensor | None = None  # (B, K) shares of the classes, of pictures that are mixed
    unlabelled: Unlabelled | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """The same examples on a device, as tensors go there."""
        on_device = partial(_to, device=device, non_blocking=non_blocking)
        pictures = self.unlabelled
        if pictures is not None:
            pictures = Unlabelled(*map(on_device, (pictures.weak, pictures.strong, pictures.labels)))
        return Batch(on_device(self.images), on_device(self.labels), on_device(self.soft_labels), pictures)


def _to(tensor: torch.Tensor | None, device: torch.device, non_blocking: bool) -> Any:
    return None if tensor is None else tensor.to(device, non_blocking=non_blocking)


def unit_range(images: np.ndarray) -> torch.Tensor:
    """(B, H, W, C) uint8 → (B, C, H, W) float32 in [0, 1], channels last in memory."""
    return (torch.from_numpy(images.astype(np.float32)) / 255).permute(0, 3, 1, 2)


def standardize(images: torch.Tensor, data: Data) -> torch.Tensor:
    """[0, 1] → mean 0 and standard deviation 1 per channel, by train's statistics."""
    mean = torch.tensor(data.mean, dtype=torch.float32, device=images.device)[:, None, None]
    std = torch.tensor(data.std, dtype=torch.float32, device=images.device)[:, None, None]
    return (images - mean) / std


class Stream:
    """The examples of a set in the order in which they are learned from: pass after pass, each in an order of its own.

    A place is a number of examples from the beginning of a pass, which may lie in one of the next.
    """

    def __init__(
        self, split: Split, views: dict[str, View], seed: int, sampling: str = "natural", purpose: str = "order"
    ) -> None:
        self.split, self.views, self.seed, self.sampling, self.purpose = split, views, seed, sampling, purpose
        self.n_per_pass = int(self._quotas().sum()) if sampling != "natural" and len(split) else len(split)
        self._pass = lru_cache(maxsize=2)(self._drawn)  # two, as a batch may reach into the next

    def order(self, number: int) -> np.ndarray:
        """The rows of the set in the order of pass `number`, counted from 1."""
        chance = generator(self.purpose, self.seed, number)
        if self.sampling == "natural":
            return chance.permutation(len(self.split))
        labels = np.unique(self.split.labels)
        order = chance.permutation(len(labels))
        rows = [_cycled(np.flatnonzero(self.split.labels == labels[which]), quota, chance)
                for which, quota in zip(order, self._quotas(), strict=True)]  # fmt: skip
        return chance.permutation(np.concatenate(rows))

    def take(self, number: int, place: int, n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """`n` examples from a place of a pass on: their labels (n,), and each view of their pictures (n, H, W, C)."""
        labels, views = [], []
        while n > 0:
            number, place = number + place // self.n_per_pass, place % self.n_per_pass
            order, drawn = self._pass(number)
            rows = order[place : place + n]
            # One augmentation a picture; where pictures are repeated, one a place in the pass.
            own = rows if self.sampling == "natural" else np.arange(place, place + len(rows))
            images = self.split.images[rows]
            labels.append(self.split.labels[rows])
            views.append({name: view(images, drawn[name], own) for name, view in self.views.items()})
            place, n = place + len(rows), n - len(rows)
        return np.concatenate(labels), {name: np.concatenate([part[name] for part in views]) for name in self.views}

    def _drawn(self, number: int) -> tuple[np.ndarray, dict[str, list[Drawn]]]:
        n = max(len(self.split), self.n_per_pass)
        return self.order(number), {name: view.draw(number, n) for name, view in self.views.items()}

    def _quotas(self) -> np.ndarray:
        """How many examples of each class a pass has, (classes,), of those that are there."""
        counts = np.unique(self.split.labels, return_counts=True)[1]
        match self.sampling:
            case "oversample":
                return np.full(len(counts), counts.max())
            case "undersample":
                return np.full(len(counts), counts.min())
        return np.array([len(part) for part in np.array_split(np.arange(len(self.split)), len(counts))])


class TrainBatches:
    """The training set, shuffled and augmented anew in each pass, and beside it what has no labels, where it is used.

    An epoch is one pass; with `steps_per_epoch` it is as many steps, whose batches go through the set again and again.
    A last batch of a single example is left out: batch normalisation has no variance of one example.
    With `sampling: balanced` a pass has as many examples, of every class the same number (or one more): those of
    small classes are repeated, of large ones some wait for another pass. `oversample` repeats until every class has as
    many as the largest, `undersample` takes of each as many as the smallest has.

    `workers` processes make batches ahead (0: made when asked for). A batch is a function of seed, epoch and number
    alone, so that their count changes no byte.

    Where nothing is augmented, and the process makes its batches itself, the standardized set is kept in memory up to
    MOST_BYTES_IN_MEMORY, and a batch is an index into it: the same bytes, and for a small model half the time.

    Raises SettingsError for an objective that learns from unlabelled pictures where there are none.
    """

    def __init__(self, data: Data, spec: RunSpec, workers: int = 0) -> None:
        self.data, self.spec, self.workers = data, spec, workers
        n, own = len(data.train), view_of(spec.augmentation, spec, data)
        self.labelled = Stream(data.train, {"own": own}, spec.seed, spec.sampling)
        self.unlabelled = self._unlabelled() if spec.learns_unlabelled else None
        n_per_pass = self.labelled.n_per_pass
        once = math.ceil(n_per_pass / spec.batch_size) - (n_per_pass % spec.batch_size == 1 and n_per_pass > 1)
        self.steps_per_epoch = (spec.steps_per_epoch if n else 0) or once
        n_bytes = 4 * n * math.prod(data.image_shape)
        is_plain = not own.steps and spec.mixing == "none" and self.unlabelled is None and not spec.steps_per_epoch
        self.in_memory = is_plain and not workers and n_bytes <= MOST_BYTES_IN_MEMORY

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, counted from 1, from batch `start` on (to resume in the middle)."""
        batch = self._batch_in_memory(epoch) if self.in_memory else partial(self._batch_made, epoch)
        numbers = range(start, self.steps_per_epoch)
        return made_ahead(batch, numbers, self.workers) if self.workers else map(batch, numbers)

    def without_end(self) -> Iterator[Batch]:
        """The batches of the first epoch, of the second, and so on."""
        return (batch for epoch in count(1) for batch in self.epoch(epoch))

    def _batch_made(self, epoch: int, number: int) -> Batch:
        """A batch of an epoch, by its number from 0, from the packed pictures."""
        size, done = self.spec.batch_size, (epoch - 1) * self.steps_per_epoch + number
        if self.spec.steps_per_epoch:
            labels, views = self.labelled.take(1, done * size, size)
        else:
            labels, views = self.labelled.take(epoch, number * size, self._size(number))
        images = self._standardized(views["own"])
        of_unlabelled = self._unlabelled_batch(done) if self.unlabelled else None
        batch = Batch(images, torch.from_numpy(labels), unlabelled=of_unlabelled)
        return batch if self.spec.mixing == "none" else self._mixed(batch, done)

    def _size(self, number: int) -> int:
        """How many examples a batch of a pass has: the last may have fewer."""
        return min(self.spec.batch_size, self.labelled.n_per_pass - number * self.spec.batch_size)

    def _batch_in_memory(self, epoch: int) -> Callable[[int], Batch]:
        """How to make a batch of an epoch from the pictures as a model sees them."""
        images, labels = self._all_standardized
        order_of_epoch = torch.from_numpy(self.labelled.order(epoch))

        def batch(number: int) -> Batch:
            rows = order_of_epoch[number * self.spec.batch_size : (number + 1) * self.spec.batch_size]
            return Batch(images.index_select(0, rows).permute(0, 3, 1, 2), labels.index_select(0, rows))

        return batch

    def _unlabelled(self) -> Stream:
        """The stream of pictures without labels, in the views that the objective compares."""
        if self.data.unlabelled is None:
            raise SettingsError([
                f"{self.spec.variant}: objective: {self.spec.objective} learns from unlabelled pictures, and there are "
                "none: set data.labels_per_class, take data that has some, or set objective: supervised"
            ])  # fmt: skip
        views = unlabelled_views(self.spec, self.data)
        return Stream(self.data.unlabelled, views, self.spec.seed, purpose="unlabelled order")

    def _unlabelled_batch(self, done: int) -> Unlabelled:
        """The pictures beside the labelled ones of the step after `done`."""
        assert self.unlabelled is not None
        n = self.spec.unlabelled_ratio * self.spec.batch_size
        labels, views = self.unlabelled.take(1, done * n, n)
        shown = {name: self._standardized(images) for name, images in views.items()}
        return Unlabelled(shown["weak"], shown.get("strong"), torch.from_numpy(labels))

    def _mixed(self, batch: Batch, done: int) -> Batch:
        """Every picture mixed with the next one, and their labels: Mixup (arXiv 1710.09412), CutMix (1905.04899)."""
        from torchvision.transforms.v2 import CutMix, MixUp  # seconds

        kind = {"mixup": MixUp, "cutmix": CutMix}[self.spec.mixing]
        mix = kind(alpha=self.spec.mixing_alpha, num_classes=len(self.data.class_names))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(generator("mixing", self.spec.seed, done).integers(2**63)))
            images, soft_labels = mix(batch.images, batch.labels)
        return replace(batch, images=images, soft_labels=soft_labels)

    def _standardized(self, images: np.ndarray) -> torch.Tensor:
        return standardize(unit_range(images), self.data)

    @cached_property
    def _all_standardized(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All pictures (N, H, W, C) float32, and their labels (N,) int64."""
        split = self.data.train
        images = [standardize(part, self.data).permute(0, 2, 3, 1) for part, _ in in_order(split, CHUNK)]
        return torch.cat(images), torch.from_numpy(np.array(split.labels))


class _Batches(Dataset[Batch]):
    def __init__(self, batch: Callable[[int], Batch]) -> None:
        self.batch = batch

    def __getitem__(self, number: int) -> Batch:
        return self.batch(number)


def made_ahead(batch: Callable[[int], Batch], numbers: range, workers: int) -> Iterator[Batch]:
    """`batch` of each of the numbers, in their order, by `workers` processes that end with this one."""
    parent = os.getpid()
    return iter(
        DataLoader(
            _Batches(batch),
            sampler=numbers,
            batch_size=None,  # they are batches already
            collate_fn=_as_it_is,
            num_workers=workers,
            generator=torch.Generator(),  # the workers' seed is not to be drawn from the training's generator
            multiprocessing_context="fork",
            worker_init_fn=lambda _: end_with(parent),
        )
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _cycled(rows: np.ndarray, n: int, chance: np.random.Generator) -> np.ndarray:
    """`n` of the rows in random order, each as often as the others (or once more)."""
    rounds = -(-n // len(rows))
    return np.concatenate([chance.permutation(rows) for _ in range(rounds)])[:n] if n else rows[:0]


def in_order(split: Split, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All of a split: pictures (B, C, H, W) float32 in [0, 1], not standardized, and labels (B,)."""
    for start in range(0, len(split), batch_size):
        rows = slice(start, start + batch_size)
        yield unit_range(split.images[rows]), torch.from_numpy(np.array(split.labels[rows]))
