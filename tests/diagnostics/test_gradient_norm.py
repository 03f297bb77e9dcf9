import math

import pytest
import torch

from pawprint.diagnostics.gradient_norm import gradient_norm


def test_norms_of_known_gradients() -> None:
    model = torch.nn.Linear(2, 1)
    model.weight.grad, model.bias.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([12.0])
    assert gradient_norm(model) == {
        "gradient_norm_mean": pytest.approx(8.5),
        "gradient_norm_total": pytest.approx(13),
    }


def test_no_gradient_is_no_number() -> None:
    assert math.isnan(gradient_norm(torch.nn.Linear(2, 1))["gradient_norm_mean"])
