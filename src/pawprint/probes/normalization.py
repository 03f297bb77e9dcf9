"""Is the model fed as it was in training, was that right, and what do the usual mistakes cost?

Method: every usual mistake is, channel by channel, `scale * pixel + shift`, perhaps of the other channel order, and so
from the pixels' mean and standard deviation follows what each feeds the model (`feedings`). `recognize` compares what
the test set's tensors really have with each of these, and names the nearest; it is a pure function of three pairs of
statistics, fit for tensors of any origin. Three questions, in this order:

1. *Do train's and test's pictures have one channel order?* What tells is how much brighter red is than blue, picture by
   picture, which brightness does not change. Test's mean of it must be near the negative of train's, within a fourth
   of the way, and 6 standard errors from train's: a draw of test pictures does that less than once in 10^8 times. In
   grey pictures, or few, it cannot be told, and nothing is said.
2. *Is test fed as training was?* Training's pictures were standardized by `subject.right`, or, where nothing is known
   of it, are taken to have been by the statistics of their own pixels. Whatever else test is fed, is a fault, named as
   it stands to that.
3. *Was training fed rightly?* By train's own statistics, by ImageNet's or CIFAR-10's, by 0.5 and 0.5, by others that
   pixels may have, or pixels in 0 to 1 as they are: these are conventions, and none is a fault. Pixels in 0 to 255,
   normalized or not, twice normalized, twice divided by 255, or statistics in the other channel order are
   (`TRAINING_FAULTS`): with test fed alike they cost nothing here that could be measured, but they make training harder
   and the model unfit for any code that does it rightly. A model that normalizes in its own first layer may be meant
   for 0 to 255; this cannot be seen from statistics, and the remedy says so.

Then test accuracy is measured under each mistake, against right feeding, which is that of training.

Distance: the largest, over channels, of the means' difference in standard deviations and of |ln(ratio of the standard
deviations)|. Limit: 0.01 (`tolerance`); what our own pipeline feeds differs from right by rounding alone, and the
nearest mistakes, another data set's statistics, are 0.05 and more away. Statistics cannot show everything: where two
feedings are closer than the tolerance (channel order, in grey pictures), the reading says which are not told apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated
from scipy.stats import ttest_ind

from pawprint.data.batches import in_order, standardize
from pawprint.data.statistics import CIFAR10, IMAGENET, Statistics, statistics_of
from pawprint.figures.normalization import Bar, Channel, normalization_figure
from pawprint.probes import ProbeSubject, wilson
from pawprint.training.evaluate import BATCH_SIZE
from pawprint.types import STRICT, Data, Finding, Split

QUESTION = "Is the model fed as it was in training, was that right, and what do the usual mistakes cost?"
Mistake = Literal[
    "not_normalized",
    "normalized_twice",
    "imagenet_statistics",
    "cifar10_statistics",
    "half_statistics",
    "range_0_255",
    "range_0_255_normalized",
    "divided_by_255_twice",
    "channels_swapped",
    "statistics_swapped",
]
MEANING: dict[str, str] = {
    "right": "normalized by the statistics of train's own pixels",
    "not_normalized": "pixels in 0 to 1, not normalized",
    "normalized_twice": "normalized twice",
    "imagenet_statistics": "normalized by ImageNet's statistics",
    "cifar10_statistics": "normalized by CIFAR-10's statistics",
    "half_statistics": "normalized by mean 0.5 and standard deviation 0.5",
    "range_0_255": "pixels in 0 to 255, not normalized",
    "range_0_255_normalized": "pixels in 0 to 255, normalized by the statistics for 0 to 1",
    "divided_by_255_twice": "pixels divided by 255 twice, then normalized",
    "channels_swapped": "blue and red swapped before normalization (BGR for RGB)",
    "statistics_swapped": "normalized by statistics in the other channel order (BGR for RGB)",
    "other_statistics": "normalized by other statistics",
    "unknown": "none of the known mistakes",
}
# What training's pictures may have been fed, and should not.
TRAINING_FAULTS = {
    *("normalized_twice", "range_0_255", "range_0_255_normalized", "divided_by_255_twice", "statistics_swapped"),
}
SWAPPED_P = 1e-8  # below it, a difference between train and test is none of the draw
SWAPPED_SHARE = 0.25  # how far test may be from train in the other order, as a share of how far it is in order
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    tolerance: Annotated[float, Field(gt=0, le=0.5)] = 0.01  # distance up to which statistics count as equal
    mistakes: tuple[Mistake, ...] = (  # whose cost is measured; one pass over the test set each
        "not_normalized",
        "normalized_twice",
        "imagenet_statistics",
        "range_0_255",
        "channels_swapped",
    )


@dataclass(frozen=True)
class Feeding:
    """A way to feed pictures: `scale * pixel + shift` by channel, of pixels in [0, 1]."""

    scale: tuple[float, ...]
    shift: tuple[float, ...]
    is_reversed: bool = False  # the pictures' channels come in the other order

    def expected(self, raw: Statistics) -> Statistics:
        """The statistics of what is fed, given those of the pixels."""
        mean, std = (raw.mean[::-1], raw.std[::-1]) if self.is_reversed else (raw.mean, raw.std)
        return Statistics(
            tuple(a * m + b for a, m, b in zip(self.scale, mean, self.shift, strict=True)),
            tuple(abs(a) * s for a, s in zip(self.scale, std, strict=True)),
        )

    def is_same(self, other: Feeding) -> bool:
        """Whether both feed every picture alike, not only these."""
        values = np.array([(*self.scale, *self.shift), (*other.scale, *other.shift)])
        return self.is_reversed == other.is_reversed and bool(np.allclose(values[0], values[1]))

    def feed(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures (B, C, H, W) in [0, 1] → what the model is fed."""
        images = images.flip(1) if self.is_reversed else images
        scale, shift = (torch.tensor(v, device=images.device)[:, None, None] for v in (self.scale, self.shift))
        return images * scale + shift


