"""What single weights of the first layer feel.

Question: when does a connection from the input begin to learn, and when does it stop? Method: a few connections are
drawn by the seed, among those whose input is not the same in all of the probe's pictures (a weight behind a pixel that
is always black has no gradient, whatever is learned); of each, the derivative of the probe's mean loss. The batch of
the step would add the noise of its draw, which is many times the mean late in a training: `gradient_noise` has that.

Limits: six of a hundred thousand are examples, not a summary. A gradient of zero means that the hidden unit is silent
on all of the probe, or that its weights onward are; which of the two cannot be seen here.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pawprint.diagnostics.probe_loss import ProbeLoss
from pawprint.seeding import generator

N_WEIGHTS = 6
PREFIX = "gradient_of_weight_"  # then the hidden unit and the input, counted from 0


@dataclass(frozen=True)
class Weight:
    """One connection into the first layer: from `value` (of a flattened picture, or of a kernel) to `unit`."""

    unit: int
    value: int

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.unit}_{self.value}"


def first_layer(model: nn.Module) -> tuple[str, torch.Tensor]:
    """Name and weights, (units, …), of the first parameter that is a matrix or more."""
    return next((name, weights) for name, weights in model.named_parameters() if weights.ndim > 1)


def choose(model: nn.Module, images: torch.Tensor, seed: int) -> list[Weight]:
    """`N_WEIGHTS` connections (fewer if there are fewer), no two alike; `images` (B, C, H, W) as the model is fed."""
    n_units, n_values = first_layer(model)[1].flatten(1).shape
    pixels = images.flatten(1)
    varies = (pixels != pixels[0]).any(dim=0).cpu().numpy()
    # A kernel passes over the whole picture: each of its values meets pixels that vary.
    values = np.flatnonzero(varies) if len(varies) == n_values else np.arange(n_values)
    drawn = generator("weight_gradients", seed).permutation(n_units * len(values))[:N_WEIGHTS]
    return [Weight(int(place // len(values)), int(values[place % len(values)])) for place in np.sort(drawn)]


def weight_gradients(probe: ProbeLoss, weights: list[Weight]) -> dict[str, float]:
    """`gradient_of_weight_<unit>_<value>` of each."""
    name, layer = first_layer(probe.model)
    by_unit = probe.slope.by_weight[f"model.{name}"].reshape(len(layer), -1)
    return {weight.name: by_unit[weight.unit, weight.value].item() for weight in weights}
