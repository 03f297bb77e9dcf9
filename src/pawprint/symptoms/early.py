"""What can be said while a training still goes on: the few symptoms that need not wait for its end.

Called at an epoch's end with the history so far; the cost is that of reading the steps so far once or twice. A loss or
gradients that are not finite, or leap; gradients that vanish, though nothing is learned; updates too fast; and
over-fitting, once validation has been rising for epochs. Of the rest, slowness above all, only the whole run can tell.
"""

from __future__ import annotations

from pawprint.symptoms import Curves, Facts, Symptom
from pawprint.symptoms.diagnose import Rule, in_order
from pawprint.symptoms.fitting import over_fitting
from pawprint.symptoms.gradients import exploding, vanishing
from pawprint.symptoms.layers import dead_units
from pawprint.symptoms.rates import rate_too_large, updates_too_fast

EARLY_RULES: tuple[Rule, ...] = (exploding, rate_too_large, vanishing, dead_units, updates_too_fast, over_fitting)
MIN_STEPS = 20  # fewer are the beginning, where every curve is rough


def warnings_of(curves: Curves, facts: Facts) -> list[Symptom]:
    """The alarms of the training so far, the surest first; none in its first steps, unless a loss is not finite."""
    rules = EARLY_RULES if curves.steps["step"].nunique() >= MIN_STEPS else (exploding,)
    found = [symptom for rule in rules if (symptom := rule(curves, facts)) is not None]
    return in_order(found)
