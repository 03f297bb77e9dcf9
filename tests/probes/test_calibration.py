"""Models whose probabilities are true pass; with inflated logits they are flagged, and a temperature mends them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pawprint.probes import ProbeSubject
from pawprint.probes.calibration import Settings, at_temperature, calibration_error, error_by_chance, run
from pawprint.types import Data, Finding, RunSpec, Split

N = 1500
LABEL_NOISE = 0.3  # of the pictures has a random label


class ByLevel(nn.Module):
    """Sees a picture's level and says by how much its label may be believed, times `sharpness`."""

    def __init__(self, sharpness: float = 1.0) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(sharpness))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        level = ((images.mean(dim=(1, 2, 3)) * 0.3 + 0.4) * 255 / 100).round().long()  # 0, 1, 2
        other = LABEL_NOISE / 3
        probabilities = torch.full((len(images), 3), other).scatter(1, level[:, None], 1 - 2 * other)
        return probabilities.log() * self.sharpness


@pytest.fixture
def noisy(data: Data) -> Data:
    """Pictures of three levels; LABEL_NOISE of the labels are drawn at random, so no one can be surer than 80 %."""
    draws = np.random.default_rng(0)

    def split(n: int) -> Split:
        levels = draws.integers(0, 3, n)
        labels = np.where(draws.random(n) < LABEL_NOISE, draws.integers(0, 3, n), levels).astype(np.int64)
        images = np.broadcast_to((100 * levels[:, None, None, None]).astype(np.uint8), (n, 12, 12, 3))
        return Split([str(i) for i in range(n)], np.array(images), labels)

    return replace(data, val=split(N), test=split(N))


@pytest.fixture
def measure(noisy: Data, spec: RunSpec) -> Callable[[float], Finding]:
    return lambda sharpness: run(ProbeSubject(spec.name, noisy, ByLevel(sharpness)), Settings())


def test_true_probabilities_pass(measure: Callable[[float], Finding]) -> None:
    finding = measure(1.0)
    assert finding.passed, finding.reading
    assert finding.numbers["ece"] < 0.03
    assert finding.numbers["temperature"] == pytest.approx(1.0, abs=0.1)
    assert finding.remedy is None
    assert finding.figure is not None


def test_logits_times_10_are_over_confident_by_what_they_claim(measure: Callable[[float], Finding]) -> None:
    finding, calibrated = measure(10.0), measure(1.0)
    assert finding.passed is False
    assert finding.numbers["ece"] == pytest.approx(0.2, abs=0.03)  # sure at 1, right at 0.8
    assert finding.numbers["overconfidence"] == pytest.approx(finding.numbers["ece"], abs=1e-4)
    assert finding.numbers["accuracy"] == calibrated.numbers["accuracy"]
    assert finding.numbers["temperature"] == pytest.approx(10 * calibrated.numbers["temperature"], rel=0.02)
    assert finding.numbers["ece_scaled"] == pytest.approx(calibrated.numbers["ece_scaled"], abs=2e-3)
    assert "over-confident by 0.19" in finding.reading
    assert finding.remedy
    assert finding.remedy.startswith("divide the logits by ")


def test_flattened_logits_are_under_confident(measure: Callable[[float], Finding]) -> None:
    finding = measure(0.3)
    assert finding.passed is False
    assert finding.numbers["overconfidence"] < -0.2
    assert finding.numbers["temperature"] < 0.5
    assert "under-confident" in finding.reading
    assert finding.remedy
    assert "more epochs" in finding.remedy


def test_few_pictures_are_not_blamed_for_their_luck(noisy: Data, spec: RunSpec) -> None:
    """ECE is above the limit by chance on 20 pictures, even for true probabilities."""
    passed, ece = [], []
    for start in range(0, 400, 20):
        rows = slice(start, start + 20)
        few = Split(noisy.test.names[rows], noisy.test.images[rows], noisy.test.labels[rows])
        finding = run(ProbeSubject(spec.name, replace(noisy, test=few), ByLevel()), Settings())
        passed.append(finding.passed)
        ece.append(finding.numbers["ece"])
    assert np.mean(np.array(ece) > 0.05) > 0.3
    assert sum(passed) >= 18


def test_the_error_is_that_of_the_definition() -> None:
    draws = np.random.default_rng(3)
    probabilities = draws.dirichlet((0.5,) * 4, 300).astype(np.float32)
    labels = draws.integers(0, 4, 300)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    slow = 0.0
    for k in range(10):
        inside = (confidence > k / 10) & (confidence <= (k + 1) / 10)
        if inside.any():
            slow += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(probabilities, labels, 10) == pytest.approx(slow, abs=1e-6)


def test_chance_shrinks_with_the_pictures_and_is_the_same_each_time() -> None:
    confidence = np.full(2000, 0.8, dtype=np.float32)
    few, many = error_by_chance(confidence[:50], 15, 400), error_by_chance(confidence, 15, 400)
    assert many == pytest.approx(1.96 * np.sqrt(0.16 / 2000), rel=0.15)  # one bin: |a mean of 2000 draws - 0.8|
    assert few > 4 * many
    assert many == error_by_chance(confidence, 15, 400)


def test_a_temperature_of_1_changes_nothing_and_no_temperature_a_prediction() -> None:
    probabilities = np.random.default_rng(0).dirichlet((1.0,) * 5, 50).astype(np.float32)
    assert at_temperature(probabilities, 1.0) == pytest.approx(probabilities, abs=1e-6)
    assert (at_temperature(probabilities, 4.0).argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_a_diverged_model_gets_no_verdict(noisy: Data, spec: RunSpec) -> None:
    finding = run(ProbeSubject(spec.name, noisy, ByLevel(float("nan"))), Settings())
    assert finding.passed is None
    assert "not finite" in finding.reading
