"""Filters of stripes are told from filters of noise, and filters that are not used from those that are."""

import numpy as np
import pytest
import torch
from torch import nn

from pawprint.probes import ProbeSubject
from pawprint.probes.filters import Settings, run
from pawprint.types import Data, Finding


def found(data: Data, weights: np.ndarray | None = None) -> Finding:
    """Of a network whose first layer has these weights (16, 3, 5, 5)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))
    if weights is not None:
        with torch.no_grad():
            model[0].weight.copy_(torch.from_numpy(weights))
    return run(ProbeSubject("subject", data, model), Settings())


def stripes() -> np.ndarray:
    y, x = np.mgrid[:5, :5]
    waves = [np.sin(0.5 * (x * np.cos(angle) + y * np.sin(angle))) for angle in np.linspace(0, np.pi, 16)]
    return np.stack(waves)[:, None].repeat(3, axis=1)


def test_untrained_filters_are_noise(data: Data) -> None:
    assert found(data).numbers["roughness_median"] == pytest.approx(1, abs=0.15)


def test_stripes_are_not(data: Data) -> None:
    finding = found(data, stripes())
    assert finding.numbers["roughness_median"] < 0.3
    assert finding.numbers["near_zero_share"] == 0
    assert finding.passed is None
    assert finding.figure is not None


def test_filters_near_zero_are_counted(data: Data) -> None:
    weights = stripes()
    weights[3:7] *= 0.05
    assert found(data, weights).numbers["near_zero_share"] == 4 / 16
    assert "4 of the 16 filters of layer 0 are near zero" in found(data, weights).reading


def test_weights_that_are_not_finite_are_said_to_be(data: Data) -> None:
    finding = found(data, np.full((16, 3, 5, 5), np.nan))
    assert finding.numbers == {}
    assert "diverged" in finding.reading


def test_a_network_that_sees_no_pixels_is_not_measured(data: Data) -> None:
    model = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
    finding = run(ProbeSubject("subject", data, model), Settings())
    assert (finding.numbers, finding.figure) == ({}, None)
