"""The multi-layer perceptron: its layers, where it is normalized, and how its weights are drawn."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from pawprint.models.mlp import ACTIVATIONS, build
from pawprint.types import RunSpec

SHAPE = (1, 28, 28)


def linear_layers(spec: RunSpec, **settings: Any) -> list[nn.Linear]:
    torch.manual_seed(0)
    model = build(replace(spec, mlp_widths=(128, 56), **settings), 10, SHAPE)
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


def test_the_lab_reports_network_is_784_128_56_10(spec: RunSpec) -> None:
    layers = linear_layers(spec)
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(784, 128), (128, 56), (56, 10)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_activation_stands_between_layers_and_not_after_the_last(spec: RunSpec, activation: str) -> None:
    model = build(replace(spec, mlp_widths=(5, 4), mlp_activation=activation), 3, SHAPE)
    kinds = [type(layer) for layer in model]
    expected = type(ACTIVATIONS[activation]())
    assert kinds == [nn.Flatten, nn.Linear, expected, nn.Linear, expected, nn.Linear]


@pytest.mark.parametrize("where", [(), (1,), (3,), (1, 2, 3)])
def test_layer_norm_stands_where_it_is_asked_for(spec: RunSpec, where: tuple[int, ...]) -> None:
    model = build(replace(spec, mlp_widths=(128, 56, 32), mlp_layer_norm=where), 10, SHAPE)
    found = [layer.normalized_shape for layer in model if isinstance(layer, nn.LayerNorm)]
    assert found == [((128, 56, 32)[number - 1],) for number in where]
    layers = list(model)
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.LayerNorm):
            assert isinstance(layers[number - 1], nn.Linear)
            assert isinstance(layers[number + 1], nn.ReLU)


@pytest.mark.parametrize(("init", "deviation"), [
    ("default", lambda n_in, n_out: 1 / math.sqrt(3 * n_in)),
    ("gaussian", lambda n_in, n_out: 0.01),
    ("xavier", lambda n_in, n_out: math.sqrt(2 / (n_in + n_out))),
    ("he", lambda n_in, n_out: math.sqrt(2 / n_in)),
])  # fmt: skip
def test_weights_scatter_as_their_formula_says(spec: RunSpec, init: str, deviation: Any) -> None:
    for layer in linear_layers(spec, mlp_init=init):
        n = layer.weight.numel()
        expected = deviation(layer.in_features, layer.out_features)
        assert layer.weight.std().item() == pytest.approx(expected, rel=4 / math.sqrt(n))
        assert abs(layer.weight.mean().item()) < 4 * expected / math.sqrt(n)


def test_biases_are_torchs_own_however_weights_are_drawn(spec: RunSpec) -> None:
    default = [layer.bias.tolist() for layer in linear_layers(spec)]
    for init in ("gaussian", "xavier", "he"):
        assert [layer.bias.tolist() for layer in linear_layers(spec, mlp_init=init)] == default
