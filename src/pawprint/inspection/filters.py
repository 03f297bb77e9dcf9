"""What a layer's weights look like: kernels of a convolution as pictures, rows of a first linear layer as well.

Question: what does a unit look for? A first convolution sees pixels, so that its kernels are pictures themselves (of 1
or 3 channels); so are the weights of a linear layer that is fed every pixel. Deeper kernels mix many channels; of these
slices are shown, one channel of one filter each.

Roughness says whether a filter has learned a shape: the mean squared difference of neighboring weights by twice their
variance (von Neumann 1941, Annals of Mathematical Statistics 12:367, in two directions). It is 1 for weights drawn
independently, as before training, and near 0 for smooth ones. Limit: sharp filters can be right, as checkerboards are
for textures of one pixel; kernels of 1 x 1 have no neighbors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pawprint.inspection.layers import Call


def seeing_pixels(calls: Sequence[Call], image_shape: tuple[int, int, int]) -> tuple[Call, np.ndarray] | None:
    """The first layer whose weights are pictures, and these (units, C, h, w); None if there is none.

    It is a convolution, or a linear layer with an input for each value of a picture of `image_shape`.
    """
    for call in calls:
        weight = _weight(call.module)
        if weight is None:
            continue
        if weight.ndim == 4:
            fits = weight.shape[1] == image_shape[0]
            return (call, weight) if fits else None
        fits = weight.shape[1] == int(np.prod(image_shape))
        return (call, weight.reshape(-1, *image_shape)) if fits else None
    return None


def kernels(module: nn.Module) -> np.ndarray | None:
    """The kernels (filters, channels, h, w) of a convolution in two dimensions; None of anything else."""
    weight = _weight(module)
    return weight if weight is not None and weight.ndim == 4 else None


def roughness(filters: np.ndarray) -> np.ndarray:
    """Of each filter (units, C, h, w), (units,); NaN where a filter is constant or has no neighbors."""
    down, across = np.diff(filters, axis=2), np.diff(filters, axis=3)
    n = down[0].size + across[0].size
    squares = (down**2).sum(axis=(1, 2, 3)) + (across**2).sum(axis=(1, 2, 3))
    variance = filters.var(axis=(2, 3), ddof=1 if filters[0, 0].size > 1 else 0).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 0, squares / n / (2 * variance), np.nan) if n else np.full(len(filters), np.nan)


def _weight(module: nn.Module) -> np.ndarray | None:
    """Of a convolution (2-D) or a linear layer, float64; whichever class it is of, it keeps them as `weight`."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return None
    return module.weight.detach().to("cpu", torch.float64).numpy()
