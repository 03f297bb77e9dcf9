"""Objectives by name: factories of (spec, data) for what a training descends, (model, batch) → LossTerms."""

from collections.abc import Callable

from torch import nn

from pawprint.data.batches import Batch
from pawprint.objectives.supervised import supervised
from pawprint.types import Data, LossTerms, RunSpec

Objective = Callable[[nn.Module, Batch], LossTerms]
OBJECTIVES: dict[str, Callable[[RunSpec, Data], Objective]] = {"supervised": supervised}


def build_objective(spec: RunSpec, data: Data) -> Objective:
    """The objective that the settings name."""
    return OBJECTIVES[spec.objective](spec, data)
