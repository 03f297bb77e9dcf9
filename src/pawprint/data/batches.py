"""From packed arrays to what a model sees. No picture is decoded here: that was `prepare`'s work."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache, partial
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pawprint.data.share import WHOLE, Share
from pawprint.data.views import CPU, Parameters, View, unlabelled_views, view_of
from pawprint.errors import SettingsError
from pawprint.interruption import end_with
from pawprint.seeding import generator
from pawprint.types import Data, RunSpec, Split

MOST_BYTES_IN_MEMORY = 10**9  # of a train set that is kept as a model sees it: 300,000 pictures of 28 x 28 grey pixels
SHARE_OF_DEVICE = 0.5  # of an accelerator's free memory that pictures may take; the rest is the model's
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
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same examples where an accelerator can fetch them while others are computed with; DataLoader asks."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        def of(tensor: torch.Tensor | None) -> Any:
            return None if tensor is None else change(tensor)

        pictures = self.unlabelled
        if pictures is not None:
            pictures = Unlabelled(*map(of, (pictures.weak, pictures.strong, pictures.labels)))
        return Batch(of(self.images), of(self.labels), of(self.soft_labels), pictures)


def unit_range(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """(B, H, W, C) uint8 → (B, C, H, W) float32 in [0, 1], channels last in memory."""
    floats = images.float() if torch.is_tensor(images) else torch.from_numpy(images.astype(np.float32))
    return floats.div_(255).permute(0, 3, 1, 2)  # in place: asking for more memory takes longer than the division


def standardize(images: torch.Tensor, data: Data) -> torch.Tensor:
    """[0, 1] → mean 0 and standard deviation 1 per channel, by train's statistics."""
    return (images - _by_channel(data.mean, images.device)).div_(_by_channel(data.std, images.device))


