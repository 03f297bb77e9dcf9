"""A plain convolutional network, as courses build them: convolutions that halve the picture, then linear layers.

`cnn_widths` [64, 128, 256], `cnn_grid` 8 and `cnn_hidden` [256, 256] are that of the course note for food pictures of
128 px; without hidden layers and with a grid of 1 it is small enough for two cores.
"""

from __future__ import annotations

import itertools

from torch import nn

from pawprint.types import RunSpec


def build(spec: RunSpec, n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """(B, C, H, W) → logits (B, n_classes)."""
    features: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise([image_shape[0], *spec.cnn_widths]):
        convolution = nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False)  # normalization adds the bias
        features += [convolution, nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)]
    features += [nn.AdaptiveAvgPool2d(spec.cnn_grid), nn.Flatten()]
    classifier: list[nn.Module] = []
    widths = [spec.cnn_widths[-1] * spec.cnn_grid**2, *spec.cnn_hidden]
    for n_in, n_out in itertools.pairwise(widths):
        classifier += [*_dropped(spec), nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*features, *classifier, *_dropped(spec), nn.Linear(widths[-1], n_classes))


def _dropped(spec: RunSpec) -> list[nn.Module]:
    return [nn.Dropout(spec.dropout)] if spec.dropout else []
