"""Optimizers by name: torch's own, built from a RunSpec.

`fused` is one pass over a parameter instead of one per operation.
"""

from collections.abc import Callable, Iterable

import torch
from torch.optim import Optimizer

from pawprint.types import RunSpec


def _adam(parameters: Iterable[torch.nn.Parameter], spec: RunSpec) -> Optimizer:
    return torch.optim.Adam(
        parameters, spec.scaled_lr, spec.scaled_betas, spec.scaled_eps, spec.weight_decay, fused=True
    )  # fmt: skip


def _adamw(parameters: Iterable[torch.nn.Parameter], spec: RunSpec) -> Optimizer:
    return torch.optim.AdamW(
        parameters, spec.scaled_lr, spec.scaled_betas, spec.scaled_eps, spec.weight_decay, fused=True
    )  # fmt: skip


def _sgd(parameters: Iterable[torch.nn.Parameter], spec: RunSpec) -> Optimizer:
    return torch.optim.SGD(
        parameters,
        spec.scaled_lr,
        spec.momentum,
        weight_decay=spec.weight_decay,
        nesterov=spec.nesterov,
        fused=True,
    )


OPTIMIZERS: dict[str, Callable[[Iterable[torch.nn.Parameter], RunSpec], Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
}


def build_optimizer(spec: RunSpec, model: torch.nn.Module) -> Optimizer:
    """The optimizer over the model's trainable parameters, at the scaled learning rate."""
    return OPTIMIZERS[spec.optimizer]((p for p in model.parameters() if p.requires_grad), spec)
