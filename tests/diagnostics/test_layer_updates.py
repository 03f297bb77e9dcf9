"""How far a step moves each layer, against weights that are known."""

import math

import pytest
import torch
from torch import nn

from pawprint.diagnostics.layer_updates import layer_updates
from pawprint.diagnostics.layers import change, copied, layers, weights


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.BatchNorm1d(1), nn.Linear(1, 1, bias=False))


def test_layers_are_what_has_parameters_of_its_own_in_the_models_order() -> None:
    assert list(layers(model())) == ["0", "2", "3"]
    assert list(layers(nn.Sequential(model()))) == ["0.0", "0.2", "0.3"]


def test_a_ratio_is_the_norm_of_the_change_by_the_norm_of_what_was_there_before() -> None:
    net = model()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[3.0, 4.0]]))
        net[0].bias.fill_(12.0)  # 13 together
        net[3].weight.fill_(-2.0)
        before = copied(weights(net))
        net[0].weight += torch.tensor([[0.3, 0.0]])
        net[0].bias -= 0.4
        net[2].weight *= 1.01
    ratios = layer_updates(before, change(before, weights(net)))
    assert ratios == {
        "update_ratio_of_layer_0": pytest.approx(0.5 / 13, rel=1e-5),
        "update_ratio_of_layer_2": pytest.approx(0.01, rel=1e-4),  # its scale was 1, its shift 0
        "update_ratio_of_layer_3": 0.0,
    }


def test_what_is_frozen_is_left_out_and_a_layer_of_zeros_that_moves_is_infinite() -> None:
    net = model()
    net[0].requires_grad_(False)
    nn.init.zeros_(net[3].weight)
    before = copied(weights(net))
    assert layer_updates(before, change(before, weights(net)))["update_ratio_of_layer_3"] == 0
    with torch.no_grad():
        net[3].weight += 1
    ratios = layer_updates(before, change(before, weights(net)))
    assert list(ratios) == ["update_ratio_of_layer_2", "update_ratio_of_layer_3"]
    assert math.isinf(ratios["update_ratio_of_layer_3"])
