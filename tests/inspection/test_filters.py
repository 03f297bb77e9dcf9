"""Filters are those of the layer that sees pixels; roughness tells noise from shapes."""

import numpy as np
import pytest
import torch
from torch import nn

from pawprint.inspection.filters import kernels, roughness, seeing_pixels
from pawprint.inspection.layers import calls_of
from tests.inspection.networks import Attentive, mlp, pictures


def test_a_first_convolution_is_seen_as_it_is() -> None:
    model = Attentive()
    found = seeing_pixels(calls_of(model, pictures()), (3, 16, 16))
    assert found is not None
    assert found[0].layer == "patches"
    assert np.array_equal(found[1], model.patches.weight.detach().double().numpy())


def test_rows_of_a_first_linear_layer_are_pictures_of_the_inputs_shape() -> None:
    model = mlp()
    with torch.no_grad():
        model[1].weight[5] = pictures(1).flatten()
    found = seeing_pixels(calls_of(model, pictures()), (3, 16, 16))
    assert found is not None
    assert np.array_equal(found[1][5], pictures(1)[0].double().numpy())


def test_a_layer_that_sees_no_pixels_has_no_pictures() -> None:
    pooled_first = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
    assert seeing_pixels(calls_of(pooled_first, pictures()), (3, 16, 16)) is None


def test_only_convolutions_have_kernels() -> None:
    assert kernels(nn.Linear(3, 3)) is None
    found = kernels(nn.Conv2d(4, 6, 3))
    assert found is not None
    assert found.shape == (6, 4, 3, 3)


@pytest.mark.parametrize("shape", [(3, 7, 7), (1, 8, 8), (3, 3, 3)])
def test_weights_drawn_at_random_have_a_roughness_of_one(shape: tuple[int, int, int]) -> None:
    rough = roughness(np.random.default_rng(0).normal(size=(4000, *shape)))
    assert np.median(rough) == pytest.approx(1, abs=0.05)


def test_smooth_filters_are_far_below_one_and_a_checkerboard_above() -> None:
    y, x = np.mgrid[:7, :7]
    wave, board = np.sin(x / 3 + y / 5), (x + y) % 2.0
    smooth, rough = roughness(np.stack([wave, board])[:, None])
    assert smooth < 0.2
    assert rough == pytest.approx(2, abs=0.1)


def test_filters_without_shape_have_no_roughness() -> None:
    assert np.isnan(roughness(np.ones((2, 3, 5, 5)))).all()
    assert np.isnan(roughness(np.random.default_rng(0).normal(size=(2, 3, 1, 1)))).all()
