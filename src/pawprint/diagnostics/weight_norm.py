"""How large the weights are.

Question: what does weight decay do to them? Method: the L2 norm of all matrices together, and of all vectors (biases,
and normalization's scales) together; torch's optimizers let both decay. Limits: a norm says nothing of single weights,
and after a normalization the scale of a layer changes nothing that the model computes.
"""

import torch
from torch import nn


def weight_norm(model: nn.Module) -> dict[str, float]:
    """`weight_norm` of the parameters of two dimensions or more, `bias_norm` of the others; 0 where there are none."""
    trained = [parameter.detach() for parameter in model.parameters() if parameter.requires_grad]
    return {
        "weight_norm": _norm([values for values in trained if values.ndim > 1]),
        "bias_norm": _norm([values for values in trained if values.ndim <= 1]),
    }


def _norm(tensors: list[torch.Tensor]) -> float:
    return torch.cat([values.reshape(-1) for values in tensors]).norm().item() if tensors else 0.0
