"""Model tests before training: `checks/<name>.py` exposes `Settings` and `run(subject, settings) -> Finding`."""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from pawprint.data.batches import Batch
from pawprint.objectives import Objective, build_objective
from pawprint.types import Data, RunSpec


@dataclass(frozen=True)
class CheckSubject:
    """A model as it would be trained, at its starting point, with one batch of its data.

    Each check gets a subject of its own, freshly built: what it does to it reaches no training.
    """

    spec: RunSpec
    data: Data
    model: nn.Module
    optimizer: Optimizer
    batch: Batch

    @property
    def objective(self) -> Objective:
        return build_objective(self.spec, self.data)
