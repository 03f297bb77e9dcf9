"""Where and in what precision a training computes, by Lightning Fabric; evaluated is always in 32 bits.

Mixed precision keeps weights in 32 bits and multiplies matrices in 16 (Micikevicius et al., arXiv 1710.03740). In
`16-mixed` small gradients would be lost: the loss is scaled up before backward, the gradients down again after it, and
a step whose gradients are not finite is left out. `bf16-mixed` has the range of 32 bits and does without.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric, is_wrapped
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from pawprint.errors import SettingsError
from pawprint.types import RunSpec


def fabric_for(spec: RunSpec) -> tuple[Fabric, torch.amp.GradScaler | None]:
    """Fabric on the devices that the settings name, and what scales the loss, in half precision.

    Raises SettingsError for a device that is not there, and for half precision without an accelerator.
    """
    if spec.accelerator == "cuda" and not torch.cuda.is_available():
        raise SettingsError([f"{spec.variant}: accelerator: cuda: torch finds none here; set accelerator: auto or cpu"])
    if spec.precision != "16-mixed":
        return Fabric(precision=spec.precision, **_devices(spec)), None
    if spec.accelerator == "cpu" or not torch.cuda.is_available():
        raise SettingsError(
            [f"{spec.variant}: precision: 16-mixed needs an accelerator; set precision: bf16-mixed or 32-true"]
        )
    return half_precision(spec, "cuda")


def half_precision(spec: RunSpec, device: str) -> tuple[Fabric, torch.amp.GradScaler]:
    """Fabric in `16-mixed`, with a scaler that is at hand: gradients are measured when they are unscaled."""
    scaler = torch.amp.GradScaler(device)
    return Fabric(plugins=MixedPrecision("16-mixed", device, scaler), **_devices(spec)), scaler


def _devices(spec: RunSpec) -> dict[str, Any]:
    names = ("accelerator", "devices", "num_nodes", "strategy")
    return {name: getattr(spec, name) for name in names}


def unscale(scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer) -> None:
    """The gradients as the loss itself has them, to be measured and clipped; `optimizer` is Fabric's."""
    known: Any = optimizer
    scaler.unscale_(known.optimizer)


def bare(model: nn.Module) -> nn.Module:
    """Without Fabric's wrapper: the model itself, in 32 bits."""
    known: Any = model
    return known.module if is_wrapped(known) else known
