"""Augmentation of a whole batch, each example by its own draw.

What happens to an example in a pass through the set is a function of (seed, pass, example index) alone, so that neither
batch size nor order nor worker count changes it. torchvision's transforms on a batch draw once for all: where it
matters, they are given a batch of one, under a generator that is seeded for it. Pictures are changed where they are:
parameters are drawn by NumPy, once for a pass, and pictures may lie on an accelerator.

A view is a few steps, one after the other. The *weak* one mirrors and shifts, and where the settings ask for it, cuts
out a part and jitters its colors. The *strong* one goes on from it as FixMatch does (Sohn et al., arXiv 2001.07685,
appendix D): RandAugment, then a square cut out; or, as the image-classification literature has it, a rectangle erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch.nn import functional

from pawprint.seeding import generator
from pawprint.types import Data, RunSpec

CPU = torch.device("cpu")
ASPECT_RATIOS = (3 / 4, 4 / 3)  # of what is cut out and enlarged, as in torchvision's RandomResizedCrop
ERASED_AREAS = (0.02, 1 / 3)  # share of the picture (Zhong et al., arXiv 1708.04896)
ERASED_RATIOS = (0.3, 1 / 0.3)  # height to width

Kind = Literal["weak", "strong"]
Drawn = tuple[np.ndarray, ...]  # a step's parameters, each (N, …): an example a row
Parameters = tuple[torch.Tensor, ...]  # the same, where the pictures are


class Step(Protocol):
    """One change. `draw` gives each of n examples its parameters, `apply` makes it, (B, H, W, C) uint8 → the same."""

    purpose: str  # names the step's random stream
    of_batch: bool  # made for a whole batch at once, and not picture by picture

    def draw(self, chance: np.random.Generator, n: int) -> Drawn: ...

    def apply(self, images: torch.Tensor, drawn: Parameters) -> torch.Tensor: ...


@dataclass(frozen=True)
class FlipAndShift:
    """Mirror every second picture; shift each by up to `largest_shift` pixels, edges reflected."""

    flip: bool
    largest_shift: int
    purpose, of_batch = "", True

    def draw(self, chance: np.random.Generator, n: int) -> Drawn:
        """Mirrored or not (N,), and the shift (N, 2) in pixels, from 0."""
        flips = chance.random(n) < 0.5 * self.flip
        return flips, chance.integers(0, 2 * self.largest_shift, size=(n, 2), endpoint=True)

    def apply(self, images: torch.Tensor, drawn: Parameters) -> torch.Tensor:
        flips, shifts = drawn
        (n, height, width, channels), pad = images.shape, self.largest_shift
        rows, columns = (torch.arange(size, device=images.device) for size in (height, width))
        columns = torch.where(flips[:, None], width - 1 - columns, columns)  # (B, W)
        rows = _reflected(shifts[:, :1] + rows - pad, height)  # (B, H)
        columns = _reflected(shifts[:, 1:] + columns - pad, width)
        # Whole rows, and out of them bytes: twice as fast as pixel by pixel.
        first_rows = height * torch.arange(n, device=images.device)[:, None]
        wide = images.reshape(n * height, width * channels).index_select(0, (first_rows + rows).flatten())
        places = columns[:, :, None] * channels + torch.arange(channels, device=images.device)  # (B, W, C)
        of_each_row = places.view(n, 1, width * channels).expand(n, height, width * channels)
        return wide.view(n, height, width * channels).gather(2, of_each_row).view(images.shape)


@dataclass(frozen=True)
class ResizedCrop:
    """A part of at least `least_area` of the picture, enlarged to all of it (torchvision's RandomResizedCrop).

    Where a drawn part would be larger than the picture, it is cut to the picture's side.
    """

    least_area: float
    purpose, of_batch = " resized crop", True

    def draw(self, chance: np.random.Generator, n: int) -> Drawn:
        """Height and width (N, 2) as shares of the picture's, and the center (N, 2) from -1 to 1 over where it fits."""
        area = chance.uniform(self.least_area, 1, n)
        ratio = _log_uniform(chance, ASPECT_RATIOS, n)  # width to height
        sides = np.stack([np.sqrt(area / ratio), np.sqrt(area * ratio)], axis=1).clip(max=1)
        return sides, chance.uniform(-1, 1, (n, 2)) * (1 - sides)

    def apply(self, images: torch.Tensor, drawn: Parameters) -> torch.Tensor:
        sides, centers = (part.float() for part in drawn)
        maps = torch.zeros(len(images), 2, 3, device=images.device)  # of output to input places, x before y
        maps[:, 0, 0], maps[:, 1, 1] = sides[:, 1], sides[:, 0]
        maps[:, 0, 2], maps[:, 1, 2] = centers[:, 1], centers[:, 0]
        pictures = images.permute(0, 3, 1, 2).float()
        grid = functional.affine_grid(maps, list(pictures.shape), align_corners=False)
        cut = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        return _as_bytes(cut)


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast and saturation, in this order, each times 1 - `change` to 1 + `change`."""

    change: float
    purpose, of_batch = " color jitter", False

    def draw(self, chance: np.random.Generator, n: int) -> Drawn:
        return (chance.uniform(1 - self.change, 1 + self.change, (n, 3)),)

    def apply(self, images: torch.Tensor, drawn: Parameters) -> torch.Tensor:
        from torchvision.transforms.v2 import functional as pictures  # seconds, which most trainings do without

        changed = []
        for image, (brightness, contrast, saturation) in zip(_channels_first(images), drawn[0].tolist(), strict=True):
            brighter = pictures.adjust_contrast(pictures.adjust_brightness(image, brightness), contrast)
            changed.append(pictures.adjust_saturation(brighter, saturation))
        return _as_bytes(torch.stack(changed))


@dataclass(frozen=True)
class RandAugment:
    """`n_operations` of fourteen, drawn for each picture (Cubuk et al., arXiv 1909.13719), by torchvision.

    How strong they are is drawn, too, as in FixMatch: from 1 to `largest_magnitude` of 30.
    """

    n_operations: int
    largest_magnitude: int
    fill: tuple[float, ...]  # of what comes in from outside, by channel, 0 to 255
    purpose, of_batch = " randaugment", False

    def draw(self, chance: np.random.Generator, n: int) -> Drawn:
        """A magnitude (N,) and torch's seed (N,), which decides on the operations."""
        magnitudes = chance.integers(min(1, self.largest_magnitude), self.largest_magnitude, n, endpoint=True)
        return magnitudes, chance.integers(0, 2**63, n)

    def apply(self, images: torch.Tensor, drawn: Parameters) -> torch.Tensor:
        changed = []
        with torch.random.fork_rng(devices=[]):
            magnitudes, seeds = (part.tolist() for part in drawn)
            for image, magnitude, seed in zip(_channels_first(images), magnitudes, seeds, strict=True):
                torch.default_generator.manual_seed(seed)  # torch.manual_seed takes as long as an operation
                changed.append(_randaugment(self.n_operations, magnitude, self.fill)(image))
        return _as_bytes(torch.stack(changed))


@dataclass(frozen=True)
class Cutout:
    """A square of `fill` about any pixel, its side up to `largest_side` pixels, cut by the edges (arXiv 1708.04552)."""

    largest_side: float
    fill: tuple[float, ...]
    purpose, of_batch = " cutout", True

    def draw(self, chance: np.random.Generator, n: int) -> Drawn:
        """The side (N,) in pixels, and the center (N, 2) as a share of the picture."""
        return chance.uniform(0, self.largest_side, n), chance.random((n, 2))

    def apply(self, images: torch.Tensor, drawn: Parameters) -> torch.Tensor:
        sides, centers = drawn
        middle = _in_pixels(centers, images)
        return _filled(images, middle - sides[:, None] / 2, middle + sides[:, None] / 2, self.fill)


@dataclass(frozen=True)
class Erasing:
    """A rectangle of `fill` in `percent` of the pictures (RandomErasing, RE-M of arXiv 1708.04896)."""

    percent: float
    fill: tuple[float, ...]
    purpose, of_batch = " erasing", True

    def draw(self, chance: np.random.Generator, n: int) -> Drawn:
        """Height and width (N, 2) as shares of the picture's, 0 for one left whole, and the place between the edges."""
        erased = chance.random(n) < self.percent / 100
        area, ratio = chance.uniform(*ERASED_AREAS, n), _log_uniform(chance, ERASED_RATIOS, n)
        sides = np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], axis=1).clip(max=1)
        return sides * erased[:, None], chance.random((n, 2))

    def apply(self, images: torch.Tensor, drawn: Parameters) -> torch.Tensor:
        sides, places = (_in_pixels(part, images) for part in drawn)
        first = places * (1 - drawn[0])
        return _filled(images, first, first + sides, self.fill)


