from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pawprint.probes import ProbeSubject
from pawprint.probes.brightness import Settings, run
from pawprint.types import Data, RunSpec


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


def test_a_model_that_reads_brightness_loses_in_the_dark(data: Data, spec: RunSpec) -> None:
    finding = run(ProbeSubject(spec, data, ByBrightness()), Settings())
    assert finding.numbers["accuracy_1"] == 1.0
    assert finding.numbers["accuracy_0.2"] == pytest.approx(1 / 3, abs=0.01)
    assert finding.remedy
    assert finding.figure is not None


def test_a_model_that_reads_ratios_loses_nothing(data: Data, spec: RunSpec) -> None:
    images = np.full((30, 12, 12, 3), 100, dtype=np.uint8)
    for row, label in enumerate(data.test.labels):
        images[row, :, :6] = (33, 100, 240)[label]
    twin = replace(data, test=replace(data.test, images=images))
    finding = run(ProbeSubject(spec, twin, ByContrast()), Settings())
    assert finding.numbers["accuracy_0.2"] == finding.numbers["accuracy_1"] == 1.0
    assert finding.remedy is None


def test_measuring_changes_neither_weights_nor_random_state(data: Data, spec: RunSpec) -> None:
    model = ByBrightness()
    before, state = model.levels.clone(), torch.get_rng_state()
    run(ProbeSubject(spec, data, model), Settings())
    assert torch.equal(before, model.levels)
    assert torch.equal(state, torch.get_rng_state())