@dataclass(frozen=True)
class Recognition:
    """What a model is fed."""

    name: str  # "right", a `Mistake`, "other_statistics" or "unknown"
    distance: float  # from what that feeds; 0 for "other_statistics", which fit exactly
    from_right: float  # distance from right normalization
    not_told_apart: tuple[str, ...]  # others that would give these pictures the same statistics
    implied: Statistics  # that would explain what is fed, were it normalized by them


@dataclass(frozen=True)
class ChannelOrder:
    """How much brighter red is than blue, mean over pictures, of pixels in 0 to 1."""

    train: float
    test: float
    p: float  # Welch's t-test: that a draw of pictures sets them that far apart

    @property
    def is_swapped(self) -> bool:
        """Whether test's pictures have the channels of train's in the other order."""
        is_near_the_other = abs(self.test + self.train) <= SWAPPED_SHARE * abs(self.test - self.train)
        return self.p < SWAPPED_P and is_near_the_other


@dataclass(frozen=True)
class Measured:
    """What there is to judge by."""

    training: Recognition  # what training's pictures were fed, by their own statistics
    test: Recognition  # what test's are fed, by what training's were
    order: ChannelOrder | None  # None: there are not three channels
    fed: Statistics
    expected: Statistics  # of test's pictures, were they fed as training's
    accuracy: dict[str, float]  # as_fed, right, and each mistake

    @property
    def is_swapped(self) -> bool:
        return self.order is not None and self.order.is_swapped

    @property
    def is_as_in_training(self) -> bool:
        return self.test.name == "right" and not self.is_swapped

    @property
    def is_training_wrong(self) -> bool:
        return self.training.name in TRAINING_FAULTS


def feedings(right: Statistics) -> dict[str, Feeding]:
    """Right normalization and every known mistake; those of three channels only where there are three."""
    ones = (1.0,) * len(right.mean)
    once = _normalizing(right)
    known = {
        "right": once,
        "not_normalized": Feeding(ones, tuple(0.0 for _ in ones)),
        "normalized_twice": Feeding(
            tuple(a * a for a in once.scale), tuple(a * b + b for a, b in zip(once.scale, once.shift, strict=True))
        ),
        "half_statistics": _normalizing(Statistics(tuple(0.5 for _ in ones), tuple(0.5 for _ in ones))),
        "range_0_255": Feeding(tuple(255.0 for _ in ones), tuple(0.0 for _ in ones)),
        "range_0_255_normalized": Feeding(tuple(255 * a for a in once.scale), once.shift),
        "divided_by_255_twice": Feeding(tuple(a / 255 for a in once.scale), once.shift),
    }
    if len(ones) == 3:
        known |= {
            "imagenet_statistics": _normalizing(IMAGENET),
            "cifar10_statistics": _normalizing(CIFAR10),
            "channels_swapped": Feeding(once.scale, once.shift, is_reversed=True),
            "statistics_swapped": Feeding(once.scale[::-1], once.shift[::-1]),
        }
    return known