@dataclass(frozen=True)
class View:
    """Steps that follow each other, with the parameters of all examples of a set drawn for a pass at once."""

    steps: Sequence[Step]
    seed: int
    purpose: str = "augment"  # names the random stream

    @property
    def of_batch(self) -> bool:
        """Whether no step goes picture by picture."""
        return all(step.of_batch for step in self.steps)

    def draw(self, number: int, n_examples: int, device: torch.device = CPU) -> list[Parameters]:
        """For each step the parameters of every example in pass `number`, counted from 1."""
        streams = (generator(f"{self.purpose}{step.purpose}", self.seed, number) for step in self.steps)
        drawn = (step.draw(chance, n_examples) for step, chance in zip(self.steps, streams, strict=True))
        return [tuple(torch.from_numpy(values).to(device) for values in of_all) for of_all in drawn]

    def __call__(self, images: torch.Tensor, drawn: Sequence[Parameters], rows: torch.Tensor) -> torch.Tensor:
        """What the examples in `rows` of the set look like: (B, H, W, C) uint8 → the same shape."""
        for step, of_all in zip(self.steps, drawn, strict=True):
            images = step.apply(images, tuple(values.index_select(0, rows) for values in of_all))
        return images


def view_of(kind: Kind, spec: RunSpec, data: Data, purpose: str = "augment") -> View:
    """The view of pictures of these data that the settings ask for."""
    return View(steps_of(kind, spec, data.image_shape[1], data.mean), spec.seed, purpose)


