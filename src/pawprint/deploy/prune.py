"""A network with less in it: weights set to zero, or channels taken out.

*Unstructured*, by torch.nn.utils.prune: a share of the weights is zero, at random in each layer (the course's way, and
the yardstick: what magnitude brings is what it does better than that), or those of least magnitude in all layers
together (Han et al., arXiv 1506.02626). The file stays as large and, on common processors, the model as slow: zeros are
multiplied like any number. What it saves shows where the file is compressed.

*Structured*, by torch-pruning (Fang et al., arXiv 2301.12900): channels of least norm are taken out with all that hangs
on them, other layers' and normalization's. What is left is a smaller network of the common kind.

Either is trained on for a while afterwards, the zeros held at zero by torch's masks.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
import torch_pruning
from torch import nn
from torch.nn.utils import prune

ROUND_TO = 8  # channels that are left are a multiple of it: vector instructions take so many
Layer = nn.Conv2d | nn.Linear


def without_weights(network: nn.Module, percent: float, which: Literal["random", "smallest"]) -> nn.Module:
    """A copy with that share of its weights masked: in each layer at random, by torch's generator, or the smallest."""
    pruned = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # torch.nn.utils.prune takes no other
    if which == "random":
        for layer in layers_with_weights(pruned):
            prune.random_unstructured(layer, "weight", percent / 100)
    else:
        every = [(layer, "weight") for layer in layers_with_weights(pruned)]
        prune.global_unstructured(every, pruning_method=prune.L1Unstructured, amount=percent / 100)
    for layer in layers_with_weights(pruned):
        layer.weight = layer.weight.detach()  # made anew at each call; with a graph it could not be copied
    return pruned.to(memory_format=torch.channels_last)


def without_channels(network: nn.Module, percent: float, image_shape: tuple[int, int, int]) -> nn.Module:
    """A copy without that share of each layer's channels, those of least norm; the last layer's, the classes, stay."""
    pruned = copy.deepcopy(network)
    pruner = torch_pruning.pruner.BasePruner(
        pruned, torch.zeros(2, *image_shape), importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=percent / 100, ignored_layers=layers_with_weights(pruned)[-1:], round_to=ROUND_TO,
    )  # fmt: skip
    pruner.step()
    return pruned


def unmask(network: nn.Module) -> None:
    """Make the masked weights zeros like any other number, for good."""
    for layer in layers_with_weights(network):
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")


def layers_with_weights(network: nn.Module) -> list[Layer]:
    """Convolutions and linear layers, in the network's order."""
    return [module for module in network.modules() if isinstance(module, Layer)]


def zero_share(network: nn.Module) -> float:
    """Of the weights of convolutions and linear layers."""
    weights = [layer.weight for layer in layers_with_weights(network)]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)
