"""Objectives by name: what a training descends, (model, batch) → LossTerms."""

from collections.abc import Callable

from torch import nn

from pawprint.data.batches import Batch
from pawprint.objectives.supervised import supervised
from pawprint.types import LossTerms

OBJECTIVES: dict[str, Callable[[nn.Module, Batch], LossTerms]] = {"supervised": supervised}