def unlabelled_views(spec: RunSpec, data: Data) -> dict[str, View]:
    """Those that the objective compares: the weak one, and for FixMatch the strong one."""
    kinds: list[Kind] = ["weak", "strong"] if spec.objective == "fixmatch" else ["weak"]
    return {kind: view_of(kind, spec, data, f"unlabelled {kind}") for kind in kinds}


def steps_of(kind: Kind, spec: RunSpec, image_size: int, mean: Sequence[float]) -> list[Step]:
    """The steps that change anything; `mean`, by channel in [0, 1], is the color of what is not there."""
    fill = tuple(255 * value for value in mean)
    shift = min(round(image_size * spec.random_crop_percent / 100), image_size - 1)
    weak: list[tuple[bool, Step]] = [
        (spec.random_flip or shift > 0, FlipAndShift(spec.random_flip, shift)),
        (spec.resized_crop_area < 1, ResizedCrop(spec.resized_crop_area)),
        (spec.color_jitter > 0, ColorJitter(spec.color_jitter)),
    ]
    strong: list[tuple[bool, Step]] = [
        (spec.randaugment_ops > 0, RandAugment(spec.randaugment_ops, spec.randaugment_magnitude, fill)),
        (spec.cutout_percent > 0, Cutout(image_size * spec.cutout_percent / 100, fill)),
        (spec.erasing_percent > 0, Erasing(spec.erasing_percent, fill)),
    ]
    return [step for acts, step in (weak if kind == "weak" else [*weak, *strong]) if acts]


@cache
def _randaugment(n_operations: int, magnitude: int, fill: tuple[float, ...]) -> Any:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import RandAugment as OfTorchvision

    return OfTorchvision(n_operations, magnitude, 31, InterpolationMode.BILINEAR, list(fill))


def _log_uniform(chance: np.random.Generator, between: tuple[float, float], n: int) -> np.ndarray:
    low, high = np.log(between)
    return np.exp(chance.uniform(float(low), float(high), n))


def _in_pixels(shares: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Shares of height and width (B, 2) as pixels."""
    return torch.stack([shares[:, axis] * images.shape[1 + axis] for axis in (0, 1)], dim=1)


def _reflected(places: torch.Tensor, size: int) -> torch.Tensor:
    """Places outside 0 to `size` - 1 mirrored at the edge pixel, which is not repeated."""
    places = places.abs()
    return torch.where(places >= size, 2 * (size - 1) - places, places)


def _filled(images: torch.Tensor, first: torch.Tensor, last: torch.Tensor, fill: tuple[float, ...]) -> torch.Tensor:
    """Pictures with the pixels from `first` to `last` (B, 2), which may lie outside, filled with one color."""
    inside = []
    for axis in (0, 1):
        places = torch.arange(images.shape[1 + axis], device=images.device) + 0.5  # a pixel's middle
        inside.append((places >= first[:, axis, None]) & (places < last[:, axis, None]))  # (B, H) and (B, W)
    mask = inside[0][:, :, None] & inside[1][:, None, :]
    return torch.stack([images[..., c].masked_fill(mask, round(value)) for c, value in enumerate(fill)], dim=3)


def _channels_first(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 3, 1, 2).contiguous()


def _as_bytes(images: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W), 0 to 255 → (B, H, W, C) uint8."""
    return images.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
