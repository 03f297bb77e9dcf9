"""Every mistake is recognized as itself and no other, from statistics and in the pipeline; right is right."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pawprint.data.batches import standardize, unit_range
from pawprint.models import build_model
from pawprint.probes import ProbeSubject
from pawprint.probes.normalization import (
    CIFAR10,
    IMAGENET,
    MEANING,
    Feeding,
    Settings,
    Statistics,
    channel_order,
    distance,
    feedings,
    recognize,
    run,
    statistics_of,
)
from pawprint.types import Data, RunSpec, Split

TOLERANCE = 0.01


@pytest.fixture
def colored(data: Data) -> Data:
    """The fixture's pictures with a color cast, and the statistics that its train split has."""
    cast = np.array([1.0, 0.8, 0.5])

    def tint(split: Split) -> Split:
        return replace(split, images=(split.images * cast).astype(np.uint8))

    train = tint(data.train)
    of_train = statistics_of([unit_range(train.images)])
    return replace(data, train=train, val=tint(data.val), test=tint(data.test), mean=of_train.mean, std=of_train.std)


def as_people_feed(images: np.ndarray, mistake: str, data: Data) -> torch.Tensor:
    """Test tensors with each mistake, written as it is written in projects and not as the probe has it."""
    pixels = unit_range(images)
    mean, std = (torch.tensor(v)[:, None, None] for v in (data.mean, data.std))
    return {
        "right": lambda: (pixels - mean) / std,
        "not_normalized": lambda: pixels,
        "normalized_twice": lambda: standardize(standardize(pixels, data), data),
        "imagenet_statistics": lambda: standardize(pixels, replace(data, mean=IMAGENET.mean, std=IMAGENET.std)),
        "cifar10_statistics": lambda: standardize(pixels, replace(data, mean=CIFAR10.mean, std=CIFAR10.std)),
        "half_statistics": lambda: pixels * 2 - 1,
        "range_0_255": lambda: torch.from_numpy(images).permute(0, 3, 1, 2).float(),
        "range_0_255_normalized": lambda: standardize(torch.from_numpy(images).permute(0, 3, 1, 2).float(), data),
        "divided_by_255_twice": lambda: standardize(unit_range(images) / 255, data),
        "channels_swapped": lambda: standardize(unit_range(images[..., ::-1].copy()), data),
        "statistics_swapped": lambda: standardize(pixels, replace(data, mean=data.mean[::-1], std=data.std[::-1])),
    }[mistake]()


MISTAKES = tuple(feedings(IMAGENET))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_recognized_as_itself_and_no_other(colored: Data, mistake: str) -> None:
    fed = statistics_of([as_people_feed(colored.test.images, mistake, colored)])
    raw = statistics_of([unit_range(colored.test.images)])
    found = recognize(fed, raw, Statistics(colored.mean, colored.std), TOLERANCE)
    assert found.name == mistake
    assert found.not_told_apart == ()
    assert found.distance < 1e-4
    assert (found.from_right < TOLERANCE) == (mistake == "right")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_fed_to_measure_the_cost_is_what_the_mistake_feeds(colored: Data, mistake: str) -> None:
    """Through `evaluate`, a model that only remembers its input sees what people's code gives."""
    seen = []

    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.zeros = nn.Parameter(torch.zeros(3))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return self.zeros.expand(len(images), 3)

    run(ProbeSubject("subject", colored, Remembers()), Settings(mistakes=() if mistake == "right" else (mistake,)))
    expected = as_people_feed(colored.test.images, mistake, colored)
    assert torch.allclose(seen[-1], expected, rtol=1e-3, atol=1e-4 * expected.std().item())


def _spec() -> RunSpec:
    return RunSpec(study="test", variant="baseline", run="baseline", seed=0, model="mlp")