def recognize(fed: Statistics, raw: Statistics, right: Statistics, tolerance: float) -> Recognition:
    """Which normalization turns pixels of statistics `raw` (in [0, 1]) into what has the statistics `fed`.

    `right` are the statistics to normalize by. What could be right, is.
    """
    known = feedings(right)
    expected = {name: feeding.expected(raw) for name, feeding in known.items()}
    distances = {name: distance(fed, statistics) for name, statistics in expected.items()}
    implied = _implied(fed, raw)
    name = "right" if distances["right"] <= tolerance else min(distances, key=lambda n: distances[n])
    if distances[name] <= tolerance:
        others = (n for n, feeding in known.items() if not feeding.is_same(known[name]))
        alike = tuple(n for n in others if distance(expected[n], expected[name]) <= tolerance)
        return Recognition(name, distances[name], distances["right"], alike, implied)
    is_plausible = all(0 <= m <= 1 for m in implied.mean) and all(0.02 <= s <= 1 for s in implied.std)
    if is_plausible:
        return Recognition("other_statistics", 0.0, distances["right"], (), implied)
    return Recognition("unknown", distances[name], distances["right"], (), implied)


def distance(one: Statistics, other: Statistics) -> float:
    """How far statistics are from others, in standard deviations of those; infinite where there is no spread."""
    if not all(s > 0 and math.isfinite(s) for s in (*one.std, *other.std)):
        return math.inf
    means = (abs(a - b) / s for a, b, s in zip(one.mean, other.mean, other.std, strict=True))
    spreads = (abs(math.log(a / b)) for a, b in zip(one.std, other.std, strict=True))
    return max(*means, *spreads)


def channel_order(train: Split, test: Split) -> ChannelOrder:
    """Of pictures of three channels."""
    of_train, of_test = (
        np.concatenate([(images[:, 0] - images[:, 2]).mean(dim=(1, 2)).double().numpy() for images in _pixels(split)])
        for split in (train, test)
    )
    p = float(ttest_ind(of_train, of_test, equal_var=False).pvalue) if min(len(of_train), len(of_test)) > 1 else 1.0
    return ChannelOrder(float(of_train.mean()), float(of_test.mean()), p)


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """Accuracies are shares of the test set; a cost is right feeding's accuracy less the mistake's."""
    measured = _measured(subject, settings)
    return Finding(
        name="normalization",
        question=QUESTION,
        numbers=_numbers(measured),
        passed=measured.is_as_in_training and not measured.is_training_wrong,
        limit=f"at most {settings.tolerance:g} from what training was fed, in standard deviations",
        reading=_reading(measured),
        remedy=_remedy(measured),
        figure=_figure(subject, measured),
    )


def _measured(subject: ProbeSubject, settings: Settings) -> Measured:
    data = subject.data
    of_train, of_test = statistics_of(_pixels(data.train)), statistics_of(_pixels(data.test))
    right = subject.right or of_train
    known = feedings(right)
    fed = statistics_of(standardize(images, data) for images in _pixels(data.test))
    training = recognize(known["right"].expected(of_train), of_train, of_train, settings.tolerance)
    test = recognize(fed, of_test, right, settings.tolerance)
    order = channel_order(data.train, data.test) if len(of_train.mean) == 3 else None
    as_fed = subject.unaltered.accuracy
    if order is not None and order.is_swapped:
        subject, of_test = _in_trains_order(subject), Statistics(of_test.mean[::-1], of_test.std[::-1])
    is_right = test.name == "right" and (order is None or not order.is_swapped)
    accuracy = {"as_fed": as_fed, "right": as_fed if is_right else _accuracy(subject, known["right"])}
    mistakes = [m for m in settings.mistakes if m in known and not known[m].is_same(known["right"])]
    accuracy |= {mistake: _accuracy(subject, known[mistake]) for mistake in mistakes}
    return Measured(training, test, order, fed, known["right"].expected(of_test), accuracy)


def _in_trains_order(subject: ProbeSubject) -> ProbeSubject:
    test = subject.data.test
    return replace(subject, data=replace(subject.data, test=replace(test, images=test.images[..., ::-1])))


def _normalizing(by: Statistics) -> Feeding:
    return Feeding(tuple(1 / s for s in by.std), tuple(-m / s for m, s in zip(by.mean, by.std, strict=True)))


def _implied(fed: Statistics, raw: Statistics) -> Statistics:
    std = tuple(r / f if f > 0 else math.inf for r, f in zip(raw.std, fed.std, strict=True))
    return Statistics(tuple(r - s * f for r, s, f in zip(raw.mean, std, fed.mean, strict=True)), std)


def _pixels(split: Split) -> Iterable[torch.Tensor]:
    return (images for images, _ in in_order(split, BATCH_SIZE))


def _accuracy(subject: ProbeSubject, feeding: Feeding) -> float:
    return float(subject.recognized(_before_standardizing(feeding, subject.data)).mean())


def _before_standardizing(feeding: Feeding, data: Data) -> Callable[[torch.Tensor], torch.Tensor]:
    """What `standardize` turns into what the feeding gives."""
    return partial(_unstandardized, feeding, Feeding(data.std, data.mean))


def _unstandardized(feeding: Feeding, back: Feeding, images: torch.Tensor) -> torch.Tensor:
    return back.feed(feeding.feed(images))


