"""Each schedule against its formula: the rate of every step of a small training, through the real loop."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pawprint.training.schedules import SCHEDULES
from pawprint.types import Data, RunSpec
from tests.training.test_loop import run

PER_EPOCH, EPOCHS = 7, 6
T = PER_EPOCH * EPOCHS
LR = 0.2
Rate = Callable[[int], float]  # of step t, from 0


def warmup(t: int, epochs: int = 4) -> float:
    return min(LR * (t + 1) / (epochs * PER_EPOCH), LR)


def cosine(t: float, length: float, floor: float = 0.0) -> float:
    return floor + (LR - floor) * (1 + math.cos(math.pi * t / length)) / 2


def triangle(t: int, period: int, floor: float) -> float:
    up = -(-period // 2)
    place = t % period
    share = place / up if place <= up else (period - place) / (period - up)
    return floor + (LR - floor) * share


def onecycle(t: int) -> float:
    """Up in a cosine from a 25th, down in a cosine to a tenth of that."""
    rise = 0.3 * T - 1

    def between(a: float, b: float, share: float) -> float:
        return b + (a - b) * (1 + math.cos(math.pi * share)) / 2

    return between(LR / 25, LR, t / rise) if t <= rise else between(LR, LR / 250, (t - rise) / (T - 1 - rise))


FORMULAS: list[tuple[str, dict[str, Any], Rate]] = [
    ("none", {}, lambda t: LR),
    ("onecycle", {"onecycle_pct_start": 0.3}, onecycle),
    ("cosine", {}, lambda t: cosine(t, T)),
    ("cosine", {"lr_floor": 0.05}, lambda t: cosine(t, T, 0.05)),
    ("cosine_7_16", {}, lambda t: LR * math.cos(7 * math.pi * t / (16 * T))),
    ("exponential", {"lr_decay": 0.8}, lambda t: LR * 0.8 ** (t // PER_EPOCH)),
    ("exponential", {"lr_decay": 0.5, "lr_floor": 0.03}, lambda t: max(LR * 0.5 ** (t // PER_EPOCH), 0.03)),
    ("step", {"lr_period_epochs": 2, "lr_decay": 0.1}, lambda t: LR * 0.1 ** (t // PER_EPOCH // 2)),
    ("piecewise", {"lr_milestone_epochs": (1, 4), "lr_decay": 0.5},
     lambda t: LR * 0.5 ** ((t >= PER_EPOCH) + (t >= 4 * PER_EPOCH))),
    ("polynomial", {"lr_power": 3.0}, lambda t: LR * (1 - t / T) ** 3),
    ("linear", {"lr_floor": 0.1}, lambda t: LR + (0.1 - LR) * t / T),
    ("warmup", {}, warmup),
    ("warmup_cosine", {"warmup_epochs": 2},
     lambda t: warmup(t, 2) if t < 2 * PER_EPOCH else cosine(t - 2 * PER_EPOCH, T - 2 * PER_EPOCH)),
    ("cyclic", {"lr_floor": 0.02, "lr_period_epochs": 3}, lambda t: triangle(t, 3 * PER_EPOCH, 0.02)),
    ("restarts", {"lr_period_epochs": 2}, lambda t: cosine(t % (2 * PER_EPOCH), 2 * PER_EPOCH)),
]  # fmt: skip


def rates(spec: RunSpec, data: Data) -> list[float]:
    return run(spec, data).history.tables()[0]["learning_rate"].tolist()


@pytest.fixture
def scheduled(spec: RunSpec) -> RunSpec:
    return replace(spec, optimizer="sgd", lr=LR, epochs=EPOCHS)


def test_every_schedule_has_its_formula() -> None:
    assert {name for name, _, _ in FORMULAS} | {"plateau"} == set(SCHEDULES)


@pytest.mark.parametrize(("name", "settings", "formula"), FORMULAS)
def test_schedule_follows_its_formula(
    data: Data, scheduled: RunSpec, name: str, settings: dict[str, Any], formula: Rate
) -> None:
    found = rates(replace(scheduled, scheduler=name, **settings), data)
    assert found == pytest.approx([formula(t) for t in range(T)], rel=1e-6, abs=1e-12)


def test_on_a_plateau_the_rate_falls_when_validation_loss_has_waited(data: Data, scheduled: RunSpec) -> None:
    settings = {"scheduler": "plateau", "lr_decay": 0.1, "lr_period_epochs": 2}
    falling = replace(scheduled, **settings, lr=1e-3, epochs=8)  # the loss falls in each epoch
    losses = run(falling, data).history.tables()[1]["val_loss"]
    assert losses.is_monotonic_decreasing
    assert set(rates(falling, data)) == {1e-3}
    flat = replace(scheduled, **settings, optimizer="adam", lr=1e-30, epochs=8)  # nothing moves
    per_epoch = rates(flat, data)[::PER_EPOCH]
    assert per_epoch == pytest.approx([1e-30] * 4 + [1e-31] * 3 + [1e-32], rel=1e-6, abs=0)


def test_a_plateau_has_a_floor(data: Data, scheduled: RunSpec) -> None:
    spec = replace(scheduled, scheduler="plateau", lr_decay=0.1, lr_period_epochs=1, lr=1e-8, lr_floor=5e-9, epochs=8)
    assert rates(spec, data)[-1] == pytest.approx(5e-9)


def test_the_reports_polynomial_is_constant_in_its_ten_epochs(data: Data, scheduled: RunSpec) -> None:
    """MultiStepLR at epochs 15 and 30: within 10 epochs it never fires."""
    never = replace(scheduled, scheduler="piecewise", lr_milestone_epochs=(15, 30), epochs=10)
    assert run(never, data).history.steps == run(replace(never, scheduler="none"), data).history.steps
