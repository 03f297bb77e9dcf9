"""Does the model still recognize turned pictures?

Method: test accuracy with every picture turned counter-clockwise by each angle, in [0, 1] and before standardization
(bilinear, about the center). Quarter turns move pixels and blend none. Other angles bring corners in from outside:
they are filled with train's mean color, which standardization makes 0. They also hide the picture's own corners; what
that alone can cost is measured upright, with all beyond the inscribed circle hidden (`accuracy_circle`).

Intervals, and what counts as a loss: probes/__init__.py. The area is that under the curve as drawn, over the range of
angles, so it lies between 0 and 1.

Limit: none by default, it is a measurement: whether turned pictures occur, the use decides. With `min_area` an area
below it fails.
"""

from functools import partial
from typing import Annotated

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated

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
from pawprint.test_time_augmentation import turn
from pawprint.types import STRICT, Data, Finding

QUESTION = "Does the model still recognize turned pictures?"
Angle = Annotated[float, Field(ge=0, lt=360)]


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    angles: Annotated[tuple[Angle, ...], Field(min_length=2)] = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0)  # degrees
    min_area: Area | None = None  # below it the probe fails; None: a measurement

    def __post_init__(self) -> None:
        if len(set(self.angles)) < len(self.angles):
            raise ValueError(f"angles: expected each once, found {list(self.angles)}")


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """Accuracies are shares of the test set; one pass over it for each angle above 0, and one for the corners."""
    fill = list(subject.data.mean)
    upright = subject.recognized()
    curve = [_at(subject, angle, fill, upright) for angle in sorted(settings.angles)]
    circle = float(subject.recognized(partial(inside_circle, fill=fill)).mean())
    area, lost = area_under(curve), losing(curve)
    passed, limit = judged(area, settings.min_area)
    return Finding(
        name="rotation",
        question=QUESTION,
        numbers={k: v for point in curve for k, v in point.numbers.items()}
        | drops(curve)
        | {"area": area, "accuracy_mean": float(np.mean([p.accuracy for p in curve])), "accuracy_circle": circle},
        passed=passed,
        limit=limit,
        reading=_reading(curve, lost, float(upright.mean()), circle, area, subject.data),
        remedy=remedy_of_loss(
            "turn training pictures at random, over the angles that occur in use; or average the answers for a few "
            "turns of each picture; or use a network that is equivariant to rotation (arXiv 1602.07576)",
            lost, passed,
        ),
        figure=interval_curve(
            curve, "rotation, degrees counter-clockwise", f"{subject.name}: turned test pictures",
            chance=1 / len(subject.data.class_names), reference=(circle, "upright, corners hidden"),
        ),
    )  # fmt: skip


def inside_circle(images: torch.Tensor, fill: list[float]) -> torch.Tensor:
    """Pictures (B, C, H, W) with all beyond the inscribed circle in the color `fill`."""
    height, width = images.shape[2:]
    y = torch.arange(height, device=images.device)[:, None] - (height - 1) / 2
    x = torch.arange(width, device=images.device)[None, :] - (width - 1) / 2
    is_inside = x**2 + y**2 <= (min(height, width) / 2) ** 2  # (H, W)
    return torch.where(is_inside, images, torch.tensor(fill, device=images.device)[:, None, None])


def _at(subject: ProbeSubject, angle: float, fill: list[float], upright: np.ndarray) -> Altered:
    recognized = subject.recognized(partial(turn, angle=angle, fill=fill)) if angle else upright
    return altered(angle, recognized, upright, is_altered=angle > 0)


def _reading(curve: list[Altered], lost: list[Altered], upright: float, circle: float, area: float, data: Data) -> str:
    worst = min(curve, key=lambda t: t.accuracy)
    if not lost:
        return (
            f"flat: at no angle are fewer test pictures recognized, beyond chance, than upright ({upright:.3f}; lowest "
            f"{worst.accuracy:.3f} at {worst.strength:g}°); the area under the curve is {area:.3f}"
        )
    at_chance = " (a guess between the classes)" if is_guess(worst, data) else ""
    first = min(lost, key=lambda t: t.strength)
    reading = (
        f"test accuracy falls from {upright:.3f} upright to {worst.accuracy:.3f}{at_chance} at {worst.strength:g}°, "
        f"and is lower than upright, beyond chance, at {len(lost)} of {sum(p.is_altered for p in curve)} angles, from "
        f"{first.strength:g}° on; the area under the curve is {area:.3f}; hidden corners alone cost at most "
        f"{max(0.0, upright - circle):.3f}"
    )
    return reading + _half_turn(curve)


def _half_turn(curve: list[Altered]) -> str:
    """A sentence where upside-down pictures are better recognized than those turned a little less and more."""
    for before, at, after in zip(curve, curve[1:], curve[2:], strict=False):
        if at.strength == 180 and at.low > max(before.accuracy, after.accuracy):
            return f"; it recovers to {at.accuracy:.3f} at 180°: upside-down is easier than slanted"
    return ""
