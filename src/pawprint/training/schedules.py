"""Learning-rate schedules by name: torch's own, each with how often it is stepped.

η is `lr` (scaled), η₀ `lr_floor`, γ `lr_decay`, T the number of steps, t the step, e the epoch, both from 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from pawprint.errors import SettingsError
from pawprint.types import RunSpec


@dataclass(frozen=True)
class Schedule:
    """A scheduler, None for a constant rate, and when it is stepped: after each optimizer step, or each epoch."""

    scheduler: LRScheduler | None
    per: Literal["step", "epoch"] = "step"

    def advance(self, after: Literal["step", "epoch"], val_loss: float = math.nan) -> None:
        """Go on by one, if that is what it goes by; an epoch ends with its validation loss."""
        if self.scheduler is None or self.per != after:
            return
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(val_loss)
        else:
            self.scheduler.step()


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
    """η₀ + (η - η₀) (1 + cos(π t / T)) / 2: Loshchilov and Hutter, arXiv 1608.03983, without restarts."""
    return Schedule(CosineAnnealingLR(optimizer, T_max=total_steps, eta_min=spec.lr_floor))


def _cosine_7_16(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """η cos(7 π t / 16 T), which ends at 0.195 η: FixMatch's (arXiv 2001.07685, section 2.3)."""
    return Schedule(LambdaLR(optimizer, lambda step: math.cos(7 * math.pi * step / (16 * total_steps))))


def _exponential(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """max(η γᵉ, η₀)."""
    floor = _floor_share(spec)
    return Schedule(LambdaLR(optimizer, lambda epoch: max(spec.lr_decay**epoch, floor)), per="epoch")


def _step(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """η times γ after each `lr_period_epochs`."""
    return Schedule(StepLR(optimizer, spec.lr_period_epochs, gamma=spec.lr_decay), per="epoch")


def _piecewise(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """η times γ after each of `lr_milestone_epochs`."""
    return Schedule(MultiStepLR(optimizer, list(spec.lr_milestone_epochs), gamma=spec.lr_decay), per="epoch")


def _polynomial(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """η (1 - t / T)^p."""
    return Schedule(PolynomialLR(optimizer, total_iters=total_steps, power=spec.lr_power))


def _linear(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """From η to η₀ in a straight line."""
    scheduler = LinearLR(optimizer, start_factor=1.0, end_factor=_floor_share(spec), total_iters=total_steps)
    return Schedule(scheduler)


def _warmup(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """η (t + 1) / n in the n steps of `warmup_epochs`, then η (Goyal et al., arXiv 1706.02677, section 2.2)."""
    return Schedule(_rise(optimizer, spec, total_steps))


def _warmup_cosine(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """The warm-up, then the cosine in the steps that are left."""
    n_rising = spec.warmup_epochs * _steps_per_epoch(spec, total_steps)
    falling = CosineAnnealingLR(optimizer, T_max=total_steps - n_rising, eta_min=spec.lr_floor)
    parts: list[LRScheduler] = [_rise(optimizer, spec, total_steps), falling]
    return Schedule(SequentialLR(optimizer, parts, milestones=[n_rising]))


def _cyclic(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """From η₀ up to η and down again in `lr_period_epochs`, in straight lines (Smith, arXiv 1506.01186)."""
    period = spec.lr_period_epochs * _steps_per_epoch(spec, total_steps)
    scheduler = CyclicLR(
        optimizer,
        base_lr=spec.lr_floor,
        max_lr=spec.scaled_lr,
        step_size_up=-(-period // 2),
        step_size_down=max(period // 2, 1),
        cycle_momentum=False,
    )
    return Schedule(scheduler)


def _restarts(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """The cosine, from η anew after each `lr_period_epochs` (Loshchilov and Hutter, arXiv 1608.03983)."""
    period = spec.lr_period_epochs * _steps_per_epoch(spec, total_steps)
    return Schedule(CosineAnnealingWarmRestarts(optimizer, T_0=period, eta_min=spec.lr_floor))


def _plateau(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> Schedule:
    """η times γ, but no less than η₀, when validation loss has not fallen for more than `lr_period_epochs`."""
    scheduler = ReduceLROnPlateau(
        optimizer, factor=spec.lr_decay, patience=spec.lr_period_epochs, min_lr=spec.lr_floor, eps=0.0
    )
    return Schedule(scheduler, per="epoch")


def _rise(optimizer: Optimizer, spec: RunSpec, total_steps: int) -> LRScheduler:
    n = spec.warmup_epochs * _steps_per_epoch(spec, total_steps)
    return LinearLR(optimizer, start_factor=1 / n, total_iters=n - 1)


def _steps_per_epoch(spec: RunSpec, total_steps: int) -> int:
    return total_steps // spec.epochs


def _floor_share(spec: RunSpec) -> float:
    """η₀ / η; of nothing it is nothing."""
    return spec.lr_floor / spec.scaled_lr if spec.lr_floor else 0.0


SCHEDULES: dict[str, Callable[[Optimizer, RunSpec, int], Schedule]] = {
    "none": _constant,
    "onecycle": _onecycle,
    "cosine": _cosine,
    "cosine_7_16": _cosine_7_16,
    "exponential": _exponential,
    "step": _step,
    "piecewise": _piecewise,
    "polynomial": _polynomial,
    "linear": _linear,
    "warmup": _warmup,
    "warmup_cosine": _warmup_cosine,
    "cyclic": _cyclic,
    "restarts": _restarts,
    "plateau": _plateau,
}


def build_schedule(spec: RunSpec, optimizer: Optimizer, total_steps: int) -> Schedule:
    """The schedule over `total_steps` optimizer steps, as many in each epoch.

    Raises SettingsError where it cannot fit them.
    """
    return SCHEDULES[spec.scheduler](optimizer, spec, total_steps)
