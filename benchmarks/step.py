"""What our step costs against a bare PyTorch step.

Ours is the loop itself (`training.loop.run`): objective, backward, gradient norms, a row of history, DVCLive and W&B
(offline), optimizer step. Theirs is forward, backward, step and zero_grad of the same ResNet-18, channels last, with
the same fused Adam. Both work on the same pictures, in memory; augmentation is the epoch's benchmark. On one thread
of the processor, where a training of the graph runs.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch.nn import functional

from benchmarks.ratio import Comparison, Work, in_turn, timed
from pawprint.data.batches import Batch, TrainBatches
from pawprint.diagnostics.gradient_norm import gradient_norm, gradient_norms
from pawprint.models import build_model
from pawprint.tracking import Trackers
from pawprint.training import loop, variant
from pawprint.training.optimizers import build_optimizer
from pawprint.types import Data, RunSpec, Split

BATCH_SIZE = 32
N_CLASSES = 37
PLACES = {32: (8, 8), 64: (3, 6)}  # side of the picture, pixels → steps timed together, repeats
TRACKERS = ("dvclive", "wandb")
TARGET = 1.03


class TimedBatches(TrainBatches):
    """Training batches that tell how long the loop was between asking for the first and having done the last."""

    seconds = 0.0

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        began = time.perf_counter()
        yield from self.source(epoch, start)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds = time.perf_counter() - began

    def source(self, epoch: int, start: int) -> Iterator[Batch]:
        return super().epoch(epoch, start)


class InMemory(TimedBatches):
    """The one batch, over and over."""

    def __init__(self, data: Data, spec: RunSpec, batch: Batch) -> None:
        super().__init__(data, spec)
        self.batch = batch

    def source(self, epoch: int, start: int) -> Iterator[Batch]:
        return (self.batch for _ in range(start, self.steps_per_epoch))


def our_epoch(spec: RunSpec, data: Data, batches: TimedBatches, log_step: loop.Log) -> Work:
    """The loop over one further epoch each time it is called; validation is not counted."""
    training = variant.set_up(spec, data)
    training.batches = batches
    done = 0

    def work() -> float:
        nonlocal done
        done += 1
        torch.use_deterministic_algorithms(True, warn_only=True)  # ours pays for it, a bare step does not
        training.spec = replace(spec, epochs=done)
        loop.run(training, log_step, lambda row, step: None, lambda: None, save_every_seconds=float("inf"))
        torch.use_deterministic_algorithms(False)
        if training.diverged:
            raise RuntimeError(f"expected a whole epoch to time: {training.diverged}")
        return batches.seconds

    return work


def run() -> list[Comparison]:
    """A comparison for each picture size, and the gradient norms' share of the bare step."""
    with tempfile.TemporaryDirectory() as folder:
        surroundings = {"PAWPRINT_RUNS": folder, "WANDB_MODE": "offline"}
        with mock.patch.dict(os.environ, surroundings):
            return [row for pixels in PLACES for row in _at(pixels, Path(folder))]


def _at(pixels: int, folder: Path) -> list[Comparison]:
    n_steps, repeats = PLACES[pixels]
    data = noise(pixels, n_steps * BATCH_SIZE)
    spec = RunSpec(
        study="bench", variant=f"step_{pixels}", run="step", seed=0, batch_size=BATCH_SIZE, accelerator="cpu"
    )
    batch = next(TrainBatches(data, spec).epoch(1))
    tracker = Trackers(TRACKERS, spec, f"bench{pixels}", {})
    model = build_model(spec, data).train()
    bare = bare_step(model, batch, build_optimizer(spec, model))
    works = {
        "ours": our_epoch(spec, data, InMemory(data, spec, batch), tracker.log_step),
        "bare": timed(lambda: [bare() for _ in range(n_steps)]),
        "gradient_norm": timed(lambda: [gradient_norm(gradient_norms(model)) for _ in range(n_steps)]),
    }
    seconds = {name: [s / n_steps for s in rounds] for name, rounds in in_turn(works, repeats).items()}
    if set(tracker.trackers) != set(TRACKERS):
        raise RuntimeError(f"expected the trackers {TRACKERS} to last, only {set(tracker.trackers)} did")
    tracker.finish({}, step=10**6)
    place = f"{pixels} px, batch {BATCH_SIZE}"
    return [
        Comparison(f"step, {place}", "bare PyTorch step", seconds["ours"], seconds["bare"], target=TARGET),
        Comparison(
            f"gradient_norm, {place}", "bare PyTorch step, whole", seconds["gradient_norm"], seconds["bare"]
        ),
    ]  # fmt: skip


def bare_step(model: torch.nn.Module, batch: Batch, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """One step, its gradients left there until the next, for `gradient_norm` to be timed on."""

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(batch.images), batch.labels).backward()
        optimizer.step()

    return step


def noise(pixels: int, n_train: int) -> Data:
    """Pictures of noise: a step takes as long, whatever is on them."""
    draws = np.random.default_rng(0)

    def split(n: int) -> Split:
        images = draws.integers(0, 256, (n, pixels, pixels, 3), dtype=np.uint8)
        return Split([str(i) for i in range(n)], images, np.arange(n, dtype=np.int64) % N_CLASSES)

    return Data(
        train=split(n_train), val=split(2), test=split(2), unlabelled=None,
        class_names=[str(i) for i in range(N_CLASSES)], image_shape=(3, pixels, pixels),
        mean=(0.5,) * 3, std=(0.29,) * 3, split_hash="", content_hash="",
    )  # fmt: skip
