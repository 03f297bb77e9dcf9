"""Norms of weights and biases against the definition."""

import pytest
from torch import nn

from pawprint.diagnostics.weight_norm import weight_norm


def test_matrices_and_vectors_are_told_apart() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 1))
    for parameter in model.parameters():
        nn.init.constant_(parameter, 2.0)
    assert weight_norm(model) == pytest.approx({"weight_norm": (6 * 4) ** 0.5, "bias_norm": (7 * 4) ** 0.5})


def test_what_is_not_trained_does_not_count() -> None:
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    nn.init.constant_(model.weight, 1.0)
    assert weight_norm(model) == pytest.approx({"weight_norm": 2**0.5, "bias_norm": 0.0})
