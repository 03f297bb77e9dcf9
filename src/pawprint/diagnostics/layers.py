"""The layers of any model: its modules that have parameters of their own, under the names that they have in it."""

import torch
from torch import nn

Weights = dict[
    str, list[torch.Tensor]
]  # a layer's name → its own parameters that are trained, or as many of their like


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """By name, in the model's order; a module that stands in several places once."""
    return {name: module for name, module in model.named_modules() if list(module.parameters(recurse=False))}


def weights(model: nn.Module) -> Weights:
    """What is trained, as it is at the moment, without a copy; a layer that is frozen is left out."""
    own = {name: [p.detach() for p in layer.parameters(recurse=False) if p.requires_grad]
           for name, layer in layers(model).items()}  # fmt: skip
    return {name: tensors for name, tensors in own.items() if tensors}


def copied(weights: Weights) -> Weights:
    return {name: [tensor.clone() for tensor in tensors] for name, tensors in weights.items()}


def change(before: Weights, after: Weights) -> Weights:
    """What was added to each, by layer."""
    return {name: [new - old for old, new in zip(tensors, after[name], strict=True)]
            for name, tensors in before.items()}  # fmt: skip