def test_statistics_of_no_known_set_are_named_with_their_values(colored: Data) -> None:
    wrong = replace(colored, mean=(0.3, 0.35, 0.4), std=(0.2, 0.15, 0.3))
    finding = run(ProbeSubject("subject", wrong, build_model(_spec(), wrong)), Settings())
    assert finding.passed is False
    assert "other statistics, mean 0.3, 0.35, 0.4 and standard deviation 0.2, 0.15, 0.3" in finding.reading


def test_a_forgotten_division_shows_as_a_standard_deviation_of_1(colored: Data) -> None:
    raw, right = (statistics_of([unit_range(s.images)]) for s in (colored.test, colored.train))
    fed = Statistics(tuple(r - m for r, m in zip(raw.mean, right.mean, strict=True)), raw.std)
    found = recognize(fed, raw, right, TOLERANCE)
    assert found.name == "other_statistics"
    assert found.implied.std == pytest.approx((1, 1, 1))


def test_nonsense_is_unknown(colored: Data) -> None:
    raw = statistics_of([unit_range(colored.test.images)])
    for fed in (Statistics((1e6,) * 3, (3.0,) * 3), Statistics((0.0,) * 3, (0.0,) * 3)):
        assert recognize(fed, raw, raw, TOLERANCE).name == "unknown"


def test_grey_pictures_are_right_and_their_channel_order_not_told(colored: Data) -> None:
    grey = Statistics((0.4,) * 3, (0.2,) * 3)
    fed = Statistics((0.0,) * 3, (1.0,) * 3)
    found = recognize(fed, grey, grey, TOLERANCE)
    assert found.name == "right"
    assert found.not_told_apart == ("channels_swapped",)  # of equal statistics the other order is the same feeding
    one = recognize(Statistics((0.4,), (0.2,)), Statistics((0.4,), (0.2,)), Statistics((0.4,), (0.2,)), TOLERANCE)
    assert one.name == "not_normalized"


def test_imagenets_statistics_are_no_mistake_where_they_are_right(colored: Data) -> None:
    raw = statistics_of([unit_range(colored.test.images)])
    fed = feedings(IMAGENET)["right"].expected(raw)
    assert recognize(fed, raw, IMAGENET, TOLERANCE).name == "right"


def test_pictures_that_were_resized_otherwise_are_still_right(colored: Data) -> None:
    raw = statistics_of([unit_range(colored.test.images)])
    fed = feedings(raw)["right"].expected(raw)
    near = Statistics(tuple(m + 0.01 for m in fed.mean), tuple(1.015 * s for s in fed.std))
    assert recognize(near, raw, raw, tolerance=0.03).name == "right"
    assert distance(near, fed) == pytest.approx(0.0149, abs=1e-3)


# ---- the probe ----------------------------------------------------------------------------------------


