"""Learning from unlabelled pictures: yes, no, and cannot tell, from made-up runs."""

import numpy as np
import pandas as pd
import pytest

from pawprint.comparison import Verdict
from pawprint.report.readings.unlabelled import of_last_part, shares_of_classes, unlabelled
from pawprint.types import CLASS_COUNTS
from tests.report.readings.made import held

CLASSES = ("cat", "dog", "pug", "fox")


def steps(mask_rate: float, accuracy: float = 0.95, n: int = 100) -> pd.DataFrame:
    """The shares that are asked for in the last fifth of the steps; before it, others."""
    at = np.arange(1, n + 1)
    late = at > 0.8 * n
    part = pd.DataFrame({
        "step": at,
        "mask_rate": np.where(late, mask_rate, 1 - mask_rate),
        "pseudo_label_accuracy": np.where(late, accuracy, 0.1),
        "agreement": np.where(late, 0.9, 0.0),
    })  # fmt: skip
    return pd.concat([part.assign(seed=0), part.assign(seed=1, mask_rate=part["mask_rate"].clip(upper=1.0))])


def classes(confident: tuple[int, ...] = (50, 50, 50, 50), n_epochs: int = 10) -> pd.DataFrame:
    """Of each class's pictures that count, nine in ten are right; before the last fifth all are taken for cats."""
    rows = []
    for seed in (0, 1):
        for epoch in range(1, n_epochs + 1):
            counts = confident if epoch > 0.8 * n_epochs else (200, 0, 0, 0)
            rows += [(seed, epoch, name, 100, n, n, n * 9 // 10, 80) for name, n in zip(CLASSES, counts, strict=True)]
    return pd.DataFrame(rows, columns=["seed", "epoch", "class", *CLASS_COUNTS])


@pytest.mark.parametrize(
    ("verdict", "change", "mask_rate", "outcome"),
    [
        ("better", 0.1, 0.9, "yes"),
        ("better", 0.1, 0.2, "yes"),  # what helps was tried
        ("worse", -0.1, 0.9, "no"),
        ("worse", -0.1, 0.5, "cannot tell"),
        ("within noise", 0.01, 0.9, "cannot tell"),
        ("within noise", 0.01, 0.1, "cannot tell"),
    ],
)
def test_a_no_needs_pictures_that_counted(verdict: Verdict, change: float, mask_rate: float, outcome: str) -> None:
    reading = unlabelled(held("fixmatch", verdict, change), steps(mask_rate), classes())
    assert reading.outcome == outcome
    assert reading.sentences[0].startswith("fixmatch: it helps: " if outcome == "yes" else "fixmatch: ")
    hardly_tried = "hardly tried" in " ".join(reading.sentences)
    assert hardly_tried == (verdict != "better" and mask_rate <= 0.5)
    assert (reading.remedy is None) == (outcome == "yes")
    assert f"{100 * mask_rate:.0f} % of the unlabelled pictures counted" in reading.sentences[1]


def test_numbers_are_those_of_the_last_fifth() -> None:
    found = of_last_part(steps(0.7, 0.6), ["mask_rate", "pseudo_label_accuracy", "agreement"])
    assert found == pytest.approx({"mask_rate": 0.7, "pseudo_label_accuracy": 0.6, "agreement": 0.9})
    shares = shares_of_classes(classes((10, 20, 30, 0)))
    assert shares["class"].tolist() == list(CLASSES)
    assert shares["share"].tolist() == pytest.approx([1 / 6, 1 / 3, 1 / 2, 0])
    assert shares["accuracy"].tolist() == pytest.approx([0.9, 0.9, 0.9, np.nan], nan_ok=True)


def test_a_class_that_is_preferred_is_named() -> None:
    even = unlabelled(held("fixmatch", "worse", -0.1), steps(0.9), classes())
    assert not any("even share" in sentence for sentence in even.sentences)
    uneven = unlabelled(held("fixmatch", "worse", -0.1), steps(0.9), classes((10, 90, 20, 30)))
    assert "dog was given 2.4 times an even share of the pseudo-labels." in uneven.sentences
    assert uneven.remedy is not None
    assert "more labels of the others" in uneven.remedy


def test_wrong_pseudo_labels_ask_for_more_labels() -> None:
    reading = unlabelled(held("self_training", "worse", -0.1), steps(0.9, accuracy=0.6), classes())
    assert "60 % of their pseudo-labels were right" in reading.sentences[1]
    assert reading.remedy is not None
    assert reading.remedy.startswith("more labels")


def test_labels_that_nobody_knows_are_not_judged() -> None:
    reading = unlabelled(held("fixmatch", "better", 0.1), steps(0.9, accuracy=np.nan), classes())
    assert "whose labels nobody knows" in reading.sentences[1]


def test_nothing_that_counted_is_told_without_a_class() -> None:
    reading = unlabelled(held("fixmatch", "worse", -0.1), steps(0.0), classes((0, 0, 0, 0)))
    assert reading.outcome == "cannot tell"
    assert "0 % of the unlabelled pictures counted; the two views agreed on 90 %." in reading.sentences[1]