def _numbers(measured: Measured) -> dict[str, float]:
    fed, expected, accuracy = measured.fed, measured.expected, measured.accuracy
    mistakes = [name for name in accuracy if name not in ("as_fed", "right")]
    numbers = (
        {f"fed_mean_{c}": m for c, m in enumerate(fed.mean)}
        | {f"fed_std_{c}": s for c, s in enumerate(fed.std)}
        | {f"right_mean_{c}": m for c, m in enumerate(expected.mean)}
        | {f"right_std_{c}": s for c, s in enumerate(expected.std)}
        | {"distance_from_right": distance(fed, expected)}
        | {f"accuracy_{name}": a for name, a in accuracy.items()}
        | {f"cost_{name}": accuracy["right"] - accuracy[name] for name in mistakes}
    )
    if measured.order is not None:
        numbers |= {"red_less_blue_train": measured.order.train, "red_less_blue_test": measured.order.test}
    return numbers


def _reading(measured: Measured) -> str:
    training, accuracy = _said(measured.training), measured.accuracy
    reading = (
        f"by channel, the model is fed mean {_listed(measured.fed.mean)} and standard deviation "
        f"{_listed(measured.fed.std)}"
    )
    if measured.is_as_in_training:
        reading += f", as in training: {training}{_not_told_apart(measured.test)}"
    else:
        reading += (
            f", and would be fed {_listed(measured.expected.mean)} and {_listed(measured.expected.std)} as in training "
            f"({training}): {_fault(measured)}; test accuracy is {accuracy['as_fed']:.3f}, and "
            f"{accuracy['right']:.3f} when fed as in training: {_change(accuracy['right'] - accuracy['as_fed'])}"
        )
    if measured.is_training_wrong and measured.is_as_in_training:
        reading += (
            "; training and test agree, so it costs no accuracy here, but it makes training harder, and whoever uses "
            "the model has to make the same mistake"
        )
    costs = {name: accuracy["right"] - a for name, a in accuracy.items() if name not in ("as_fed", "right")}
    worst = max(costs, key=lambda name: costs[name], default=None)
    if worst is None or costs[worst] <= 0:
        return reading
    return f"{reading}. Of {len(costs)} mistakes tried, {MEANING[worst]} would cost most: {costs[worst]:.3f}"


def _fault(measured: Measured) -> str:
    faults = []
    if measured.order is not None and measured.order.is_swapped:
        faults.append(
            "test's pictures have red and blue swapped against train's (red is brighter than blue by "
            f"{measured.order.train:.3f} in train and {measured.order.test:.3f} in test, of 1)"
        )
    if measured.test.name != "right":
        faults.append(f"test's pictures otherwise: {_said(measured.test)}{_not_told_apart(measured.test)}")
    return ", and ".join(faults)


def _change(cost: float) -> str:
    if cost > 0:
        return f"it costs {cost:.3f}"
    return f"it gains {-cost:.3f}, as it would where the model was trained on the same"


def _said(recognized: Recognition) -> str:
    said = MEANING[recognized.name]
    if recognized.name in ("other_statistics", "unknown"):
        said += f", mean {_listed(recognized.implied.mean)} and standard deviation {_listed(recognized.implied.std)}"
    return said


def _not_told_apart(recognized: Recognition) -> str:
    names = "; ".join(MEANING[name] for name in recognized.not_told_apart)
    return f" (not told apart from: {names})" if names else ""


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{v:.3g}" if abs(v) >= 5e-4 else "0" for v in values)


def _remedy(measured: Measured) -> str | None:
    if measured.is_swapped:
        return "read the pictures of train and test by one decoder: OpenCV gives blue first, Pillow red"
    if not measured.is_as_in_training:
        return (
            "normalize in one place, that training, testing and use share, pixels in 0 to 1 by the statistics of "
            "train; train again if the model was trained on what it is fed now"
        )
    if measured.is_training_wrong:
        return (
            "normalize once, pixels in 0 to 1 by the statistics of train, and train again; where the model's own first "
            "layer does that, leave it"
        )
    return None


def _figure(subject: ProbeSubject, measured: Measured) -> Figure:
    n, fed, expected = len(subject.data.test), measured.fed, measured.expected
    names = CHANNELS.get(len(fed.mean), tuple(f"channel {c}" for c in range(len(fed.mean))))
    channels = [
        Channel(name, *values)
        for name, *values in zip(names, fed.mean, fed.std, expected.mean, expected.std, strict=True)
    ]
    labels = MEANING | {"as_fed": "as fed", "right": "as in training"}
    bars = [Bar(labels[name], share, *wilson(round(share * n), n)) for name, share in measured.accuracy.items()]
    return normalization_figure(channels, bars, subject.name, chance=1 / len(subject.data.class_names))
