"""A model that reads brightness loses in the dark, one that reads ratios does not, and the reading says which."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pawprint.probes import ProbeSubject
from pawprint.probes.brightness import Settings, run
from pawprint.types import Data, RunSpec, Split


class ByBrightness(nn.Module):
    """Classifies the fixture's pictures by their mean pixel: perfect at full brightness, lost in the dark."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([0.11, 0.43, 0.74]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.mean(dim=(1, 2, 3)) * 0.3 + 0.4
        return -((pixels[:, None] - self.levels) ** 2) * 100


class ByContrast(nn.Module):
    """Classifies by a ratio of pixels, which a factor leaves as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(100.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images * 0.3 + 0.4
        ratio = pixels[..., :6].mean(dim=(1, 2, 3)) / pixels.mean(dim=(1, 2, 3))
        levels = torch.tensor([0.5, 1.0, 1.5])
        return -((ratio[:, None] - levels) ** 2) * self.scale


@pytest.fixture
def many(data: Data) -> Data:
    """The fixture's pictures, ten times: thirty are few for a loss beyond chance."""
    test = data.test
    names = [f"{i}" for i in range(10 * len(test))]
    return replace(data, test=Split(names, np.tile(test.images, (10, 1, 1, 1)), np.tile(test.labels, 10)))


def test_a_model_that_reads_brightness_loses_in_the_dark(many: Data, spec: RunSpec) -> None:
    finding = run(ProbeSubject(spec.name, many, ByBrightness()), Settings())
    numbers = finding.numbers
    assert numbers["accuracy_1"] == 1.0
    assert numbers["accuracy_0.2"] == pytest.approx(1 / 3, abs=0.01)
    assert numbers["accuracy_1_low"] == pytest.approx(0.987, abs=1e-3)  # Wilson, 300 of 300
    steps = [numbers[f"drop_{a}_to_{b}"] for a, b in (("1", "0.8"), ("0.8", "0.6"), ("0.6", "0.4"), ("0.4", "0.2"))]
    assert sum(steps) == pytest.approx(numbers["accuracy_1"] - numbers["accuracy_0.2"])
    accuracies = [numbers[f"accuracy_{factor}"] for factor in ("0.2", "0.4", "0.6", "0.8", "1")]
    assert numbers["area"] == pytest.approx((sum(accuracies) - (accuracies[0] + accuracies[-1]) / 2) / 4)
    assert finding.passed is None
    assert "to 0.333 (a guess between the classes) at factor 0.6" in finding.reading
    assert f"largest step down, {max(steps):.3f}" in finding.reading
    assert finding.remedy
    assert "varied brightness" in finding.remedy
    assert finding.figure is not None


def test_a_model_that_reads_ratios_loses_nothing(data: Data, spec: RunSpec) -> None:
    images = np.full((30, 12, 12, 3), 100, dtype=np.uint8)
    for row, label in enumerate(data.test.labels):
        images[row, :, :6] = (33, 100, 240)[label]
    twin = replace(data, test=replace(data.test, images=images))
    finding = run(ProbeSubject(spec.name, twin, ByContrast()), Settings())
    assert finding.numbers["accuracy_0.2"] == finding.numbers["accuracy_1"] == finding.numbers["area"] == 1.0
    assert finding.reading.startswith("flat: ")
    assert finding.remedy is None


def test_a_loss_within_chance_is_no_loss(data: Data, spec: RunSpec) -> None:
    rows = slice(0, 3)
    few = Split(data.test.names[rows], data.test.images[rows], data.test.labels[rows])
    finding = run(ProbeSubject(spec.name, replace(data, test=few), ByBrightness()), Settings())
    assert finding.numbers["accuracy_0.2"] < 1
    assert finding.remedy is None
    assert "beyond chance" in finding.reading


def test_darker_is_held_against_full_brightness_where_that_is_not_listed(many: Data, spec: RunSpec) -> None:
    finding = run(ProbeSubject(spec.name, many, ByBrightness()), Settings(factors=(0.2, 0.4)))
    assert "accuracy_1" not in finding.numbers
    assert "falls from 1.000" in finding.reading
    assert "at 2 of 2 factors" in finding.reading


def test_a_least_area_makes_it_a_verdict(many: Data, spec: RunSpec) -> None:
    subject = ProbeSubject(spec.name, many, ByBrightness())
    area = run(subject, Settings()).numbers["area"]
    assert run(subject, Settings(min_area=area + 0.01)).passed is False
    assert run(subject, Settings(min_area=area - 0.01)).passed is True


@pytest.mark.parametrize("settings", [{"factors": (1.0,)}, {"factors": (0.5, 1.5)}, {"factors": (0.5, 0.5)},
                                      {"min_area": 2.0}, {"min_area": "high"}])  # fmt: skip
def test_settings_that_are_none_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)
