"""How large the gradients are.

Question: do gradients explode or vanish, and when? Method: after backward and before clipping, the L2 norm
of each parameter's gradient; reported as their mean over parameters (the assignment's figure) and as the
norm of all gradients together (what clipping bounds).

In which layer first? `layer_gradients` has the root mean square of each layer's gradients: a norm grows with the
number of weights, so that a wide layer's would stand above a narrow one's in a network where nothing is wrong.
"""

import torch
from torch import nn

from pawprint.diagnostics.layers import gradients
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
    of_layers = gradients(model)
    sizes = {name: sum(tensor.numel() for tensor in tensors) for name, tensors in of_layers.items()}
    device = next((tensors[0].device for tensors in of_layers.values()), None)
    # Taken once: asking for new memory at each layer costs most of the time.
    squares = torch.empty(max(sizes.values(), default=0), dtype=torch.float64, device=device)
    return {GRADIENT + name: _root_mean_square(tensors, squares[: sizes[name]]) for name, tensors in of_layers.items()}


def _root_mean_square(tensors: list[torch.Tensor], squares: torch.Tensor) -> float:
    """`squares` is where they are worked out, as many as there are values."""
    for tensor, own in zip(tensors, squares.split([tensor.numel() for tensor in tensors]), strict=True):
        own.view(tensor.shape).copy_(tensor)
    return squares.square_().mean().sqrt().item()
