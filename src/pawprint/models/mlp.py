"""A multi-layer perceptron: flatten, then linear layers with ReLU between them."""

import itertools
import math

from torch import nn

from pawprint.types import RunSpec


def build(spec: RunSpec, n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """(B, C, H, W) → logits (B, n_classes), with `spec.mlp_widths` hidden units."""
    widths = [math.prod(image_shape), *spec.mlp_widths]
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))
