"""A multi-layer perceptron: flatten, then linear layers with an activation between them.

Layer normalization (Ba et al., arXiv 1607.06450) stands, as in the paper, between a layer and its activation.
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import nn

from pawprint.types import RunSpec

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}
# How weights are drawn; biases stay as torch draws them, so that one thing changes.
INITIAL_WEIGHTS: dict[str, Callable[[torch.Tensor], object]] = {
    "default": lambda weight: None,  # torch's own: uniform, ± 1 / sqrt(inputs)
    "gaussian": lambda weight: nn.init.normal_(weight, std=0.01),
    "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio 2010, eq. 16
    "he": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),  # He et al., arXiv 1502.01852, eq. 10
}


def build(spec: RunSpec, n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """(B, C, H, W) → logits (B, n_classes), with `spec.mlp_widths` hidden units."""
    widths = [math.prod(image_shape), *spec.mlp_widths]
    layers: list[nn.Module] = [nn.Flatten()]
    for number, (n_in, n_out) in enumerate(itertools.pairwise(widths), start=1):
        layers.append(nn.Linear(n_in, n_out))
        if number in spec.mlp_layer_norm:
            layers.append(nn.LayerNorm(n_out))
        layers.append(ACTIVATIONS[spec.mlp_activation]())
        layers += [nn.Dropout(spec.dropout)] if spec.dropout else []
    model = nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))
    for layer in model:
        if isinstance(layer, nn.Linear):
            INITIAL_WEIGHTS[spec.mlp_init](layer.weight)
    return model
