"""From a run's curves to its symptoms: every rule is asked, and what one finding explains is put behind it.

A rate far too large makes a loss leap, gradients vanish, units die and validation jump; told side by side these would
hide what to do. `EXPLAINS` says which findings are a consequence of which: those of `HIDDEN` are left out, as their own
remedies would be wrong there (a run that leapt has not over-fitted), the others stay, less sure than their cause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pawprint.symptoms import Curves, Facts, Kind, Symptom
from pawprint.symptoms.fitting import converged, label_noise, not_converged, over_fitting, under_fitting
from pawprint.symptoms.gradients import exploding, vanishing
from pawprint.symptoms.layers import dead_units, tiny_batch_norm
from pawprint.symptoms.leaks import leak
from pawprint.symptoms.rates import (
    not_smooth,
    plateau,
    rate_fell_too_early,
    rate_too_large,
    rate_too_small,
    updates_too_fast,
)  # fmt: skip

Rule = Callable[[Curves, Facts], Symptom | None]
RULES: tuple[Rule, ...] = (
    exploding, rate_too_large, vanishing, tiny_batch_norm, dead_units, updates_too_fast, not_smooth, leak, label_noise,
    over_fitting, rate_fell_too_early, plateau, rate_too_small, under_fitting, not_converged, converged,
)  # fmt: skip

OF_LEARNING: tuple[Kind, ...] = (
    "leak", "label_noise", "over_fitting", "rate_fell_too_early", "plateau", "rate_too_small", "under_fitting",
)  # fmt: skip
# A finding → what it explains: first what is left out, then what is put behind it.
HIDDEN: dict[Kind, tuple[Kind, ...]] = {
    "exploding": OF_LEARNING,
    "rate_too_large": OF_LEARNING,
    "vanishing": ("rate_too_small", "under_fitting", "plateau"),
    "dead_units": ("under_fitting", "rate_too_small"),
    "tiny_batch_norm": ("under_fitting", "over_fitting"),
    "rate_fell_too_early": ("under_fitting", "rate_too_small"),
    "rate_too_small": ("under_fitting",),
    "label_noise": ("over_fitting",),
}
EXPLAINS: dict[Kind, tuple[Kind, ...]] = {
    "exploding": ("vanishing", "dead_units", "not_smooth", "updates_too_fast"),
    "rate_too_large": ("vanishing", "dead_units", "not_smooth", "updates_too_fast"),
    "dead_units": ("vanishing",),
    "tiny_batch_norm": ("not_smooth",),
}
BEHIND = 0.9  # of the cause's confidence, at most


def diagnose(curves: Curves, facts: Facts = Facts()) -> list[Symptom]:  # noqa: B008 frozen
    """The run's symptoms, the surest alarm first and its state last; empty where nothing is known.

    `curves` may lack columns, epochs or layers, and hold NaN and infinities: rules that have not what they need are
    silent.
    """
    found = [symptom for rule in RULES if (symptom := rule(curves, facts)) is not None]
    return in_order(found)


def in_order(found: list[Symptom]) -> list[Symptom]:
    """The findings without those that another explains away, each behind its cause, states last."""
    kinds: set[Kind] = {symptom.kind for symptom in found}
    hidden = {kind for cause in kinds for kind in HIDDEN.get(cause, ())}
    left = [symptom for symptom in found if symptom.kind not in hidden]
    sure = {symptom.kind: symptom.confidence for symptom in left}
    behind = [replace(symptom, confidence=min(symptom.confidence, _most(symptom.kind, sure))) for symptom in left]
    alarms = [symptom for symptom in behind if symptom.is_alarm]
    has_failed = bool({"exploding", "rate_too_large"} & kinds)
    states = [symptom for symptom in behind if not symptom.is_alarm and not has_failed]
    return [*sorted(alarms, key=lambda symptom: -symptom.confidence), *states]


def _most(kind: Kind, sure: dict[Kind, float]) -> float:
    """How sure a finding may be at most, beside its causes."""
    causes = [cause for cause, effects in EXPLAINS.items() if kind in effects and cause in sure]
    return min((BEHIND * sure[cause] for cause in causes), default=1.0)
