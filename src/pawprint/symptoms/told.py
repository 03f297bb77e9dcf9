"""How a symptom is told: its name and its confidence in words, as JSON, and what could not be judged.

Confidence is how far beyond the rule's line the numbers are; the words are for reading, and JSON has the number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import pandas as pd

from pawprint.symptoms import ACTIVATION, DEAD, GRADIENT, UPDATE, Curves, Facts, Kind, Symptom
from pawprint.types import RunSpec

SIGNIFICANT_DIGITS = 6
MOST_NAMED = 8  # runs, in a line
WORDS = ((0.85, "almost certain"), (0.65, "likely"), (0.4, "possible"), (0.0, "a hint"))
TITLES: dict[Kind, str] = {kind: kind.replace("_", " ") for kind in get_args(Kind)} | {
    "over_fitting": "over-fitting", "under_fitting": "under-fitting", "rate_too_small": "learning rate too small",
    "rate_too_large": "learning rate too large", "updates_too_fast": "weights updated too fast",
    "not_smooth": "curve not smooth", "exploding": "exploding gradients", "vanishing": "vanishing gradients",
    "rate_fell_too_early": "learning rate fell too early", "leak": "leak between train and validation",
    "tiny_batch_norm": "batch normalization of tiny batches", "label_noise": "noisy labels",
    "not_converged": "still improving",
}  # fmt: skip


def sureness(confidence: float) -> str:
    """`likely`."""
    return next(word for least, word in WORDS if confidence >= least or least == 0)


def as_json(symptom: Symptom) -> dict[str, Any]:
    """A finding for programs: numbers to SIGNIFICANT_DIGITS, those that are not finite left out."""
    numbers = {name: float(f"{value:.{SIGNIFICANT_DIGITS}g}") for name, value in symptom.numbers.items()
               if math.isfinite(value)}  # fmt: skip
    return {
        "kind": symptom.kind,
        "is_alarm": symptom.is_alarm,
        "confidence": round(symptom.confidence, 2),
        "evidence": symptom.evidence,
        "numbers": numbers,
        "step": symptom.step,
        "layer": symptom.layer,
        "remedies": [{"says": remedy.says, "settings": remedy.settings} for remedy in symptom.remedies],
    }


def alarms(found: Mapping[str, Sequence[Symptom]]) -> str:
    """One line that names the runs with alarms, each with its surest; empty where there are none."""
    first = {name: next((one for one in symptoms if one.is_alarm), None) for name, symptoms in found.items()}
    told = [f"{name} ({TITLES[one.kind]})" for name, one in first.items() if one]
    more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    return f"symptoms: {', '.join(told[:MOST_NAMED])}{more}" if told else ""


def facts_of(spec: RunSpec, n_classes: int | None, epochs: pd.DataFrame) -> Facts:
    """What a run's settings say of it; the pictures of train are those that its first epoch went through."""
    goes_through_once = spec.sampling == "natural" and not spec.steps_per_epoch
    first = epochs[epochs["epoch"] == 1] if {"epoch", "examples_seen"} <= set(epochs) else epochs.head(0)
    n_train = int(first["examples_seen"].iloc[0]) if goes_through_once and len(first) else None
    return Facts(spec, n_classes, n_train, spec.has_batch_norm)


def not_measured(curves: Curves, facts: Facts) -> list[str]:
    """What could not be judged, each with what it would have taken: of our own runs, the setting that measures it."""
    steps, epochs = set(curves.steps.columns), set(curves.epochs.columns)
    quantities = set(curves.layers["quantity"]) if "quantity" in curves.layers else set()
    missing = {
        "over-fitting, noisy labels, leaks": ("val_loss" not in epochs, "validation losses"),
        "exploding and vanishing gradients": ("gradient_norm_total" not in steps, "gradient norms"),
        "whether the rate fell too early": ("learning_rate" not in steps and facts.spec is None, "learning rates"),
        **_of_layers(quantities, is_ours=facts.spec is not None),
    }
    return [f"{what}: no {needs}" for what, (is_missing, needs) in missing.items() if is_missing]


def _of_layers(quantities: set[str], is_ours: bool) -> dict[str, tuple[bool, str]]:
    if not is_ours and not quantities:
        return {"single layers, dead units, weights updated too fast": (True, "numbers of layers")}
    return {
        "which layer is ill": (not _any(quantities, GRADIENT), "`diagnostics: [layer_gradients]`"),
        "weights updated too fast": (not _any(quantities, UPDATE), "`diagnostics: [layer_updates]`"),
        "dead units": (not _any(quantities, DEAD) and not _any(quantities, ACTIVATION), "`diagnostics: [activations]`"),
    }


def _any(quantities: set[str], prefix: str) -> bool:
    return any(quantity.startswith(prefix) for quantity in quantities)
