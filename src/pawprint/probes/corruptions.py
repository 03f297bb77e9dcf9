"""Does the model still recognize noisy, blurred, compressed and pale pictures?

Method: test accuracy under four of the corruptions of ImageNet-C and CIFAR-10-C (Hendrycks and Dietterich, arXiv
1903.12261), one of each of their families that needs no pictures of its own, each in a few strengths; pixels in [0, 1],
before standardization.

- *noise*: Gaussian, of each value by itself, clipped to [0, 1]. A picture's noise is a function of the seed and its
  place in the test set, and the same at every strength.
- *blur*: Gaussian, its deviation in percent of the shorter side, so that it hides the same share of a small picture
  as of a large one; edges are reflected.
- *jpeg*: compressed and read again, in 8 bits; channels each by itself where there are not one or three.
- *contrast*: each channel drawn towards its mean in the picture.

The strengths lie in the range of the originals' five severities:

               CIFAR-10-C, 32 px        ImageNet-C, 224 px        here
    noise      0.04 … 0.10              0.08 … 0.38               0.04, 0.08, 0.12
    blur       1.25 … 3.1 % of side     0.4 … 2.7 %               1.5, 2, 3 %
    jpeg       80 … 40 (quality)        25 … 7                    80, 50, 25
    contrast   0.75 … 0.15              0.4 … 0.05                0.75, 0.4, 0.15

Intervals, and what counts as a loss: probes/__init__.py. Limit: none by default, it is a measurement: which corruptions
occur, the use decides. With `min_area` a mean accuracy over corruptions (each the mean of its strengths) below it
fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated
from torchvision.transforms.v2.functional import gaussian_blur
from torchvision.transforms.v2.functional import jpeg as recompress

from pawprint.figures.corruptions import CorruptionPanel, corruptions_figure
from pawprint.probes import Altered, Area, ProbeSubject, altered, is_guess, judged, losing, remedy_of_loss
from pawprint.seeding import generator
from pawprint.types import STRICT, Data, Finding, Seed

Alteration = Callable[[torch.Tensor], torch.Tensor]
KERNEL_DEVIATIONS = 4  # the blur's kernel reaches this far to each side

UNITS = {
    "noise": "standard deviation of the noise, pixels 0 to 1",
    "blur": "standard deviation of the blur, % of the shorter side",
    "jpeg": "JPEG quality",
    "contrast": "contrast, share of the picture's own",
}
REMEDIES = {
    "noise": "add noise to training pictures",
    "blur": "blur training pictures, or train on some that were made small and large again",
    "jpeg": "compress training pictures anew, at varied quality",
    "contrast": "vary the contrast of training pictures, or standardize each by its own mean and deviation",
}


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    """Strengths of each corruption in any order; none: it is left out. Each costs a pass over the test set."""

    noise_deviations: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.04, 0.08, 0.12)  # pixels in 0 to 1
    blur_percent: tuple[Annotated[float, Field(gt=0, le=20)], ...] = (1.5, 2.0, 3.0)  # deviation, of the shorter side
    jpeg_qualities: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (80, 50, 25)
    contrast_factors: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = (0.75, 0.4, 0.15)
    min_area: Area | None = None  # of the mean accuracy: below it the probe fails; None: a measurement
    seed: Seed = 0  # of the noise

    def __post_init__(self) -> None:
        strengths = (self.noise_deviations, self.blur_percent, self.jpeg_qualities, self.contrast_factors)
        if not any(strengths):
            raise ValueError("expected strengths of one corruption or more, found none")
        twice = [list(some) for some in strengths if len(set(some)) < len(some)]
        if twice:
            raise ValueError(f"strengths: expected each once, found {twice[0]}")


@dataclass(frozen=True)
class Corruption:
    """What one corruption costs, from mild to strong."""

    name: str
    points: list[Altered]
    lost: list[Altered]  # of these, where fewer are recognized beyond chance

    @property
    def accuracy_mean(self) -> float:
        return float(np.mean([point.accuracy for point in self.points]))


class Noise:
    """Adds to each test picture its own noise; pictures come in the test set's order, however many at once."""

    def __init__(self, deviation: float, seed: int) -> None:
        self.deviation, self.seed, self.n_seen = deviation, seed, 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        rows = range(self.n_seen, self.n_seen + len(images))
        self.n_seen += len(images)
        shape = tuple(images.shape[1:])
        drawn = [generator("noise", self.seed, row).standard_normal(shape, dtype=np.float32) for row in rows]
        noise = torch.from_numpy(np.stack(drawn)).to(images.device)
        return (images + self.deviation * noise).clamp(0, 1)


