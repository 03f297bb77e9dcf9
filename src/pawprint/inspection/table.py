"""The table of a model's layers, by torchinfo: shapes, parameters, multiply-adds.

Multiply-adds are torchinfo's count for one picture: every weight by the places it is used at. Limit: of a linear layer
on tokens (B, T, D) it counts one token, and of matrix products without weights, as in attention, none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torchinfo import summary

from pawprint.inspection.undisturbed import undisturbed


@dataclass(frozen=True)
class LayerRow:
    """One module in the order of computing; what holds others comes before them."""

    name: str  # in the model; empty is the model itself
    depth: int  # in how many modules it is
    kind: str
    input_shape: tuple[int, ...]  # without the batch; empty if it was not called itself
    output_shape: tuple[int, ...]
    n_parameters: int  # its own and those of what is in it
    n_trainable: int
    multiply_adds: int  # of one picture; 0 of what holds others
    is_leaf: bool
    is_again: bool  # called before: its parameters stand there


@dataclass(frozen=True)
class LayerTable:
    """All layers of a model, and what they come to; a parameter that is shared counts once."""

    rows: list[LayerRow]
    n_parameters: int
    n_trainable: int
    multiply_adds: int


def layer_table(model: nn.Module, images: torch.Tensor) -> LayerTable:
    """`images` (B, C, H, W) as the model is fed; the first is enough."""
    names = {id(module): name for name, module in model.named_modules()}
    with undisturbed(model):
        found = summary(model, input_data=images[:1], depth=len(names), verbose=0, mode="eval")
    rows = [
        LayerRow(
            name=names.get(info.layer_id, info.var_name),
            depth=info.depth,
            kind=info.class_name,
            input_shape=tuple(info.input_size[1:]),
            output_shape=tuple(info.output_size[1:]),
            n_parameters=info.num_params,
            n_trainable=info.trainable_params,
            multiply_adds=info.macs if info.is_leaf_layer else 0,
            is_leaf=info.is_leaf_layer,
            is_again=info.is_recursive,
        )
        for info in found.summary_list
    ]
    parameters = list(model.parameters())
    return LayerTable(
        rows=rows,
        n_parameters=sum(p.numel() for p in parameters),
        n_trainable=sum(p.numel() for p in parameters if p.requires_grad),
        multiply_adds=found.total_mult_adds,
    )
