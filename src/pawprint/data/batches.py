"""From packed arrays to what a model sees. No picture is decoded here: that was `prepare`'s work."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pawprint.data.views import FlipAndCrop
from pawprint.interruption import end_with
from pawprint.seeding import generator
from pawprint.types import Data, RunSpec, Split

MOST_BYTES_IN_MEMORY = 10**9  # of a train set that is kept as a model sees it: 300,000 pictures of 28 x 28 grey pixels
CHUNK = 1024  # pictures standardized together


@dataclass(frozen=True)
class Batch:
    """One optimizer step's examples."""

    images: torch.Tensor  # (B, C, H, W) float32, standardized
    labels: torch.Tensor  # (B,) int64

    def __len__(self) -> int:
        return len(self.labels)


def unit_range(images: np.ndarray) -> torch.Tensor:
    """(B, H, W, C) uint8 → (B, C, H, W) float32 in [0, 1], channels last in memory."""
    return (torch.from_numpy(images.astype(np.float32)) / 255).permute(0, 3, 1, 2)


def standardize(images: torch.Tensor, data: Data) -> torch.Tensor:
    """[0, 1] → mean 0 and standard deviation 1 per channel, by train's statistics."""
    mean = torch.tensor(data.mean, dtype=torch.float32, device=images.device)[:, None, None]
    std = torch.tensor(data.std, dtype=torch.float32, device=images.device)[:, None, None]
    return (images - mean) / std


class TrainBatches:
    """The training set, shuffled and augmented anew in each epoch (counted from 1).

    A last batch of a single example is left out: batch normalisation has no variance of one example.
    With `sampling: balanced` an epoch has as many examples, of every class the same number (or one more): those of
    small classes are repeated, of large ones some wait for another epoch.

    `workers` processes make batches ahead (0: made when asked for). A batch is a function of seed, epoch and number
    alone, so that their count changes no byte.

    Where nothing is augmented, and the process makes its batches itself, the standardized set is kept in memory up to
    MOST_BYTES_IN_MEMORY, and a batch is an index into it: the same bytes, and for a small model half the time.
    """

    def __init__(self, data: Data, spec: RunSpec, workers: int = 0) -> None:
        self.data, self.split, self.spec, self.workers = data, data.train, spec, workers
        n = len(self.split)
        left_over = n % spec.batch_size
        self.steps_per_epoch = math.ceil(n / spec.batch_size) - (left_over == 1 and n > 1)
        self.augment = FlipAndCrop(n, data.image_shape[1], spec.random_flip, spec.random_crop_percent, spec.seed)
        n_bytes = 4 * n * math.prod(data.image_shape)
        self.in_memory = not (self.augment.changes_pictures or workers) and n_bytes <= MOST_BYTES_IN_MEMORY

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from batch `start` on (to resume in the middle)."""
        order = self._order(epoch)
        batch = self._batch_in_memory(order) if self.in_memory else self._batch_made(order, epoch)
        numbers = range(start, self.steps_per_epoch)
        return made_ahead(batch, numbers, self.workers) if self.workers else map(batch, numbers)

    def _batch_made(self, order: np.ndarray, epoch: int) -> Callable[[int], Batch]:
        """How to make a batch of an epoch, by its number, from the packed pictures."""
        flips, shifts = self.augment.draw(epoch)
        # One augmentation a picture; where pictures are repeated, one a place in the epoch.
        drawn = order if self.spec.sampling == "natural" else np.arange(len(order))

        def batch(number: int) -> Batch:
            places = slice(number * self.spec.batch_size, (number + 1) * self.spec.batch_size)
            rows, own = order[places], drawn[places]
            images = self.augment(self.split.images[rows], flips[own], shifts[own])
            return Batch(standardize(unit_range(images), self.data), torch.from_numpy(self.split.labels[rows]))

        return batch

    def _batch_in_memory(self, order: np.ndarray) -> Callable[[int], Batch]:
        """The same, from the pictures as a model sees them."""
        images, labels = self._standardized
        order_of_epoch = torch.from_numpy(order)

        def batch(number: int) -> Batch:
            rows = order_of_epoch[number * self.spec.batch_size : (number + 1) * self.spec.batch_size]
            return Batch(images.index_select(0, rows).permute(0, 3, 1, 2), labels.index_select(0, rows))

        return batch

    @cached_property
    def _standardized(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All pictures (N, H, W, C) float32, and their labels (N,) int64."""
        images = [standardize(part, self.data).permute(0, 2, 3, 1) for part, _ in in_order(self.split, CHUNK)]
        return torch.cat(images), torch.from_numpy(np.array(self.split.labels))

    def without_end(self) -> Iterator[Batch]:
        """The batches of the first epoch, of the second, and so on."""
        return (batch for epoch in count(1) for batch in self.epoch(epoch))

    def _order(self, epoch: int) -> np.ndarray:
        """The rows of train in the order of one epoch, (N,)."""
        chance = generator("order", self.spec.seed, epoch)
        if self.spec.sampling == "natural":
            return chance.permutation(len(self.split))
        classes = chance.permutation(np.unique(self.split.labels))
        quotas = [len(part) for part in np.array_split(np.arange(len(self.split)), len(classes))]
        rows = [_cycled(np.flatnonzero(self.split.labels == label), quota, chance)
                for label, quota in zip(classes, quotas, strict=True)]  # fmt: skip
        return chance.permutation(np.concatenate(rows))


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
