"""Model tests before training: `checks/<name>.py` exposes `Settings` and `run(subject, settings) -> Finding`.

A check of the pictures alone is `run(data, settings)`: it runs once, whatever is to be trained on them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torch import nn
from torch.optim import Optimizer

from pawprint.data.batches import Batch
from pawprint.objectives import Objective
from pawprint.types import Data


@dataclass(frozen=True)
class CheckSubject:
    """A training before its first step: not its parts, but how to make them.

    Each check makes its own, so that what it does to a model reaches neither another check nor a training.
    """

    name: str  # for titles and readings
    data: Data
    start: Callable[[int], nn.Module]  # seed → the model as training begins with it; equal seeds, equal bytes
    optimizer_for: Callable[[nn.Module], Optimizer]  # fresh, at the configured rate, over what is to learn
    objective: Objective
    batches: Callable[[], Iterator[Batch]]  # training's, epoch after epoch without end; each call from the first
    rates: dict[str, float] = field(default_factory=dict)  # configured learning rates, by the name of what uses them
    seed: int = 0

    def model(self) -> nn.Module:
        """The model that the training begins with, made anew."""
        return self.start(self.seed)

    def batch(self) -> Batch:
        """The training's first batch."""
        return next(self.batches())
