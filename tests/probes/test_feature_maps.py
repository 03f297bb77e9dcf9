"""Units that say the same whatever they are shown are counted, whichever layer they are in."""

import numpy as np
import pytest
import torch
from torch import nn

from pawprint.inspection.feature_maps import near_constant
from pawprint.probes import ProbeSubject
from pawprint.probes.feature_maps import Settings, run
from pawprint.types import Data, Finding


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


def found(data: Data, model: nn.Module) -> Finding:
    return run(ProbeSubject("subject", data, model), Settings())


def test_a_network_that_varies_has_no_constant_units(data: Data) -> None:
    finding = found(data, network())
    assert finding.numbers["near_constant_share_worst"] == 0
    assert finding.figure is not None
    assert finding.passed is None


@pytest.mark.parametrize("bias", [0.0, 40.0])
def test_silent_and_saturated_channels_are_counted_in_their_layer(data: Data, bias: float) -> None:
    model = network()
    with torch.no_grad():
        model[3].weight[2:5] = 0
        model[3].bias[2:5] = bias
    numbers = found(data, model).numbers
    assert numbers["near_constant_share_layer 4"] == 3 / 8
    assert numbers["near_constant_share_worst"] == 3 / 8


def test_of_a_network_without_maps_the_hidden_units_are_looked_at(data: Data) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 10), nn.ReLU(), nn.Linear(10, 3))
    with torch.no_grad():
        model[1].bias[:4] = -1e3
    finding = found(data, model)
    assert finding.numbers["near_constant_share_layer 2"] >= 0.4
    assert finding.figure is not None


def test_a_network_of_one_layer_has_nothing_between(data: Data) -> None:
    finding = found(data, nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 3)))
    assert (finding.numbers, finding.figure) == ({}, None)


def test_a_diverged_network_is_said_to_be(data: Data) -> None:
    model = network()
    with torch.no_grad():
        model[0].weight.fill_(np.nan)
    assert "diverged" in found(data, model).reading


def test_a_layer_that_is_constant_as_a_whole_has_only_constant_units() -> None:
    assert near_constant(torch.full((5, 4, 3, 3), 2.0)).all()
    assert not near_constant(torch.randn(5, 4)).any()
