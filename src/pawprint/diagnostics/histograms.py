"""How a layer's weights, gradients and updates are spread, and how that changes.

Method: the values of a layer's own trained parameters are counted in bins whose edges are the same for every layer,
kind and step, so that counts can be compared and drawn over time. The edges are logarithmic, four to a power of ten,
from 1e-8 to 100 on both sides of 0: weights, gradients and updates lie decades apart, and gradients that vanish sink
through decades. One bin holds what is nearer to 0, one at either end what is beyond. Gradients are those that backward
left, before clipping; updates are what the step then added.

Limits: a bin's upper edge is 1.8 times its lower, and a change of less may not show. What is not finite is counted
apart. A layer that is frozen has no histogram.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from pawprint.diagnostics.layers import Weights, layers

Kind = Literal["weights", "gradients", "updates"]
KINDS: tuple[Kind, ...] = ("weights", "gradients", "updates")
Histograms = dict[tuple[Kind, str], list[int]]  # kind, layer → how many are not finite, then the counts of the bins

_SIZES = [10 ** (power / 4) for power in range(-32, 9)]  # 1e-8 … 100
EDGES = (*(-size for size in reversed(_SIZES)), *_SIZES)  # between the bins, ascending
BINS = ("below", *(f"from {edge:.3g}" for edge in EDGES))  # ascending, by the lower edge, which is in it


def histograms(kind: Kind, values: Weights) -> Histograms:
    """Of each layer, all its tensors together."""
    return {(kind, name): _counts(tensors) for name, tensors in values.items()}


def gradients(model: nn.Module) -> Weights:
    """As they are at the moment; a layer without any is left out."""
    own = {name: [p.grad for p in layer.parameters(recurse=False) if p.grad is not None]
           for name, layer in layers(model).items()}  # fmt: skip
    return {name: tensors for name, tensors in own.items() if tensors}


def _counts(tensors: list[torch.Tensor]) -> list[int]:
    values = torch.cat([tensor.reshape(-1) for tensor in tensors])
    is_finite = values.isfinite()
    n_finite = int(is_finite.sum())
    values = values if n_finite == len(values) else values[is_finite]
    edges = torch.tensor(EDGES, dtype=values.dtype, device=values.device)
    bins = torch.bucketize(values, edges, right=True, out_int32=True)
    return [sum(tensor.numel() for tensor in tensors) - n_finite, *torch.bincount(bins, minlength=len(BINS)).tolist()]