class ByLevel(nn.Module):
    """Classifies by the mean of what it is fed: right only as long as that is normalized as in training."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([-1.15, 0.05, 1.25]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return -((images.mean(dim=(1, 2, 3))[:, None] - self.levels) ** 2)


def test_a_right_pipeline_passes_and_mistakes_cost(colored: Data, spec: RunSpec) -> None:
    finding = run(ProbeSubject(spec.name, colored, ByLevel()), Settings())
    assert finding.passed, finding.reading
    assert finding.numbers["accuracy_as_fed"] == finding.numbers["accuracy_right"] == 1.0
    assert finding.numbers["cost_range_0_255"] == pytest.approx(2 / 3)
    assert finding.numbers["cost_not_normalized"] > 0.3
    assert finding.numbers["cost_channels_swapped"] < finding.numbers["cost_range_0_255"]
    assert finding.numbers["fed_mean_0"] == pytest.approx(finding.numbers["right_mean_0"], abs=1e-4)
    assert finding.remedy is None
    assert "as in training: normalized by the statistics of train's own pixels" in finding.reading
    assert len(finding.reading) <= 500


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "pixels in 0 to 1, not normalized"),
        (IMAGENET.mean, IMAGENET.std, "normalized by ImageNet's statistics"),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "normalized by mean 0.5"),
    ],
)
def test_wrong_statistics_in_the_pipeline_are_named_and_their_cost_is_told(
    colored: Data, spec: RunSpec, mean: tuple[float, ...], std: tuple[float, ...], words: str
) -> None:
    wrong = replace(colored, mean=mean, std=std)
    finding = run(ProbeSubject(spec.name, wrong, ByLevel()), Settings())
    assert finding.passed is False
    assert f"test's pictures otherwise: {words}" in finding.reading
    assert finding.numbers["accuracy_right"] == 1.0
    assert finding.numbers["accuracy_as_fed"] < 1.0
    assert "when fed as in training: it costs" in finding.reading
    assert finding.remedy
    assert len(finding.reading) <= 500


def test_a_model_trained_on_the_same_wrong_input_is_told_so(colored: Data, spec: RunSpec) -> None:
    model = ByLevel()
    with torch.no_grad():
        model.levels.copy_(statistics_of([unit_range(colored.train.images)]).mean[1] + 0.2 * model.levels)
    unnormalized = replace(colored, mean=(0.0,) * 3, std=(1.0,) * 3)
    finding = run(ProbeSubject(spec.name, unnormalized, model), Settings())
    assert finding.passed is False
    assert "it gains" in finding.reading
    assert "was trained on the same" in finding.reading


# ---- what training was fed -----------------------------------------------------------------------------


def as_applied(feeding: Feeding) -> Statistics:
    """The statistics to standardize by, for pictures to be fed so."""
    std = tuple(1 / scale for scale in feeding.scale)
    return Statistics(tuple(-shift * s for shift, s in zip(feeding.shift, std, strict=True)), std)


def fed_alike(colored: Data, way: str) -> ProbeSubject:
    """Training and test both fed in one of the ways of `feedings`."""
    by = as_applied(feedings(statistics_of([unit_range(colored.train.images)]))[way])
    return ProbeSubject("subject", replace(colored, mean=by.mean, std=by.std), ByLevel(), right=by)


@pytest.mark.parametrize("way", ["right", "imagenet_statistics", "cifar10_statistics", "half_statistics",
                                 "not_normalized"])  # fmt: skip
def test_a_convention_that_train_and_test_share_is_no_fault(colored: Data, way: str) -> None:
    finding = run(fed_alike(colored, way), Settings())
    assert finding.passed, finding.reading
    assert f"as in training: {MEANING[way]}" in finding.reading
    assert finding.remedy is None
    assert finding.numbers["accuracy_as_fed"] == finding.numbers["accuracy_right"]
    assert f"cost_{way}" not in finding.numbers  # it would cost nothing, being right


@pytest.mark.parametrize("way", ["range_0_255", "range_0_255_normalized", "normalized_twice", "divided_by_255_twice",
                                 "statistics_swapped"])  # fmt: skip
def test_a_mistake_that_train_and_test_share_is_a_fault_that_costs_nothing_here(colored: Data, way: str) -> None:
    finding = run(fed_alike(colored, way), Settings(mistakes=()))
    assert finding.passed is False
    assert f"as in training: {MEANING[way]}" in finding.reading
    assert "training and test agree, so it costs no accuracy here" in finding.reading
    assert finding.numbers["accuracy_as_fed"] == finding.numbers["accuracy_right"]
    assert finding.remedy
    assert "train again" in finding.remedy


def test_statistics_of_their_own_that_train_and_test_share_are_no_fault(colored: Data) -> None:
    by = Statistics((0.3, 0.35, 0.4), (0.2, 0.15, 0.3))
    subject = ProbeSubject("subject", replace(colored, mean=by.mean, std=by.std), ByLevel(), right=by)
    finding = run(subject, Settings(mistakes=()))
    assert finding.passed, finding.reading
    assert "by other statistics, mean 0.3, 0.35, 0.4" in finding.reading


def test_a_test_set_fed_otherwise_than_training_is_named_as_it_stands_to_that(colored: Data) -> None:
    subject = ProbeSubject("subject", colored, ByLevel(), right=IMAGENET)
    finding = run(subject, Settings(mistakes=()))
    assert finding.passed is False
    assert "as in training (normalized by ImageNet's statistics)" in finding.reading
    twice = as_applied(feedings(IMAGENET)["normalized_twice"])
    finding = run(replace(subject, data=replace(colored, mean=twice.mean, std=twice.std)), Settings(mistakes=()))
    assert finding.passed is False
    assert "test's pictures otherwise: normalized twice" in finding.reading


# ---- channel order between train and test ---------------------------------------------------------------


def photographs(n: int, seed: int, cast: float = 0.05) -> Split:
    """Pictures as different in light and color as photographs are, red brighter than blue by `cast` on average."""
    draws = np.random.default_rng(seed)
    light = draws.uniform(0.15, 0.85, (n, 1, 1, 1))
    warmth = draws.normal(cast / 2, 0.06, (n, 1, 1, 1)) * np.array([1.0, 0.1, -1.0])
    images = light + warmth + draws.normal(0, 0.2, (n, 8, 8, 1)) + draws.normal(0, 0.03, (n, 8, 8, 3))
    return Split([f"{i}" for i in range(n)], (255 * images.clip(0, 1)).astype(np.uint8), np.zeros(n, dtype=np.int64))


def in_other_order(split: Split) -> Split:
    return replace(split, images=split.images[..., ::-1])


@pytest.mark.parametrize("cast", [0.0, 0.02, 0.1])
def test_no_draw_of_test_pictures_looks_swapped(cast: float) -> None:
    for seed in range(60):
        n_train, n_test = ((50, 5), (200, 40), (1000, 400))[seed % 3]
        order = channel_order(photographs(n_train, 2 * seed, cast), photographs(n_test, 2 * seed + 1, cast))
        assert not order.is_swapped
        assert order.p > 1e-5


def test_a_test_set_of_other_colors_is_not_swapped() -> None:
    """Grey pictures, and bluer ones than train's, are another data set and no other channel order."""
    for cast in (0.0, -0.02, -0.3):
        assert not channel_order(photographs(1000, 0, 0.1), photographs(1000, 1, cast)).is_swapped


