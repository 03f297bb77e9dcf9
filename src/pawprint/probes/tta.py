"""What does averaging the answers to several views of a picture gain, and at what cost?

Method: test-time augmentation. Sets of views (the mirror image, crops, small rotations, other scales, all of these) and
ways of averaging (mean of logits, mean of probabilities, vote) are those of test_time_augmentation.py. An average mends
wrong answers and spoils right ones, so that a set may also cost accuracy (Shanmugam et al., arXiv 2011.11156). So:

- *Val chooses.* Every set is averaged in every way on val. Of these and the pictures as they are, which come first, the
  one with the highest accuracy is chosen; the first of equals, from the cheapest to the dearest. Where no average is
  more accurate on val, the answers are left plain.
- *Test reports.* Only what was chosen runs on test, beside the pictures as they are. The best of many on val is so by
  luck, too, and its gain there promises too much. Test had no part in the choice and is asked one question: whether the
  gain is beyond chance is judged there, by McNemar's exact test at 5 % on the same pictures, without a correction.
  Intervals: probes/__init__.py.

The cost is counted in forward passes a picture, which are the same on every machine; `make bench BENCH=tta` times them.

Limit: none by default, it is a measurement: what a gain may cost, the use decides. With `min_gain` a smaller gain in
test accuracy fails.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated

from pawprint.data.batches import in_order
from pawprint.figures.tta import Average, tta_figure
from pawprint.probes import LEVEL, Altered, ProbeSubject, altered, judged
from pawprint.test_time_augmentation import (
    CROP_PERCENT,
    DEGREES,
    SCALES,
    Answer,
    View,
    ViewSet,
    Way,
    answers_to_views,
    augmented_probabilities,
    averaged,
    view_sets,
)
from pawprint.training.evaluate import BATCH_SIZE, log_probabilities
from pawprint.types import STRICT, Finding, Split

QUESTION = "What does averaging the answers to several views of a picture gain, and at what cost?"
WORDS: dict[Way, str] = {"logits": "mean of logits", "probabilities": "mean of probabilities", "vote": "vote"}
Angle = Annotated[float, Field(ge=-45, le=45)]
Factor = Annotated[float, Field(ge=0.5, le=2)]


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    """On val each view costs a pass; on test each view of the one set that was chosen."""

    sets: Annotated[tuple[ViewSet, ...], Field(min_length=1)] = ("flip", "crops", "rotations", "scales", "all")
    ways: Annotated[tuple[Way, ...], Field(min_length=1)] = ("logits", "probabilities", "vote")
    degrees: Annotated[tuple[Angle, ...], Field(min_length=1)] = DEGREES  # counter-clockwise (rotations)
    scales: Annotated[tuple[Factor, ...], Field(min_length=1)] = SCALES  # above 1: larger (scales)
    crop_percent: Annotated[float, Field(ge=50, lt=100)] = CROP_PERCENT  # of each side (crops)
    min_gain: Annotated[float, Field(ge=-1, le=1)] | None = None  # in test accuracy; None: a measurement

    def __post_init__(self) -> None:
        for name in ("sets", "ways", "degrees", "scales"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: expected each once, found {list(values)}")
        for name, as_it_is in (("degrees", 0), ("scales", 1)):
            if as_it_is in getattr(self, name):
                raise ValueError(f"{name}: {as_it_is} is the picture as it is, which every set holds: leave it out")


@dataclass(frozen=True)
class Tried:
    """A set of views averaged in one way, on val; the strength is the number of forward passes."""

    views: ViewSet
    way: Way
    on_val: Altered

    @property
    def n_passes(self) -> int:
        return round(self.on_val.strength)

    @property
    def name(self) -> str:
        return f"{self.views} by {WORDS[self.way]}"


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """Accuracies are shares of val and of test, passes are those of a picture."""
    sets = view_sets(subject.data.mean, settings.degrees, settings.scales, settings.crop_percent)
    plain, tried = _on_val(subject, {name: sets[name] for name in settings.sets}, settings.ways)
    best = max(sorted(tried, key=lambda t: t.n_passes), key=lambda t: t.on_val.accuracy)  # the first of equals
    chosen = best if best.on_val.accuracy > plain.accuracy else None
    on_test = _on_test(subject, chosen, sets)
    passed, limit = judged(on_test.change, settings.min_gain, "gain in test accuracy")
    as_is = subject.recognized()
    return Finding(
        name="tta",
        question=QUESTION,
        numbers=_numbers(plain, tried, altered(1, as_is, as_is, is_altered=False), on_test),
        passed=passed,
        limit=limit,
        reading=_reading(plain, tried, best, chosen, float(as_is.mean()), on_test),
        remedy=_remedy(chosen, on_test, passed),
        figure=tta_figure(
            [Average(t.views, WORDS[t.way], t.n_passes, t.on_val.accuracy, t == chosen) for t in tried],
            plain, f"{subject.name}: answers averaged over views\n{_outcome(chosen, float(as_is.mean()), on_test)}",
        ),
    )  # fmt: skip


def _on_val(
    subject: ProbeSubject, sets: dict[ViewSet, dict[str, View]], ways: Sequence[Way]
) -> tuple[Altered, list[Tried]]:
    """The pictures as they are, and every set averaged in every way; a view that sets share runs once."""
    data = subject.data
    views = {name: view for of_set in sets.values() for name, view in of_set.items()}
    answers = answers_to_views(_answer(subject), _pictures(subject, data.val), list(views.values()))
    row = {name: place for place, name in enumerate(views)}
    as_is = _right(answers[0].exp(), data.val)
    tried = []
    for name, of_set in sets.items():
        own = answers[[row[view] for view in of_set]]
        for way in ways:
            point = altered(len(of_set), _right(averaged(own, way), data.val), as_is)
            tried.append(Tried(name, way, point))
    return altered(1, as_is, as_is, is_altered=False), tried


def _on_test(subject: ProbeSubject, chosen: Tried | None, sets: dict[ViewSet, dict[str, View]]) -> Altered:
    """What val chose, beside the pictures as they are."""
    data, as_is = subject.data, subject.recognized()
    if chosen is None:
        return altered(1, as_is, as_is, is_altered=False)
    views, pictures = list(sets[chosen.views].values()), _pictures(subject, data.test)
    probabilities = augmented_probabilities(_answer(subject), pictures, views, chosen.way)
    return altered(len(views), _right(probabilities, data.test), as_is)


def _answer(subject: ProbeSubject) -> Answer:
    return partial(log_probabilities, subject.model, data=subject.data)


def _pictures(subject: ProbeSubject, split: Split) -> Iterator[torch.Tensor]:
    device = next((p.device for p in subject.model.parameters()), torch.device("cpu"))
    return (images.to(device) for images, _ in in_order(split, BATCH_SIZE))


def _right(probabilities: torch.Tensor, split: Split) -> np.ndarray:
    """Which pictures are recognized, (N,) bool."""
    return probabilities.argmax(dim=1).numpy() == split.labels


def _numbers(plain: Altered, tried: Sequence[Tried], test_plain: Altered, on_test: Altered) -> dict[str, float]:
    return (
        {"val_accuracy_plain": plain.accuracy}
        | {f"val_accuracy_{t.views}_{t.way}": t.on_val.accuracy for t in tried}
        | {f"passes_{t.views}": t.on_val.strength for t in tried}
        | {"passes_chosen": on_test.strength}
        | _accuracy("test_accuracy_plain", test_plain)
        | _accuracy("test_accuracy_chosen", on_test)
        | {"test_gain": on_test.change, "test_p": on_test.p}
    )


def _accuracy(name: str, point: Altered) -> dict[str, float]:
    return {name: point.accuracy, f"{name}_low": point.low, f"{name}_high": point.high}


def _reading(
    plain: Altered, tried: Sequence[Tried], best: Tried, chosen: Tried | None, as_is: float, on_test: Altered
) -> str:
    if chosen is None:
        return (
            f"of {len(tried)} averages none is more accurate on val than the pictures as they are "
            f"({plain.accuracy:.3f}; the best, {best.name}, {best.on_val.accuracy:.3f} for {best.n_passes} times the "
            f"forward passes): the answers are left plain, at {as_is:.3f} on test"
        )
    verdict = "beyond chance" if on_test.p < LEVEL else "within chance"
    reading = (
        f"of {len(tried)} averages val chooses {chosen.name} ({chosen.on_val.accuracy:.3f}, and {plain.accuracy:.3f} "
        f"as the pictures are); on test, accuracy goes from {as_is:.3f} to {on_test.accuracy:.3f} "
        f"({on_test.change:+.3f}, {verdict}, p = {on_test.p:.2g}) for {chosen.n_passes} times the forward passes"
    )
    return reading if on_test.p < LEVEL else f"{reading}, which nothing shows to be worth it"


def _outcome(chosen: Tried | None, as_is: float, on_test: Altered) -> str:
    """What test says of what is chosen on val, for the figure."""
    if chosen is None:
        return f"none chosen: {100 * as_is:.1f} % on test as they are"
    before, after = 100 * as_is, 100 * on_test.accuracy
    return f"the chosen on test: {before:.1f} % as they are, {after:.1f} % averaged (p = {on_test.p:.2g})"


def _remedy(chosen: Tried | None, on_test: Altered, passed: bool | None) -> str | None:
    if on_test.p < LEVEL and on_test.change < 0:
        return "answer the pictures as they are, and look into how val's pictures differ from test's"
    if passed is False:
        return "answer the pictures as they are: averaging gains less than is asked of it"
    if chosen is None or on_test.p >= LEVEL:
        return None
    return (
        f"where {chosen.n_passes} times the forward passes can be paid, answer by {chosen.name}; or train with more "
        "of such views, which costs nothing in use"
    )
