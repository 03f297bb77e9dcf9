"""Objectives by name: factories of (spec, data) for what a training descends, (model, batch) → LossTerms."""

from collections.abc import Callable

from torch import nn

from pawprint.data.batches import Batch
from pawprint.objectives.distill import distill
from pawprint.objectives.pseudo_labels import fixmatch, self_training
from pawprint.objectives.supervised import supervised
from pawprint.types import Data, LossTerms, RunSpec

Objective = Callable[[nn.Module, Batch], LossTerms]
OBJECTIVES: dict[str, Callable[[RunSpec, Data], Objective]] = {
    "supervised": supervised,
    "self_training": self_training,
    "fixmatch": fixmatch,
}


def build_objective(spec: RunSpec, data: Data, teacher: nn.Module | None = None) -> Objective:
    """The objective that the settings name; `teacher` is whom `distill` learns from, and nobody else."""
    if spec.objective == "distill":
        assert teacher is not None, "contradictions.of_run refuses a training that has none"
        return distill(spec, data, teacher)
    return OBJECTIVES[spec.objective](spec, data)