def test_pictures_read_as_bgr_for_test_only_are_caught(colored: Data) -> None:
    order = channel_order(photographs(300, 0), in_other_order(photographs(300, 1)))
    assert order.is_swapped
    assert order.train == pytest.approx(0.05, abs=0.02)
    assert order.test == pytest.approx(-0.05, abs=0.02)


def test_a_swapped_test_set_fails_and_its_cost_is_told(colored: Data) -> None:
    class ByRed(ByLevel):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return -((images[:, 0].mean(dim=(1, 2))[:, None] - self.levels) ** 2)

    cast = np.where(np.arange(1, 1 + len(colored.test)) % 2, 1.0, 0.97)[:, None, None, None]  # some variety
    test = replace(colored.test, images=(colored.test.images * cast).astype(np.uint8))
    model = ByRed()
    healthy = ProbeSubject("subject", replace(colored, test=test), model)
    assert run(healthy, Settings(mistakes=())).passed
    finding = run(replace(healthy, data=replace(colored, test=in_other_order(test))), Settings())
    assert finding.passed is False
    assert "red and blue swapped against train's" in finding.reading
    assert finding.numbers["accuracy_right"] == run(healthy, Settings()).numbers["accuracy_as_fed"]
    assert finding.numbers["accuracy_as_fed"] == finding.numbers["accuracy_channels_swapped"]
    assert finding.numbers["accuracy_as_fed"] < finding.numbers["accuracy_right"]
    assert finding.remedy
    assert "one decoder" in finding.remedy
