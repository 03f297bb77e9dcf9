"""Does the schedule do what its name says, and does it help?

*What it does* is read from the rates that were logged at each step, not from the settings: where they rise, and where
they fall. One-cycle (arXiv 1708.07120) rises to the rate that is set over the first `onecycle_pct_start` of the steps
and falls to its start divided by `onecycle_final_div_factor`. *Whether it helps* is the table's verdict against the
run with a constant rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pawprint.comparison import RunComparison
from pawprint.report.readings import Reading
from pawprint.report.readings.verdicts import helps
from pawprint.types import RunSpec, short_number

FLAT = 1e-9  # relative: rates are computed, not measured
PEAK_OFF = 0.02  # of all steps: the peak lies on a step


@dataclass(frozen=True)
class Shape:
    """How a rate goes over a training's steps."""

    first: float
    peak: float
    last: float
    peak_step: int  # the first at which it is highest, counted from 1
    n_steps: int
    rises_then_falls: bool  # and nothing else

    @property
    def is_constant(self) -> bool:
        return abs(self.peak - self.first) <= FLAT * self.peak and abs(self.peak - self.last) <= FLAT * self.peak


def shape(rates: np.ndarray) -> Shape:
    """`rates` (n_steps,), in the order of the steps; n_steps >= 1."""
    peak = int(np.argmax(rates))
    moves = np.diff(rates)
    slack = FLAT * float(rates.max())
    monotone = bool((moves[:peak] >= -slack).all() and (moves[peak:] <= slack).all())
    strict = bool(rates[0] < rates[peak] - slack and rates[-1] < rates[peak] - slack)
    return Shape(float(rates[0]), float(rates[peak]), float(rates[-1]), peak + 1, len(rates), monotone and strict)


def scheduled(row: RunComparison, spec: RunSpec, steps: pd.DataFrame) -> Reading:
    """`steps`: the run's; one seed's rates are all seeds'."""
    one = steps[steps["seed"] == steps["seed"].iloc[0]].sort_values("step")
    found = shape(one["learning_rate"].to_numpy(dtype=float))
    told = _told(row.label, found)
    fault = _fault(spec, found) if spec.scheduler == "onecycle" and not row.n_diverged else None
    outcome, verdict = helps(row)
    if fault:
        return Reading("no", (told, fault, verdict), "see `build_schedule`: what is logged is not what was asked for")
    asked = [f"So it was asked for: a peak of {_rate(spec.scaled_lr)} after {100 * spec.onecycle_pct_start:g} % of the "
             f"steps, an end {spec.onecycle_final_div_factor:g} times below the start."
             ] if spec.scheduler == "onecycle" else []  # fmt: skip
    return Reading(outcome, (told, *asked, verdict))


def _told(name: str, found: Shape) -> str:
    if found.is_constant:
        return f"The rate of {name} is {_rate(found.first)} at every step."
    way = f"from {_rate(found.first)} to {_rate(found.peak)} at step {found.peak_step} of {found.n_steps}"
    if found.rises_then_falls:
        return f"The rate of {name} rises {way}, then falls to {_rate(found.last)}."
    if found.peak_step == 1:
        return f"The rate of {name} falls from {_rate(found.first)} to {_rate(found.last)} in {found.n_steps} steps."
    return f"The rate of {name} goes {way}, and ends at {_rate(found.last)}; it does not just rise and then fall."


def _fault(spec: RunSpec, found: Shape) -> str | None:
    if not found.rises_then_falls:
        return "One-cycle was asked for, and this is none."
    share = found.peak_step / found.n_steps
    if abs(share - spec.onecycle_pct_start) > max(PEAK_OFF, 1.5 / found.n_steps):
        asked = f"{100 * spec.onecycle_pct_start:g} % of the steps"
        return f"The peak was asked for after {asked}, it came after {100 * share:.0f} %."
    if abs(found.peak / spec.scaled_lr - 1) > PEAK_OFF:
        return f"A peak of {_rate(spec.scaled_lr)} was asked for."
    if abs(found.first / found.last / spec.onecycle_final_div_factor - 1) > PEAK_OFF:
        return (
            f"The end was asked for {spec.onecycle_final_div_factor:g} times below the start, it is "
            f"{found.first / found.last:.3g} times below."
        )
    return None


def _rate(rate: float) -> str:
    return short_number(float(f"{rate:.3g}"))
