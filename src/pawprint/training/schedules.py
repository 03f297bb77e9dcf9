"""Learning-rate schedules by name: torch's own, each with how often it is stepped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from pawprint.errors import SettingsError
from pawprint.types import RunSpec


@dataclass(frozen=True)
class Schedule:
    """A scheduler and when it is stepped; None for a constant rate."""

    scheduler: LRScheduler | None
    per: Literal["step", "epoch"] = "step"


def _constant(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    return Schedule(None)


def _onecycle(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """Smith, arXiv 1708.07120; only the rate cycles, momentum stays, so that one thing changes."""
    if spec.onecycle_pct_start * total_steps <= 1:
        raise SettingsError(
            [
                f"{spec.variant}: onecycle_pct_start {spec.onecycle_pct_start:g} of {total_steps} steps is "
                f"{spec.onecycle_pct_start * total_steps:g} steps of rising rate, expected more than 1: "
                "raise onecycle_pct_start or epochs, or lower batch_size"
            ]
        )
    scheduler = OneCycleLR(
        optimizer,
        max_lr=spec.scaled_lr,
        total_steps=total_steps,
        pct_start=spec.onecycle_pct_start,
        final_div_factor=spec.onecycle_final_div_factor,
        cycle_momentum=False,
    )
    return Schedule(scheduler)


def _cosine(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """Loshchilov & Hutter, arXiv 1608.03983, without restarts: from lr to 0."""
    return Schedule(CosineAnnealingLR(optimizer, T_max=total_steps))


SCHEDULES: dict[str, Callable[[Optimizer, RunSpec, int], Schedule]] = {
    "none": _constant,
    "onecycle": _onecycle,
    "cosine": _cosine,
}


def build_schedule(spec: RunSpec, optimizer: Optimizer, total_steps: int) -> Schedule:
    """The schedule over `total_steps` optimizer steps; SettingsError where it cannot fit them."""
    return SCHEDULES[spec.scheduler](optimizer, spec, total_steps)