def blur(images: torch.Tensor, percent: float) -> torch.Tensor:
    """Pictures (B, C, H, W) blurred by a Gaussian of `percent` of the shorter side."""
    shorter = min(images.shape[2:])
    deviation = percent / 100 * shorter  # pixels
    reach = min(max(1, round(KERNEL_DEVIATIONS * deviation)), shorter - 1)
    return gaussian_blur(images, [2 * reach + 1] * 2, [deviation] * 2)


def jpeg(images: torch.Tensor, quality: int) -> torch.Tensor:
    """Pictures (B, C, H, W) in [0, 1], compressed and read again."""
    pixels = (255 * images).round().to(torch.uint8).cpu().contiguous()
    as_read = pixels if images.shape[1] in (1, 3) else pixels.reshape(-1, 1, *images.shape[2:])
    return (recompress(as_read, quality).view_as(pixels).float() / 255).to(images.device)


def contrast(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Pictures (B, C, H, W) whose channels keep `factor` of their distance from their mean."""
    return torch.lerp(images.mean(dim=(2, 3), keepdim=True), images, factor)


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """Accuracies are shares of the test set; one pass over it for each strength of each corruption."""
    as_is = subject.recognized()
    unaltered = altered(0, as_is, as_is, is_altered=False)
    corruptions = _measured(subject, settings, as_is)
    mean = float(np.mean([corruption.accuracy_mean for corruption in corruptions]))
    passed, limit = judged(mean, settings.min_area, "mean accuracy over corruptions")
    hurting = sorted((c for c in corruptions if c.lost), key=lambda c: c.accuracy_mean)
    return Finding(
        name="corruptions",
        question="Does the model still recognize noisy, blurred, compressed and pale pictures?",
        numbers=_numbers(corruptions, unaltered.accuracy, mean),
        passed=passed,
        limit=limit,
        reading=_reading(corruptions, hurting, unaltered.accuracy, mean, subject.data),
        remedy=remedy_of_loss(
            f"where such pictures occur in use: {'; '.join(REMEDIES[c.name] for c in hurting)}", hurting, passed
        ),
        figure=corruptions_figure(
            [CorruptionPanel(c.name, UNITS[c.name], c.points) for c in corruptions],
            unaltered, subject.name, chance=1 / len(subject.data.class_names),
        ),
    )  # fmt: skip


def _measured(subject: ProbeSubject, settings: Settings, as_is: np.ndarray) -> list[Corruption]:
    points = {
        name: [altered(strength, subject.recognized(alter), as_is) for strength, alter in alterations]
        for name, alterations in _alterations(settings).items()
        if alterations
    }
    lost = losing([point for some in points.values() for point in some])
    return [Corruption(name, some, [point for point in some if point in lost]) for name, some in points.items()]


def _alterations(settings: Settings) -> dict[str, list[tuple[float, Alteration]]]:
    """Each corruption's strengths, from mild to strong, and what they do to pictures."""
    return {
        "noise": [(s, Noise(s, settings.seed)) for s in sorted(settings.noise_deviations)],
        "blur": [(s, partial(blur, percent=s)) for s in sorted(settings.blur_percent)],
        "jpeg": [(s, partial(jpeg, quality=s)) for s in sorted(settings.jpeg_qualities, reverse=True)],
        "contrast": [(s, partial(contrast, factor=s)) for s in sorted(settings.contrast_factors, reverse=True)],
    }


def _numbers(corruptions: list[Corruption], as_is: float, mean: float) -> dict[str, float]:
    numbers = {"accuracy_as_they_are": as_is, "accuracy_mean": mean}
    for corruption in corruptions:
        numbers[f"accuracy_mean_{corruption.name}"] = corruption.accuracy_mean
        for point in corruption.points:
            numbers |= {name.replace("_", f"_{corruption.name}_", 1): v for name, v in point.numbers.items()}
    return numbers


def _reading(corruptions: list[Corruption], hurting: list[Corruption], as_is: float, mean: float, data: Data) -> str:
    means = ", ".join(f"{c.name} {c.accuracy_mean:.3f}" for c in corruptions)
    start = f"test accuracy is {as_is:.3f} as the pictures are and {mean:.3f} on average over corruptions ({means})"
    if not hurting:
        return f"{start}; with none of them are fewer pictures recognized beyond chance"
    worst = min(hurting[0].points, key=lambda point: point.accuracy)
    guess = " (a guess between the classes)" if is_guess(worst, data) else ""
    where = ", ".join(f"{c.name} from {c.lost[0].strength:g} on" for c in hurting)
    return (
        f"{start}; {hurting[0].name} costs most, down to {worst.accuracy:.3f}{guess} at {worst.strength:g}; fewer are "
        f"recognized, beyond chance, with {where}"
    )
