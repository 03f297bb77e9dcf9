"""What a training is measured by on its way: at its first step, and at every so many.

A measurement begins before the step, on a copy of the weights, and is finished by the step itself. So what takes long
may be interrupted and is then done again, and a step and the rows that tell of it are done together or not at all.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from pawprint.data.batches import Batch, standardize, unit_range
from pawprint.diagnostics.curvature import curvature, curvature_along_step, stability_bound
from pawprint.diagnostics.gradient_noise import gradient_noise
from pawprint.diagnostics.gradient_norm import layer_gradients
from pawprint.diagnostics.probe_loss import Objective, ProbeLoss
from pawprint.diagnostics.weight_gradients import Weight, choose, weight_gradients
from pawprint.diagnostics.weight_norm import weight_norm
from pawprint.seeding import generator, preserve_rng
from pawprint.training.arithmetic import bare
from pawprint.types import Data, RunSpec, TrainState

N_PROBE = 4096  # examples of the mean gradient; late in a training 256 have more noise in it than gradient
N_COSTLY = 512  # of these, for what takes a hundred times as long

OF_EACH_STEP = "layer_gradients"  # of the batch that is learned from, as backward left them
Diagnostic = Literal["weight_gradients", "gradient_noise", "curvature", "weight_norm"]  # of the probe, now and then


@dataclass(frozen=True)
class Diagnosis:
    """One measurement under way."""

    probe: ProbeLoss  # with the weights before the step
    values: dict[str, float]
    of_step: bool  # whether the step is looked at, too

    def of(self, after: nn.Module) -> dict[str, float]:
        """All that was measured, by quantity; `after` is the model when the step is done."""
        if not self.of_step:
            return self.values
        with preserve_rng():
            return self.values | curvature_along_step(self.probe, bare(after))


class Diagnostics:
    """The measurements of one training, always of the same examples and connections."""

    def __init__(
        self, names: tuple[Diagnostic, ...], objective: Objective, batch: Batch, batch_size: int, n_train: int,
        seed: int,
    ) -> None:  # fmt: skip
        """`batch`: the probe, of which the first `N_COSTLY` are looked at one by one; `batch_size`: of a step."""
        self.names, self.objective, self.batch = names, objective, batch
        self.batch_size, self.n_train, self.seed = batch_size, n_train, seed
        self.weights: list[Weight] = []

    def begin(self, state: TrainState) -> Diagnosis:
        """Measure the weights as they are; nothing of `state` changes, nor do the random generators."""
        model = bare(state.model)
        with preserve_rng():
            probe = ProbeLoss(model, self.objective, self.batch, N_COSTLY)
            values: dict[str, float] = {}
            if "weight_gradients" in self.names:
                self.weights = self.weights or choose(model, self.batch.images, self.seed)
                values |= weight_gradients(probe, self.weights)
            if "weight_norm" in self.names:
                values |= weight_norm(model)
            if "gradient_noise" in self.names:
                values |= gradient_noise(probe, self.batch_size, self.n_train)
            if "curvature" in self.names:
                lr = float(state.optimizer.param_groups[0]["lr"])
                values |= curvature(probe, lr, self.seed)
                values |= {"stability_bound": stability_bound(state.optimizer)}
        return Diagnosis(probe, values, "curvature" in self.names)


def diagnostics_of(spec: RunSpec, data: Data, objective: Objective, device: torch.device) -> Diagnostics | None:
    """Those that the settings name, on examples of train drawn by the seed; None if there are none."""
    names = tuple(name for name in get_args(Diagnostic) if name in spec.diagnostics)
    if not names:
        return None
    rows = generator("probe", spec.seed).permutation(len(data.train))[:N_PROBE]
    images = standardize(unit_range(data.train.images[rows]), data)
    batch = Batch(images.to(device), torch.from_numpy(data.train.labels[rows]).to(device))
    return Diagnostics(names, objective, batch, spec.batch_size, len(data.train), spec.seed)


def gradients_by_layer(spec: RunSpec, model: nn.Module) -> dict[str, float]:
    """Of the batch just learned from; empty where the settings do not ask for them."""
    return layer_gradients(bare(model)) if OF_EACH_STEP in spec.diagnostics else {}


def is_due(spec: RunSpec, step: int) -> bool:
    """Whether the step, counted from 1, is one that is measured."""
    return step == 1 or step % spec.diagnose_every_steps == 0
