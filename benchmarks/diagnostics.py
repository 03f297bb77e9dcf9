"""What each diagnostic adds to a training step, as a share of a bare PyTorch step.

Theirs is forward, backward, step and zero_grad on a batch in memory. Ours is what a diagnostic does beside it, timed
by itself between a step's own parts, as a difference of whole steps would drown in their noise. What is done at one
step in `diagnose_every_steps` counts by that share. `default` is what every training does: the gradients' norms, at
each step, with `diagnostics: []`. What looks at a probe's loss is timed on the MLP that it is for. On one thread of the
processor, where a training of the graph runs; pictures of noise.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from benchmarks.ratio import Comparison, Work, in_turn, timed
from benchmarks.step import noise
from benchmarks.threads import threads
from pawprint.data.batches import TrainBatches
from pawprint.diagnostics.gradient_norm import gradient_norm, gradient_norms
from pawprint.models import build_model
from pawprint.objectives import build_objective
from pawprint.training.diagnose import OF_EACH_STEP, Diagnostics, diagnostics_of, gradients_by_layer
from pawprint.training.optimizers import build_optimizer
from pawprint.types import OF_PROBE, Data, RunSpec, TrainState

OF_LAYERS = (OF_EACH_STEP, "layer_updates", "activations", "histograms")
PLACES: dict[tuple[str, int], tuple[tuple[str, ...], int, int]] = {  # → diagnostics, steps timed together, repeats
    ("resnet18", 32): (OF_LAYERS, 2, 9),
    ("resnet18", 64): (OF_LAYERS, 1, 7),
    ("mlp", 16): ((*OF_LAYERS, *OF_PROBE), 50, 9),
}
N_TRAIN = 4096  # what a probe's loss is of


def run() -> list[Comparison]:
    """A comparison for each model, picture size and diagnostic."""
    with threads(1):
        return [row for (model, pixels), how in PLACES.items() for row in compare(model, noise(pixels, N_TRAIN), *how)]


def compare(model: Any, data: Data, names: tuple[Any, ...], n_steps: int, repeats: int) -> list[Comparison]:
    """What every training does and what each diagnostic adds to a step, against the bare step."""
    spec = RunSpec(study="bench", variant="diagnostics", run="it", seed=0, model=model, accelerator="cpu")
    step, each, some = Step(spec, data), "each step", f"one step in {spec.diagnose_every_steps}"
    works: dict[str, Work] = {
        "bare": lambda: sum(step.bare() for _ in range(n_steps)) / n_steps,
        f"default: gradient norms, {each}": lambda: sum(step.norms() for _ in range(n_steps)) / n_steps,
    }
    for name in names:
        own = replace(spec, diagnostics=(name,))
        if name == OF_EACH_STEP:
            works[f"{name}, {each}"] = partial(step.gradients, own)
        else:
            diagnostics = diagnostics_of(own, data, build_objective(own, data), torch.device("cpu"))
            assert diagnostics is not None
            works[f"{name}, {some}"] = partial(step.diagnosed, diagnostics, spec.diagnose_every_steps)
    seconds = in_turn(works, repeats)
    bare, place = seconds.pop("bare"), f"{model}, {data.image_shape[1]} px"
    against = "bare PyTorch step, whole"
    return [Comparison(f"{name}, {place}", against, added, bare) for name, added in seconds.items()]


class Step:
    """A bare PyTorch step, and the seconds of what comes to it; the gradients stay until the next one."""

    def __init__(self, spec: RunSpec, data: Data) -> None:
        self.batch = next(TrainBatches(data, spec).epoch(1))
        self.model = build_model(spec, data).train()
        self.optimizer = build_optimizer(spec, self.model)
        self.state = TrainState(self.model, self.optimizer, None, 0, 0)

    def backward(self) -> None:
        self.optimizer.zero_grad()
        functional.cross_entropy(self.model(self.batch.images), self.batch.labels).backward()

    def bare(self) -> float:
        return seconds_of(self.backward) + seconds_of(self.optimizer.step)

    def norms(self) -> float:
        self.bare()
        return seconds_of(lambda: gradient_norm(gradient_norms(self.model)))

    def gradients(self, spec: RunSpec) -> float:
        self.bare()
        return seconds_of(lambda: gradients_by_layer(spec, gradient_norms(self.model)))

    def diagnosed(self, diagnostics: Diagnostics, every: int) -> float:
        """A diagnosis around a step, spread over the steps without one."""
        began = time.perf_counter()
        diagnosis = diagnostics.begin(self.state)
        before = time.perf_counter() - began
        self.backward()
        gradients = seconds_of(lambda: diagnosis.see_gradients(self.model))
        self.optimizer.step()
        return (before + gradients + seconds_of(lambda: diagnosis.see_step(self.model))) / every


def seconds_of(action: Callable[[], object]) -> float:
    return timed(action)()
