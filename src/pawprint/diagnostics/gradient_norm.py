"""How large the gradients are.

Question: do gradients explode or vanish, and when? Method: after backward and before clipping, the L2 norm
of each parameter's gradient; reported as their mean over parameters (the assignment's figure) and as the
norm of all gradients together (what clipping bounds).

In which layer first? `layer_gradients` has the root mean square of each layer's gradients: a norm grows with the
number of weights, so that a wide layer's would stand above a narrow one's in a network where nothing is wrong. It is
made from the same norms, so that it costs next to nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from pawprint.types import GRADIENT


@dataclass(frozen=True)
class GradientNorms:
    """Of the parameters that have a gradient, in the model's order. The norms may still be under way on a device."""

    layers: Sequence[str]  # which each parameter belongs to
    sizes: Sequence[int]  # numbers in each
    norms: torch.Tensor  # (P,) L2


def gradient_norms(model: nn.Module) -> GradientNorms:
    """As backward left them; nothing is waited for."""
    having = [(name.rpartition(".")[0], p.grad) for name, p in model.named_parameters() if p.grad is not None]
    norms = [torch.linalg.vector_norm(gradient) for _, gradient in having]
    return GradientNorms(
        [layer for layer, _ in having],
        [gradient.numel() for _, gradient in having],
        torch.stack(norms) if norms else torch.empty(0),
    )


def gradient_norm(of: GradientNorms) -> dict[str, float]:
    """`gradient_norm_mean` and `gradient_norm_total` of the gradients that are there; NaN if there are none."""
    norms = of.norms.tolist()
    if not norms:
        return {"gradient_norm_mean": math.nan, "gradient_norm_total": math.nan}
    return {"gradient_norm_mean": math.fsum(norms) / len(norms), "gradient_norm_total": math.hypot(*norms)}


def layer_gradients(of: GradientNorms) -> dict[str, float]:
    """`gradient_of_layer_<name>`: the root mean square over a layer's weights and biases, in the model's order.

    A layer without a gradient is left out.
    """
    norms: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for layer, size, norm in zip(of.layers, of.sizes, of.norms.tolist(), strict=True):
        norms.setdefault(layer, []).append(norm)
        sizes[layer] = sizes.get(layer, 0) + size
    return {GRADIENT + layer: math.hypot(*own) / math.sqrt(sizes[layer]) for layer, own in norms.items()}
