"""How large a step is in each layer.

Question: are the weights updated too fast, or hardly at all, and in which layer? Method: the L2 norm of what one
optimizer step adds to a layer's weights and biases, divided by the norm of these before the step; 1e-3 is a usual size
(Bottou's rule of thumb, as in the notes of Stanford's CS231n), and layer-wise optimizers set it (arXiv 1708.03888).

Limits: it is of the step as it was taken, with clipping, momentum and weight decay. A layer that starts at 0 has no
size to divide by: infinite if it moves. A normalization after a layer makes its scale, and so the ratio, matter less.
"""

import math

import torch

from pawprint.diagnostics.layers import Weights
from pawprint.types import UPDATE


def layer_updates(before: Weights, change: Weights) -> dict[str, float]:
    """`update_ratio_of_layer_<name>`, 0 or more, for each layer: the weights before a step, and what it added."""
    return {UPDATE + name: _ratio(_norm(change[name]), _norm(weights)) for name, weights in before.items()}


def _ratio(change: float, size: float) -> float:
    if size == 0:
        return math.inf if change else 0.0
    return change / size


def _norm(tensors: list[torch.Tensor]) -> float:
    norms = [torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in tensors]  # 1e30 squared is too much
    return torch.linalg.vector_norm(torch.stack(norms)).item()