@cache
def _by_channel(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """(C, 1, 1) float32; made once, as an accelerator is waited for when numbers go there."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]


class Stream:
    """The examples of a set in the order in which they are learned from: pass after pass, each in an order of its own.

    A place is a number of examples from the beginning of a pass, which may lie in one of the next.
    """

    def __init__(
        self,
        split: Split,
        views: dict[str, View],
        seed: int,
        sampling: str = "natural",
        purpose: str = "order",
        device: torch.device = CPU,
    ) -> None:
        """`device`: where the pictures are kept and changed; on the processor they stay where they are."""
        self.split, self.views, self.seed, self.sampling, self.purpose = split, views, seed, sampling, purpose
        self.device = device
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

    def take(self, number: int, place: int, n: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """`n` examples from a place of a pass on: their labels (n,), and each view of their pictures (n, H, W, C)."""
        labels, views = [], []
        while n > 0:
            number, place = number + place // self.n_per_pass, place % self.n_per_pass
            order, drawn = self._pass(number)
            rows = order[place : place + n]
            # One augmentation a picture; where pictures are repeated, one a place in the pass.
            own = rows if self.sampling == "natural" else torch.arange(place, place + len(rows), device=self.device)
            images = self._pictures(rows)
            labels.append(self._labels.index_select(0, rows))
            views.append({name: view(images, drawn[name], own) for name, view in self.views.items()})
            place, n = place + len(rows), n - len(rows)
        return torch.cat(labels), {name: torch.cat([part[name] for part in views]) for name in self.views}

    def _drawn(self, number: int) -> tuple[torch.Tensor, dict[str, list[Parameters]]]:
        n = max(len(self.split), self.n_per_pass)
        drawn = {name: view.draw(number, n, self.device) for name, view in self.views.items()}
        return torch.from_numpy(self.order(number)).to(self.device), drawn

    def _pictures(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, H, W, C) uint8"""
        if self.device == CPU:
            return torch.from_numpy(self.split.images[rows.numpy()])
        return self._resident.index_select(0, rows)

    @cached_property
    def _resident(self) -> torch.Tensor:
        """All pictures (N, H, W, C) uint8, on the device."""
        return torch.from_numpy(np.array(self.split.images)).to(self.device)

    @cached_property
    def _labels(self) -> torch.Tensor:
        return torch.from_numpy(np.array(self.split.labels)).to(self.device)

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

    Where the training runs in several processes, each makes its `share` of a batch, all equally large: of a last batch,
    examples that do not divide are left out, and a share of one is, too.

    On an accelerator (`device`) the pictures lie in its memory, as they were packed, and are changed there, where it
    has room for them and the views go by batches; else batches come from the processor.

    With `sampling: balanced` a pass has as many examples, of every class the same number (or one more): those of
    small classes are repeated, of large ones some wait for another pass. `oversample` repeats until every class has as
    many as the largest, `undersample` takes of each as many as the smallest has.

    `workers` processes make batches ahead (0: made when asked for). A batch is a function of seed, epoch and number
    alone, so that their count changes no byte.

    Where nothing is augmented, and the process makes its batches itself, the standardized set is kept in memory up to
    MOST_BYTES_IN_MEMORY, and a batch is an index into it: the same bytes, and for a small model half the time.

    Raises SettingsError for an objective that learns from unlabelled pictures where there are none.
    """

    def __init__(
        self, data: Data, spec: RunSpec, workers: int = 0, device: torch.device = CPU, share: Share = WHOLE
    ) -> None:
        self.data, self.spec, self.share = data, spec, share
        self.views = self._views()
        self.device = device if self._goes_to(device) else CPU
        self.workers = workers if self.device == CPU else 0
        self.pinned = device.type == "cuda" and self.device == CPU
        n, own = len(data.train), self.views["own"]
        self.labelled = Stream(data.train, {"own": own}, spec.seed, spec.sampling, device=self.device)
        self.unlabelled = self._unlabelled() if spec.learns_unlabelled else None
        self.steps_per_epoch = (spec.steps_per_epoch if n else 0) or self._steps_of_pass()
        n_bytes = 4 * n * math.prod(data.image_shape)
        is_plain = not own.steps and spec.mixing == "none" and self.unlabelled is None and not spec.steps_per_epoch
        self.in_memory = is_plain and not self.workers and n_bytes <= MOST_BYTES_IN_MEMORY

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, counted from 1, from batch `start` on (to resume in the middle)."""
        batch = self._batch_in_memory(epoch) if self.in_memory else partial(self._batch_made, epoch)
        numbers = range(start, self.steps_per_epoch)
        return made_ahead(batch, numbers, self.workers, self.pinned) if self.workers else map(batch, numbers)

    def without_end(self) -> Iterator[Batch]:
        """The batches of the first epoch, of the second, and so on."""
        return (batch for epoch in count(1) for batch in self.epoch(epoch))

    def _goes_to(self, device: torch.device) -> bool:
        """Whether pictures are kept on the device and changed there."""
        if device.type == "cpu" or not all(view.of_batch for view in self.views.values()):
            return False
        sets = [split for split in (self.data.train, self.data.unlabelled) if split is not None]
        n_bytes = sum(len(split) for split in sets) * math.prod(self.data.image_shape)
        return device.type != "cuda" or n_bytes <= SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]

    def _views(self) -> dict[str, View]:
        """What the labelled pictures become ("own"), and the unlabelled ones, where they are used."""
        of_unlabelled = unlabelled_views(self.spec, self.data) if self.spec.learns_unlabelled else {}
        return {"own": view_of(self.spec.augmentation, self.spec, self.data), **of_unlabelled}

    def _steps_of_pass(self) -> int:
        """How many batches go through the labelled pictures once."""
        whole, left = divmod(self.labelled.n_per_pass, self.spec.batch_size)
        _, last = self.share.of_batch(left)
        return whole + (last > 1 or (last == 1 and not whole))

    def _batch_made(self, epoch: int, number: int) -> Batch:
        """A batch of an epoch, by its number from 0, from the packed pictures."""
        size, done = self.spec.batch_size, (epoch - 1) * self.steps_per_epoch + number
        if self.spec.steps_per_epoch:
            first, n = self.share.of_batch(size)
            labels, views = self.labelled.take(1, done * size + first, n)
        else:
            first, n = self._own_of_pass(number)
            labels, views = self.labelled.take(epoch, first, n)
        images = self._standardized(views["own"])
        batch = Batch(images, labels, unlabelled=self._unlabelled_batch(done) if self.unlabelled else None)
        return batch if self.spec.mixing == "none" else self._mixed(batch, done)

    def _own_of_pass(self, number: int) -> tuple[int, int]:
        """First place and number of the examples of a batch of a pass, or of its share: the last may have fewer."""
        place = number * self.spec.batch_size
        first, n = self.share.of_batch(min(self.spec.batch_size, self.labelled.n_per_pass - place))
        return place + first, n

    def _batch_in_memory(self, epoch: int) -> Callable[[int], Batch]:
        """How to make a batch of an epoch from the pictures as a model sees them."""
        images, labels = self._all_standardized
        order_of_epoch = torch.from_numpy(self.labelled.order(epoch)).to(self.device)

        def batch(number: int) -> Batch:
            first, n = self._own_of_pass(number)
            rows = order_of_epoch[first : first + n]
            return Batch(images.index_select(0, rows).permute(0, 3, 1, 2), labels.index_select(0, rows))

        return batch

    def _unlabelled(self) -> Stream:
        """The stream of pictures without labels, in the views that the objective compares."""
        if self.data.unlabelled is None:
            raise SettingsError([
                f"{self.spec.variant}: objective: {self.spec.objective} learns from unlabelled pictures, and there are "
                "none: set data.labels_per_class, take data that has some, or set objective: supervised"
            ])  # fmt: skip
        views = {name: view for name, view in self.views.items() if name != "own"}
        return Stream(self.data.unlabelled, views, self.spec.seed, purpose="unlabelled order", device=self.device)

    def _unlabelled_batch(self, done: int) -> Unlabelled:
        """The pictures beside the labelled ones of the step after `done`."""
        assert self.unlabelled is not None
        of_step = self.spec.unlabelled_ratio * self.spec.batch_size
        first, n = self.share.of_batch(of_step)
        labels, views = self.unlabelled.take(1, done * of_step + first, n)
        shown = {name: self._standardized(images) for name, images in views.items()}
        return Unlabelled(shown["weak"], shown.get("strong"), labels)

    def _mixed(self, batch: Batch, done: int) -> Batch:
        """Every picture mixed with the next one, and their labels: Mixup (arXiv 1710.09412), CutMix (1905.04899)."""
        from torchvision.transforms.v2 import CutMix, MixUp  # seconds

        kind = {"mixup": MixUp, "cutmix": CutMix}[self.spec.mixing]
        mix = kind(alpha=self.spec.mixing_alpha, num_classes=len(self.data.class_names))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(generator("mixing", self.spec.seed, done).integers(2**63)))
            images, soft_labels = mix(batch.images, batch.labels)
        return replace(batch, images=images, soft_labels=soft_labels)

    def _standardized(self, images: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) uint8 as `standardize` has them, in place, as they are nobody else's; row by row."""
        n, height, width, channels = images.shape
        mean, std = (_by_channel(values, self.device).flatten() for values in (self.data.mean, self.data.std))
        rows = unit_range(images).permute(0, 2, 3, 1).view(n, height, width * channels)
        rows.sub_(mean.repeat(width)).div_(std.repeat(width))  # not by three numbers a time: an eighth of the time
        return rows.view(images.shape).permute(0, 3, 1, 2)

    @cached_property
    def _all_standardized(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All pictures (N, H, W, C) float32, and their labels (N,) int64."""
        split = self.data.train
        images = [standardize(part, self.data).permute(0, 2, 3, 1) for part, _ in in_order(split, CHUNK)]
        return torch.cat(images).to(self.device), torch.from_numpy(np.array(split.labels)).to(self.device)


class _Batches(Dataset[Batch]):
    def __init__(self, batch: Callable[[int], Batch]) -> None:
        self.batch = batch

    def __getitem__(self, number: int) -> Batch:
        return self.batch(number)


def made_ahead(batch: Callable[[int], Batch], numbers: range, workers: int, pinned: bool = False) -> Iterator[Batch]:
    """`batch` of each of the numbers, in their order, by `workers` processes that end with this one.

    `pinned`: in memory that an accelerator fetches from while it computes.
    """
    parent = os.getpid()
    return iter(
        DataLoader(
            _Batches(batch),
            sampler=numbers,
            batch_size=None,  # they are batches already
            collate_fn=_as_it_is,
            num_workers=workers,
            pin_memory=pinned,
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


def in_order(split: Split, batch_size: int, of: slice = slice(None)) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All of a split, or a part: pictures (B, C, H, W) float32 in [0, 1], not standardized, and labels (B,)."""
    first, last, _ = of.indices(len(split))
    for start in range(first, last, batch_size):
        rows = slice(start, min(start + batch_size, last))
        yield unit_range(split.images[rows]), torch.from_numpy(np.array(split.labels[rows]))
