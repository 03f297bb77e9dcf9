"""What a training is measured by on its way: at its first step, and at every so many.

A measurement begins before the step, on copies, and is finished by the step itself. So what takes long may be
interrupted and is then done again, and a step and the rows that tell of it are done together or not at all.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from pawprint.data.batches import Batch, standardize, unit_range
from pawprint.diagnostics.activations import Activations
from pawprint.diagnostics.curvature import curvature, curvature_along_step, stability_bound
from pawprint.diagnostics.gradient_noise import gradient_noise
from pawprint.diagnostics.gradient_norm import GradientNorms, layer_gradients
from pawprint.diagnostics.histograms import Histograms, histograms
from pawprint.diagnostics.layer_updates import layer_updates
from pawprint.diagnostics.layers import Weights, change, copied, gradients, weights
from pawprint.diagnostics.probe_loss import Objective, ProbeLoss
from pawprint.diagnostics.weight_gradients import Weight, choose, weight_gradients
from pawprint.diagnostics.weight_norm import weight_norm
from pawprint.seeding import generator, preserve_rng
from pawprint.training.arithmetic import bare
from pawprint.types import OF_PROBE, Data, RunSpec, TrainState

N_PROBE = 4096  # examples of the mean gradient; late in a training 256 have more noise in it than gradient
N_COSTLY = 512  # of these, for what takes a hundred times as long
N_SHOWN = 256  # of these, whose way through the network is looked at

OF_EACH_STEP = "layer_gradients"  # of the batch that is learned from, as backward left them


@dataclass
class Diagnosis:
    """One measurement under way: of the weights before the step, and what the step is still to bring."""

    names: tuple[str, ...]  # of the diagnostics
    values: dict[str, float] = field(default_factory=dict)  # by quantity
    histograms: Histograms = field(default_factory=dict)
    probe: ProbeLoss | None = None  # along whose step the curvature is wanted
    before: Weights = field(default_factory=dict)  # whose change is wanted

    def see_gradients(self, model: nn.Module) -> None:
        """As backward left them."""
        if "histograms" in self.names:
            self.histograms |= histograms("gradients", gradients(bare(model)))

    def see_step(self, after: nn.Module, is_taken: bool = True) -> None:
        """`after` is the model when the step is done, or is left out as it diverged."""
        if self.probe:
            with preserve_rng():
                self.values |= curvature_along_step(self.probe, bare(after))
        if not is_taken:
            return
        changed = change(self.before, weights(bare(after)))
        if "layer_updates" in self.names:
            self.values |= layer_updates(self.before, changed)
        if "histograms" in self.names:
            self.histograms |= histograms("updates", changed)


class Diagnostics:
    """The measurements of one training, always of the same examples and connections."""

    def __init__(self, spec: RunSpec, objective: Objective, batch: Batch, n_train: int) -> None:
        """`batch`: the probe, of which the first `N_COSTLY` are looked at one by one."""
        self.spec, self.objective, self.batch, self.n_train = spec, objective, batch, n_train
        self.weights: list[Weight] = []
        self.activations: Activations | None = None

    def begin(self, state: TrainState) -> Diagnosis:
        """Measure the weights as they are; nothing of `state` changes, nor do the random generators."""
        model, names = bare(state.model), self.spec.diagnostics
        diagnosis = Diagnosis(names)
        with preserve_rng():
            if set(names) & set(OF_PROBE):
                probe = ProbeLoss(model, self.objective, self.batch, N_COSTLY)
                diagnosis.values |= self._of_probe(probe, state)
                diagnosis.probe = probe if "curvature" in names else None
            if "activations" in names:
                self.activations = self.activations or Activations(model, self.batch.images[:N_SHOWN])
                diagnosis.values |= self.activations.measure(model)
        if {"layer_updates", "histograms"} & set(names):
            diagnosis.before = copied(weights(model))
        if "histograms" in names:
            diagnosis.histograms |= histograms("weights", diagnosis.before)
        return diagnosis

    def _of_probe(self, probe: ProbeLoss, state: TrainState) -> dict[str, float]:
        model, names, seed = bare(state.model), self.spec.diagnostics, self.spec.seed
        values: dict[str, float] = {}
        if "weight_gradients" in names:
            self.weights = self.weights or choose(model, self.batch.images, seed)
            values |= weight_gradients(probe, self.weights)
        if "weight_norm" in names:
            values |= weight_norm(model)
        if "gradient_noise" in names:
            values |= gradient_noise(probe, self.spec.batch_size, self.n_train)
        if "curvature" in names:
            values |= curvature(probe, float(state.optimizer.param_groups[0]["lr"]), seed)
            values |= {"stability_bound": stability_bound(state.optimizer)}
        return values


def diagnostics_of(spec: RunSpec, data: Data, objective: Objective, device: torch.device) -> Diagnostics | None:
    """Those that the settings name, on examples of train drawn by the seed; None if there are none now and then."""
    if not set(spec.diagnostics) - {OF_EACH_STEP}:
        return None
    n = N_PROBE if set(spec.diagnostics) & set(OF_PROBE) else N_SHOWN
    rows = generator("probe", spec.seed).permutation(len(data.train))[:n]
    images = standardize(unit_range(data.train.images[rows]), data)
    batch = Batch(images.to(device), torch.from_numpy(data.train.labels[rows]).to(device))
    return Diagnostics(spec, objective, batch, len(data.train))


def gradients_by_layer(spec: RunSpec, norms: GradientNorms) -> dict[str, float]:
    """Of the batch learned from; empty where the settings do not ask for them."""
    return layer_gradients(norms) if OF_EACH_STEP in spec.diagnostics else {}


def is_due(spec: RunSpec, step: int) -> bool:
    """Whether the step, counted from 1, is one that is measured."""
    return step == 1 or step % spec.diagnose_every_steps == 0
