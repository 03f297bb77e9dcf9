"""How large the gradients are.

Question: do gradients explode or vanish, and when? Method: after backward and before clipping, the L2 norm
of each parameter's gradient; reported as their mean over parameters (the assignment's figure) and as the
norm of all gradients together (what clipping bounds).

In which layer first? `layer_gradients` has the root mean square of each layer's gradients: a norm grows with the
number of weights, so that a wide layer's would stand above a narrow one's in a network where nothing is wrong.
"""

import torch
from torch import nn

from pawprint.diagnostics.layers import layers
from pawprint.types import GRADIENT


def gradient_norm(model: nn.Module) -> dict[str, float]:
    """`gradient_norm_mean` and `gradient_norm_total` of the gradients that are there; NaN if there are none."""
    norms = [torch.linalg.vector_norm(p.grad) for p in model.parameters() if p.grad is not None]
    if not norms:
        return {"gradient_norm_mean": float("nan"), "gradient_norm_total": float("nan")}
    stacked = torch.stack(norms).double()
    total = torch.linalg.vector_norm(stacked)
    return {"gradient_norm_mean": stacked.mean().item(), "gradient_norm_total": total.item()}


def layer_gradients(model: nn.Module) -> dict[str, float]:
    """`gradient_of_layer_<name>`: the root mean square over a layer's weights and biases, in the model's order.

    A layer without a gradient is left out.
    """
    found = {}
    for name, layer in layers(model).items():
        gradients = [p.grad.reshape(-1) for p in layer.parameters(recurse=False) if p.grad is not None]
        if gradients:
            found[GRADIENT + name] = torch.cat(gradients).double().square().mean().sqrt().item()
    return found
