"""Symptoms: what a training's curves and its layers' numbers say of its health.

`diagnose` is a pure function from a run's curves to findings, the surest first. Each kind of symptom is one rule, with
its evidence (numbers and steps), how sure it is, and remedies as settings to try. What is not measured is not judged:
a CSV of losses alone is enough for the rules of the curves, layers add theirs.

Thresholds were set on one part of the planted illnesses of docs/diagnostics.md and scored on the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from pawprint.types import ACTIVATION as ACTIVATION
from pawprint.types import DEAD as DEAD
from pawprint.types import GRADIENT as GRADIENT
from pawprint.types import LAYER_QUANTITIES as LAYER_QUANTITIES
from pawprint.types import UPDATE as UPDATE
from pawprint.types import RunSpec

Kind = Literal[
    "over_fitting",  # the training loss falls while the validation loss rises
    "under_fitting",  # it levels off with a training loss that is still high
    "rate_too_small",  # the loss falls, steadily and far too slowly
    "rate_too_large",  # the loss leaps, jumps about or stays where a shorter step would go on
    "updates_too_fast",  # weights change by too large a share of themselves in a step
    "not_smooth",  # the curve is jagged beyond what a batch's noise explains
    "exploding",  # gradients: which layer first, at which step
    "vanishing",  # gradients: over depth, or over time though little was learned
    "dead_units",  # units that answer nothing any more, and they become more
    "plateau",  # a stretch without progress before or between stretches with it
    "rate_fell_too_early",  # progress ends where the schedule lets the rate fall
    "label_noise",  # train is learned by heart long after validation's loss had its minimum
    "leak",  # validation is too good for what is learned
    "tiny_batch_norm",  # batch normalization by a handful of pictures
    "not_converged",  # still improving at the end
    "converged",
]
STATES: tuple[Kind, ...] = ("not_converged", "converged")  # said of healthy runs, too: no alarm


def _typed(value: Any) -> str:
    """A setting as a shell takes it: 0.001 as it is, (1, 2) as [1,2]."""
    if isinstance(value, (tuple, list)):
        return f"[{','.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Remedy:
    """Something to try."""

    says: str  # in words: `clip gradients`
    settings: dict[str, Any] = field(default_factory=dict)  # as RunSpec has them; empty: it is not a setting

    @property
    def options(self) -> str:
        """As it is typed: `-S clip_norm=1 -S scheduler=warmup`."""
        return " ".join(f"-S {name}={_typed(value)}" for name, value in self.settings.items())


@dataclass(frozen=True)
class Symptom:
    """One finding about a run."""

    kind: Kind
    confidence: float  # 0 to 1: how far beyond the rule's line the numbers are
    evidence: str  # a sentence made of numbers and steps
    numbers: dict[str, float]
    remedies: tuple[Remedy, ...] = ()  # the likeliest first
    step: int | None = None  # the first at which it shows, counted from 1
    layer: str | None = None  # the one that has it, or has it first

    @property
    def is_alarm(self) -> bool:
        return self.kind not in STATES


@dataclass(frozen=True)
class Curves:
    """One run's numbers, of one seed or of several; a column or table that is missing was not measured.

    - `steps`: seed, step, training_loss; may have epoch, learning_rate, gradient_norm_total, gradient_norm_mean.
    - `epochs`: seed, epoch, val_loss, val_accuracy; may have step, training_loss, train_accuracy. May be empty.
    - `layers`: seed, step, quantity, value, where quantity is one of LAYER_QUANTITIES and then the layer's name.
    """

    steps: pd.DataFrame
    epochs: pd.DataFrame
    layers: pd.DataFrame


@dataclass(frozen=True)
class Facts:
    """What is known of a run beside its curves; None is not known, as of a CSV alone."""

    spec: RunSpec | None = None
    n_classes: int | None = None
    n_train: int | None = None
    has_batch_norm: bool | None = None
