"""Does the model still recognize darker pictures?

Method: test accuracy with every pixel, in [0, 1] and before standardization, multiplied by each factor λ. A factor of 1
is the pictures as they are, and is what the others are held against whether listed or not. Intervals, and what counts
as a loss: probes/__init__.py. The area is that under the curve as drawn, over the range of factors, so it lies between
0 and 1.

Limit: none by default, it is a measurement: how dark it gets, the use decides. With `min_area` an area below it fails.
"""

from functools import partial
from typing import Annotated

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pawprint.figures.interval_curve import interval_curve
from pawprint.probes import (
    Altered,
    Area,
    ProbeSubject,
    altered,
    area_under,
    drops,
    is_guess,
    judged,
    losing,
    remedy_of_loss,
)
from pawprint.types import STRICT, Data, Finding

Factor = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    factors: Annotated[tuple[Factor, ...], Field(min_length=2)] = (0.2, 0.4, 0.6, 0.8, 1.0)
    min_area: Area | None = None  # below it the probe fails; None: a measurement

    def __post_init__(self) -> None:
        if len(set(self.factors)) < len(self.factors):
            raise ValueError(f"factors: expected each once, found {list(self.factors)}")


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """Accuracies are shares of the test set; one pass over it for each factor below 1."""
    as_is = subject.recognized()
    curve = [_at(subject, factor, as_is) for factor in sorted(settings.factors)]
    darker = curve[::-1]
    area, lost = area_under(curve), losing(darker)
    passed, limit = judged(area, settings.min_area)
    return Finding(
        name="brightness",
        question="Does the model still recognize darker pictures?",
        numbers={k: v for point in curve for k, v in point.numbers.items()}
        | drops(darker)
        | {"area": area, "accuracy_mean": float(np.mean([p.accuracy for p in curve]))},
        passed=passed,
        limit=limit,
        reading=_reading(darker, lost, float(as_is.mean()), area, subject.data),
        remedy=remedy_of_loss(
            "train with pictures of varied brightness, or standardize each picture by its own mean and deviation",
            lost, passed,
        ),
        figure=interval_curve(
            curve, "brightness factor λ", f"{subject.name}: darker test pictures",
            chance=1 / len(subject.data.class_names),
        ),
    )  # fmt: skip


def darkened(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Pictures (B, C, H, W) in [0, 1] with every pixel multiplied."""
    return images * factor


def _at(subject: ProbeSubject, factor: float, as_is: np.ndarray) -> Altered:
    recognized = subject.recognized(partial(darkened, factor=factor)) if factor < 1 else as_is
    return altered(factor, recognized, as_is, is_altered=factor < 1)


def _reading(darker: list[Altered], lost: list[Altered], as_is: float, area: float, data: Data) -> str:
    worst = min(darker, key=lambda point: point.accuracy)
    if not lost:
        return (
            f"flat: at no factor are fewer test pictures recognized, beyond chance, than as they are ({as_is:.3f}; "
            f"lowest {worst.accuracy:.3f} at factor {worst.strength:g}); the area under the curve is {area:.3f}"
        )
    guess = " (a guess between the classes)" if is_guess(worst, data) else ""
    step, drop = max(drops(darker).items(), key=lambda item: item[1])
    start, end = step.removeprefix("drop_").split("_to_")
    return (
        f"test accuracy falls from {as_is:.3f} as the pictures are to {worst.accuracy:.3f}{guess} at factor "
        f"{worst.strength:g}, and is lower beyond chance at {len(lost)} of {sum(p.is_altered for p in darker)} factors "
        f"below 1, from {lost[0].strength:g} down; the largest step down, {drop:.3f}, is from {start} to {end}; the "
        f"area under the curve is {area:.3f}"
    )
