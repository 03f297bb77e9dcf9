"""Optimizers by name: torch's and timm's own, built from a RunSpec.

What each does to a parameter w with gradient g (L2 decay already added to it), at rate η:

    sgd      b ← μ b + g;  w ← w - η b                           (nesterov: w ← w - η (g + μ b))
    adagrad  s ← s + g²;  w ← w - η g / (√s + ε)                 Duchi et al. 2011
    rmsprop  s ← α s + (1 - α) g²;  w ← w - η g / (√s + ε)       Hinton's lecture 6e: α is the share that is kept
    adam     m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;
             w ← w - η m̂ / (√v̂ + ε), m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)   arXiv 1412.6980
             (amsgrad: the largest v so far, arXiv 1904.09237)
    adamw    as adam, but decay is no part of g: w ← (1 - η λ) w first, arXiv 1711.05101
    radam    as adam, times r, which rectifies the variance of 1/√v̂; while that has none, w ← w - η m̂, arXiv 1908.03265
    lars     sgd, a layer's g times τ ‖w‖ / (‖g‖ + λ ‖w‖), arXiv 1708.03888
    lamb     adam, a layer's step made as long as its weights, arXiv 1904.00962

With `weight_decay_on: weights` biases and what normalization learns (tensors of one dimension) do not decay.

`fused` is one pass over a parameter instead of one per operation.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer

from pawprint.types import RunSpec

Parameters = Iterable[torch.nn.Parameter] | list[dict[str, Any]]


def _adam(parameters: Parameters, spec: RunSpec) -> Optimizer:
    return torch.optim.Adam(
        parameters, spec.scaled_lr, spec.scaled_betas, spec.scaled_eps, spec.weight_decay, spec.amsgrad, fused=True
    )  # fmt: skip


def _adamw(parameters: Parameters, spec: RunSpec) -> Optimizer:
    return torch.optim.AdamW(
        parameters, spec.scaled_lr, spec.scaled_betas, spec.scaled_eps, spec.weight_decay, spec.amsgrad, fused=True
    )  # fmt: skip


def _radam(parameters: Parameters, spec: RunSpec) -> Optimizer:
    return torch.optim.RAdam(parameters, spec.scaled_lr, spec.scaled_betas, spec.scaled_eps, spec.weight_decay)


def _sgd(parameters: Parameters, spec: RunSpec) -> Optimizer:
    return torch.optim.SGD(
        parameters,
        spec.scaled_lr,
        spec.momentum,
        weight_decay=spec.weight_decay,
        nesterov=spec.nesterov,
        fused=True,
    )


def _adagrad(parameters: Parameters, spec: RunSpec) -> Optimizer:
    return torch.optim.Adagrad(
        parameters, spec.scaled_lr, weight_decay=spec.weight_decay, eps=spec.scaled_eps, fused=True
    )  # fmt: skip


def _rmsprop(parameters: Parameters, spec: RunSpec) -> Optimizer:
    return torch.optim.RMSprop(
        parameters, spec.scaled_lr, spec.alpha, spec.scaled_eps, spec.weight_decay, spec.momentum
    )  # fmt: skip


def _lars(parameters: Parameters, spec: RunSpec) -> Optimizer:
    from timm.optim import Lars  # timm's import takes seconds

    return Lars(
        parameters,
        spec.scaled_lr,
        spec.momentum,
        weight_decay=spec.weight_decay,
        nesterov=spec.nesterov,
        trust_coeff=spec.trust_coefficient,
        always_adapt=True,  # else, without decay, it is SGD
    )


def _lamb(parameters: Parameters, spec: RunSpec) -> Optimizer:
    from timm.optim import Lamb

    return Lamb(
        parameters,
        spec.scaled_lr,
        betas=spec.scaled_betas,
        eps=spec.scaled_eps,
        weight_decay=spec.weight_decay,
        max_grad_norm=None,  # the paper's algorithm 2 clips nothing; `clip_norm` does
        always_adapt=True,  # else, without decay, it is Adam
    )


OPTIMIZERS: dict[str, Callable[[Parameters, RunSpec], Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "radam": _radam,
    "lars": _lars,
    "lamb": _lamb,
}


def build_optimizer(spec: RunSpec, model: torch.nn.Module) -> Optimizer:
    """The optimizer over the model's trainable parameters, at the scaled learning rate."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if spec.weight_decay_on == "all" or not spec.weight_decay:
        return OPTIMIZERS[spec.optimizer](trained, spec)
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in trained if parameter.dim() > 1]},
        {"params": [parameter for parameter in trained if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[spec.optimizer](groups, spec)
