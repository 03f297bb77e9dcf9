"""Which part of a picture do right and wrong answers rest on?

Method: Grad-CAM for the class that is answered, or input gradients where the network has no convolution
(inspection/evidence.py), of `n_pictures` test pictures that are recognized and as many that are not, each evenly spaced
over the test set's order. Of each map the share of its mass inside the central half of height and width, where a map
that is even all over has a quarter. Right and wrong answers are compared by Welch's interval at 95 % (1947, Biometrika
34:28). The figure shows the first of both kinds: the map for the answer, and the map for the true class where the
answer is wrong, for the second likeliest where it is right.

A measurement: where the thing to recognize stands in the middle, as data sets are often framed, answers that rest on
the margin rest on the background (Ribeiro et al., arXiv 1602.04938, snow behind huskies). Elsewhere the share means
little by itself. A map that is empty, as no gradient of the class is positive anywhere, has no share and is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from matplotlib.figure import Figure
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated
from scipy.stats import ttest_ind

from pawprint.figures.evidence import Seen, evidence_figure
from pawprint.inspection.evidence import Evidence, NoGradient, central_share, evidence, last_maps
from pawprint.inspection.layers import Call, calls_of, evenly
from pawprint.probes import ProbeSubject
from pawprint.types import STRICT, Finding

QUESTION = "Which part of a picture do right and wrong answers rest on?"
N_SHOWN = 4  # pictures of either kind
VARIES = 1e-6  # shares that differ by less are the same: nothing to take a deviation of


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    n_pictures: Annotated[int, Field(ge=N_SHOWN, le=128)] = 24  # right ones at most, and wrong ones


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """Two backward passes for some pictures, beside the answers that all probes share."""
    if not np.isfinite(subject.unaltered.probabilities).all():
        return _finding({}, "the network's answers are not finite: the training diverged")
    is_right = subject.recognized()
    rows = {kind: evenly(np.flatnonzero(chosen).tolist(), settings.n_pictures)
            for kind, chosen in (("right", is_right), ("wrong", ~is_right))}  # fmt: skip
    calls = calls_of(subject.model, subject.fed([0]))
    answers = np.argsort(-subject.unaltered.probabilities, axis=1, kind="stable")
    try:
        maps = {kind: _evidence(subject, calls, of, answers[:, 0]) for kind, of in rows.items() if of}
        figure = _figure(subject, calls, {kind: evenly(of, N_SHOWN) for kind, of in rows.items()}, answers)
    except NoGradient as error:
        return _finding({}, str(error))
    shares = {kind: central_share(found.maps).numpy() for kind, found in maps.items()}
    numbers = _numbers(shares)
    return _finding(numbers, _reading(numbers, next(iter(maps.values()))), figure)


def _evidence(subject: ProbeSubject, calls: Sequence[Call], rows: Sequence[int], classes: np.ndarray) -> Evidence:
    """Of these test pictures, for the class that `classes` (N,) has for each picture of the test set."""
    images = subject.fed(rows)
    return evidence(subject.model, images, torch.from_numpy(classes[list(rows)]).to(images.device), calls)


def _numbers(shares: dict[str, np.ndarray]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    found = {kind: share[np.isfinite(share)] for kind, share in shares.items()}
    for kind, share in shares.items():
        numbers |= {f"n_{kind}": len(share), f"n_{kind}_empty": len(share) - len(found[kind])}
        if len(found[kind]):
            numbers[f"central_share_{kind}"] = float(found[kind].mean())
    if len(found) == 2 and all(len(share) > 1 and np.ptp(share) > VARIES for share in found.values()):
        interval = ttest_ind(found["right"], found["wrong"], equal_var=False).confidence_interval(0.95)
        numbers |= {"right_minus_wrong_low": float(interval.low), "right_minus_wrong_high": float(interval.high)}
    return numbers


def _reading(numbers: dict[str, float], made: Evidence) -> str:
    shares = [
        f"{100 * numbers[f'central_share_{kind}']:.0f} % of what {numbers[f'n_{kind}']:.0f} {kind} answers rest on"
        for kind in ("right", "wrong")
        if f"central_share_{kind}" in numbers
    ]
    empty = sum(numbers.get(f"n_{kind}_empty", 0) for kind in ("right", "wrong"))
    if not shares:
        return f"by {made.words}: all maps are empty"
    counted = f"; {empty:.0f} maps are empty" if empty else ""
    reading = (
        f"in the central half of height and width (even: 25 %) lies {' and '.join(shares)}, by {made.words}{counted}"
    )
    if "right_minus_wrong_low" not in numbers:
        return reading
    low, high = (100 * numbers[f"right_minus_wrong_{end}"] for end in ("low", "high"))
    apart = "right ones rest more on the middle" if low > 0 else "wrong ones do" if high < 0 else "within chance"
    return f"{reading}; right less wrong: {low:.0f} to {high:.0f} points, {apart}"


def _figure(subject: ProbeSubject, calls: Sequence[Call], rows: dict[str, list[int]], answers: np.ndarray) -> Figure:
    """`rows`: kind of answer → pictures; `answers` (N, K): classes, the likeliest first."""
    labels = subject.data.test.labels
    other = np.where(answers[:, 0] == labels, answers[:, min(1, answers.shape[1] - 1)], labels)
    headings = {
        "right": "right: the answer, and the second likeliest",
        "wrong": "wrong: the answer, and the true class",
    }
    groups, is_coarse = [], last_maps(calls) is not None
    for kind, of in rows.items():
        if of:
            maps = [_evidence(subject, calls, of, classes).maps.numpy() for classes in (answers[:, 0], other)]
            pairs = [(answers[row, 0], other[row]) for row in of]
            seen = [_seen(subject, *each) for each in zip(of, pairs, *maps, strict=True)]
            groups.append((headings[kind], seen))
    return evidence_figure(groups, f"{subject.name}: where answers rest", is_coarse)


def _seen(
    subject: ProbeSubject, row: int, classes: tuple[int, int], of_answer: np.ndarray, of_other: np.ndarray
) -> Seen:
    test, probabilities = subject.data.test, subject.unaltered.probabilities[row]
    titles = [f"{_name(subject, k)}\n{100 * probabilities[k]:.1f} %" for k in classes]
    maps = list(zip(titles, (of_answer, of_other), strict=True))
    return Seen(test.images[row], f"{_name(subject, int(test.labels[row]))}\n{test.names[row]}", maps)


def _name(subject: ProbeSubject, label: int) -> str:
    """Of a class; a head that is too wide answers with classes that have none."""
    names = subject.data.class_names
    return names[label] if label < len(names) else f"output {label}"


def _finding(numbers: dict[str, float], reading: str, figure: Figure | None = None) -> Finding:
    return Finding("grad_cam", QUESTION, numbers, None, "none: a measurement", reading, figure=figure)
