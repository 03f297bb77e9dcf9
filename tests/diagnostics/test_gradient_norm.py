import math

import pytest
import torch

from pawprint.diagnostics.gradient_norm import gradient_norm, gradient_norms, layer_gradients
from pawprint.diagnostics.layers import layers
from pawprint.models import build_model
from pawprint.types import Data, RunSpec


def test_norms_of_known_gradients() -> None:
    model = torch.nn.Linear(2, 1)
    model.weight.grad, model.bias.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([12.0])
    assert gradient_norm(gradient_norms(model)) == {
        "gradient_norm_mean": pytest.approx(8.5),
        "gradient_norm_total": pytest.approx(13),
    }


def test_no_gradient_is_no_number() -> None:
    assert math.isnan(gradient_norm(gradient_norms(torch.nn.Linear(2, 1)))["gradient_norm_mean"])


def test_a_layers_gradients_are_their_root_mean_square_in_the_models_order() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.ReLU(), torch.nn.Linear(1, 1, bias=False))
    model[0].weight.grad, model[0].bias.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([12.0])
    assert layer_gradients(gradient_norms(model)) == {
        "gradient_of_layer_0": pytest.approx((169 / 3) ** 0.5)
    }  # the other has none
    model[2].weight.grad = torch.tensor([[float("inf")]])
    assert list(layer_gradients(gradient_norms(model))) == ["gradient_of_layer_0", "gradient_of_layer_2"]
    assert math.isinf(layer_gradients(gradient_norms(model))["gradient_of_layer_2"])


def test_layers_gradients_are_those_of_the_plain_formula(data: Data, resnet_spec: RunSpec) -> None:
    model = build_model(resnet_spec, data)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) * 1e-3
    measured = layer_gradients(gradient_norms(model))
    for name, layer in layers(model).items():
        values = torch.cat([p.grad.reshape(-1) for p in layer.parameters(recurse=False) if p.grad is not None])
        expected = values.double().square().mean().sqrt().item()
        # The norms are float32's, of up to 2.4 million numbers.
        assert measured[f"gradient_of_layer_{name}"] == pytest.approx(expected, rel=1e-4)
    assert len(measured) == 41
