"""How large the gradients are.

Question: do gradients explode or vanish, and when? Method: after backward and before clipping, the L2 norm
of each parameter's gradient; reported as their mean over parameters (the assignment's figure) and as the
norm of all gradients together (what clipping bounds).
"""

import torch
from torch import nn


def gradient_norm(model: nn.Module) -> dict[str, float]:
    """`gradient_norm_mean` and `gradient_norm_total` of the gradients that are there; NaN if there are none."""
    norms = [torch.linalg.vector_norm(p.grad) for p in model.parameters() if p.grad is not None]
    if not norms:
        return {"gradient_norm_mean": float("nan"), "gradient_norm_total": float("nan")}
    stacked = torch.stack(norms).double()
    total = torch.linalg.vector_norm(stacked)
    return {"gradient_norm_mean": stacked.mean().item(), "gradient_norm_total": total.item()}
