"""Val chooses and test reports: what gains by views is given them, what loses is left plain, test has no say."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pawprint.figures.style import png
from pawprint.probes import ProbeSubject
from pawprint.probes.tta import Settings, run
from pawprint.types import Data, Finding, Split

SIDE = 24
LEVELS = (25, 102, 178)  # of the classes, in 8 bits; -1, 0 and 1 once standardized
NOTHING = 255  # the ground that patches lie on
SETS, WAYS = ("flip", "crops", "rotations", "scales", "all"), ("logits", "probabilities", "vote")


class ByLeftPatch(nn.Module):
    """Classifies by the level of a patch on the left; where there is none, it answers the first class, unsure."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([-1.0, 0.0, 1.0]))
        self.passes: Counter[int] = Counter()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.passes[len(images)] += 1
        level = images[:, :, 9:15, 4:7].mean(dim=(1, 2, 3))[:, None]
        return -10 * (level - self.levels) ** 2 * (level < 1.5)


class ByBrighterSide(ByLeftPatch):
    """Knows left from right, or says that there is nothing: a mirror misleads it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.passes[len(images)] += 1
        left, right = images[..., :12].mean(dim=(1, 2, 3)), images[..., 12:].mean(dim=(1, 2, 3))
        return 10 * torch.stack([left - right, right - left, torch.full_like(left, 0.1)], dim=1)


def split(n: int, left: list[int | None], right: list[int | None]) -> Split:
    """Pictures with a patch on the left, on the right or on both; their class is that of the first there is.

    `left` and `right` are gone through again and again, class or None.
    """
    images = np.full((n, SIDE, SIDE, 3), NOTHING, dtype=np.uint8)
    labels = np.zeros(n, dtype=np.int64)
    for row in range(n):
        patches = left[row % len(left)], right[row % len(right)]
        for place, patch in zip((slice(2, 10), slice(14, 22)), patches, strict=True):
            if patch is not None:
                images[row, 7:17, place] = LEVELS[patch]
        labels[row] = next(patch for patch in patches if patch is not None)
    return Split([str(row) for row in range(n)], images, labels)


def either_side(n: int) -> Split:
    """A mirror shows on the left what half of the pictures have on the right."""
    return split(n, [0, 1, 2, None, None, None], [None, None, None, 0, 1, 2])


def left_or_false(n: int) -> Split:
    """A mirror shows on the left what is the patch of another class."""
    return split(n, [0, 2], [2, 0])


def halves(n: int) -> Split:
    """Brighter on the left or on the right."""
    labels = np.arange(n, dtype=np.int64) % 2
    images = np.full((n, SIDE, SIDE, 3), LEVELS[1], dtype=np.uint8)
    images[labels == 0, :, :12] = images[labels == 1, :, 12:] = LEVELS[2]
    return Split([str(row) for row in range(n)], images, labels)


def probe(data: Data, val: Split, test: Split, model: nn.Module | None = None, **settings: Any) -> Finding:
    own = replace(data, val=val, test=test, image_shape=(3, SIDE, SIDE))
    return run(ProbeSubject("subject", own, model or ByLeftPatch()), Settings(**settings))


def on_val(finding: Finding) -> dict[str, float]:
    return {name: value for name, value in finding.numbers.items() if name.startswith("val_")}


# ---- what is measured ----------------------------------------------------------------------------------


def test_a_model_that_fails_on_mirrored_pictures_gains_by_flip(data: Data) -> None:
    finding = probe(data, either_side(60), either_side(120))
    numbers = finding.numbers
    assert numbers["val_accuracy_plain"] == numbers["test_accuracy_plain"] == pytest.approx(2 / 3)
    assert numbers["val_accuracy_flip_logits"] == numbers["test_accuracy_chosen"] == 1.0
    assert numbers["test_gain"] == pytest.approx(1 / 3)
    assert numbers["test_p"] == pytest.approx(2 * 0.5**40)  # 40 won, none lost
    assert numbers["passes_chosen"] == 2
    assert numbers["test_accuracy_plain_low"] < 2 / 3 < numbers["test_accuracy_plain_high"]
    assert "val chooses flip by mean of logits (1.000, and 0.667 as the pictures are)" in finding.reading
    assert (
        "goes from 0.667 to 1.000 (+0.333, beyond chance, p = 1.8e-12) for 2 times the forward pass" in finding.reading
    )
    assert finding.passed is None
    assert finding.remedy
    assert "answer by flip by mean of logits" in finding.remedy


def test_of_equals_the_cheapest_is_chosen_and_then_the_first(data: Data) -> None:
    finding = probe(
        data, either_side(60), either_side(60), sets=("all", "rotations", "flip"), ways=("probabilities", "logits")
    )
    assert finding.numbers["val_accuracy_all_logits"] == finding.numbers["val_accuracy_flip_probabilities"] == 1.0
    assert "val chooses flip by mean of probabilities" in finding.reading


def test_a_model_that_views_only_harm_is_left_plain(data: Data) -> None:
    model = ByBrighterSide()
    finding = probe(data, halves(40), halves(60), model)
    numbers = finding.numbers
    assert numbers["val_accuracy_plain"] == numbers["test_accuracy_plain"] == numbers["test_accuracy_chosen"] == 1.0
    assert numbers["val_accuracy_flip_logits"] < 1
    assert (numbers["passes_chosen"], numbers["test_gain"], numbers["test_p"]) == (1, 0, 1)
    assert "the answers are left plain, at 1.000 on test" in finding.reading
    assert finding.remedy is None
    assert model.passes == {40: 11, 60: 1}


def test_a_gain_within_chance_is_said_to_be_so(data: Data) -> None:
    finding = probe(data, either_side(60), either_side(6))
    assert finding.numbers["test_gain"] == pytest.approx(1 / 3)
    assert (
        "within chance, p = 0.5) for 2 times the forward passes, which nothing shows to be worth it" in finding.reading
    )
    assert finding.remedy is None


# ---- test chooses nothing ------------------------------------------------------------------------------


def test_what_val_chooses_is_reported_though_it_harms_on_test(data: Data) -> None:
    finding = probe(data, either_side(60), left_or_false(60))
    assert "val chooses flip by mean of logits" in finding.reading
    assert finding.numbers["test_accuracy_plain"] == 1.0
    assert finding.numbers["test_accuracy_chosen"] == 0.0  # midway between two classes is the third
    assert "(-1.000, beyond chance" in finding.reading
    assert finding.remedy == "answer the pictures as they are, and look into how val's pictures differ from test's"


def test_what_would_gain_on_test_is_not_chosen_for_it(data: Data) -> None:
    model = ByLeftPatch()
    finding = probe(data, left_or_false(60), either_side(90), model)
    assert finding.numbers["test_gain"] == 0
    assert finding.numbers["test_accuracy_chosen"] == pytest.approx(2 / 3)
    assert "left plain, at 0.667 on test" in finding.reading
    assert model.passes == {60: 11, 90: 1}


def test_only_what_was_chosen_runs_on_test(data: Data) -> None:
    model = ByLeftPatch()
    probe(data, either_side(60), either_side(90), model)
    assert model.passes == {60: 11, 90: 1 + 2}


def test_the_numbers_of_val_are_the_same_whatever_test_is(data: Data) -> None:
    one, other = (probe(data, either_side(60), test) for test in (either_side(30), left_or_false(30)))
    assert on_val(one) == on_val(other)
    assert one.numbers["passes_chosen"] == other.numbers["passes_chosen"]


# ---- what is told --------------------------------------------------------------------------------------


def test_every_combination_has_its_accuracy_and_every_set_its_passes(data: Data) -> None:
    finding = probe(data, either_side(60), either_side(60))
    assert set(on_val(finding)) == {"val_accuracy_plain", *(f"val_accuracy_{s}_{w}" for s in SETS for w in WAYS)}
    assert [finding.numbers[f"passes_{views}"] for views in SETS] == [2, 6, 3, 3, 11]
    assert finding.reading.startswith("of 15 averages")


def test_settings_are_what_is_tried(data: Data) -> None:
    model = ByLeftPatch()
    finding = probe(
        data, either_side(60), either_side(30), model,
        sets=("rotations", "scales"), ways=("vote",), degrees=(5.0, 10.0, 15.0), scales=(1.2,),
    )  # fmt: skip
    assert set(on_val(finding)) == {"val_accuracy_plain", "val_accuracy_rotations_vote", "val_accuracy_scales_vote"}
    assert (finding.numbers["passes_rotations"], finding.numbers["passes_scales"]) == (4, 2)
    assert model.passes[60] == 5
    crops = [
        on_val(probe(data, either_side(60), either_side(30), sets=("crops",), crop_percent=p)) for p in (55.0, 95.0)
    ]
    assert crops[0] != crops[1]


def test_the_figure_shows_every_combination_and_rings_the_chosen_one(data: Data) -> None:
    finding = probe(data, either_side(60), either_side(60))
    assert finding.figure is not None
    (axes,) = finding.figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    drawn = {way: lines[words].get_ydata() for way, words in
             zip(WAYS, ("mean of logits", "mean of probabilities", "vote"), strict=True)}  # fmt: skip
    for way, accuracies in drawn.items():
        assert accuracies == pytest.approx([100 * finding.numbers[f"val_accuracy_{views}_{way}"] for views in SETS])
    (ring,) = (line for line in axes.lines if line.get_markersize() > 10)
    assert ring.get_xydata().tolist() == [lines["mean of logits"].get_xydata()[0].tolist()]
    assert {text.get_text() for text in axes.texts} == set(SETS)
    assert axes.get_xscale() == "log"
    assert "the chosen on test: 66.7 % as they are, 100.0 % averaged (p = " in axes.get_title(loc="left")


def test_the_figure_of_what_is_left_plain_rings_nothing(data: Data) -> None:
    once, again = (probe(data, halves(40), halves(40), ByBrighterSide()).figure for _ in range(2))
    assert once is not None
    assert again is not None
    assert not [line for line in once.axes[0].lines if line.get_markersize() > 10]
    assert "none chosen: 100.0 % on test" in once.axes[0].get_title(loc="left")
    assert png(once) == png(again)


def test_a_least_gain_makes_it_a_verdict(data: Data) -> None:
    assert probe(data, either_side(60), either_side(60), min_gain=0.33).passed is True
    failed = probe(data, either_side(60), either_side(60), min_gain=0.34)
    assert failed.passed is False
    assert failed.limit == "gain in test accuracy at least 0.34"
    assert failed.remedy == "answer the pictures as they are: averaging gains less than is asked of it"
    assert probe(data, halves(40), halves(40), ByBrighterSide(), min_gain=0.0).passed is True


def test_a_model_that_diverged_is_left_plain(data: Data) -> None:
    model = ByLeftPatch()
    with torch.no_grad():
        model.levels.fill_(float("nan"))
    finding = probe(data, either_side(60), either_side(60), model)
    assert finding.numbers["passes_chosen"] == 1
    assert all(np.isfinite(value) for value in finding.numbers.values())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sets": ()}, "at least 1 item"),
        ({"sets": ("flips",)}, "'flip', 'crops', 'rotations', 'scales' or 'all'"),
        ({"sets": ("flip", "flip")}, "sets: expected each once"),
        ({"ways": ("vote", "vote")}, "ways: expected each once"),
        ({"ways": ("median",)}, "'logits', 'probabilities' or 'vote'"),
        ({"degrees": (0.0, 10.0)}, "degrees: 0 is the picture as it is, which every set holds: leave it out"),
        ({"degrees": (90.0,)}, "less than or equal to 45"),
        ({"scales": (1.0,)}, "scales: 1 is the picture as it is"),
        ({"scales": (0.0,)}, "greater than or equal to 0.5"),
        ({"crop_percent": 100.0}, "less than 100"),
        ({"min_gain": 2.0}, "less than or equal to 1"),
    ],
)
def test_views_that_are_none_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings(**settings)
