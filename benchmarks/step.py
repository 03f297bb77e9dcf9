"""What our step costs against a bare PyTorch step.

Ours is the loop itself (`training.loop.run`): objective, backward, gradient norms, a row of history, DVCLive and W&B
(offline), optimizer step. Theirs is forward, backward, step and zero_grad of the same ResNet-18, channels last, with
the same fused Adam; and the same in a process that keeps what it frees, as ours does (`pawprint.memory`), which says
what ours costs beside that. Both work on the same pictures, in memory; augmentation is the epoch's benchmark. On one
thread of the processor, where a training of the graph runs; each in a process of its own.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.nn import functional

from benchmarks.apart import Apart, apart
from benchmarks.ratio import Comparison, Work, in_turn, timed
from benchmarks.threads import threads
from pawprint.data.batches import Batch, TrainBatches
from pawprint.diagnostics.gradient_norm import gradient_norm, gradient_norms
from pawprint.memory import keep_freed_memory
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
        training.spec = replace(spec, epochs=done)
        loop.run(training, log_step, lambda row, step: None, lambda: None, save_every_seconds=float("inf"))
        if training.diverged:
            raise RuntimeError(f"expected a whole epoch to time: {training.diverged}")
        return batches.seconds

    return work


def run() -> list[Comparison]:
    """For each picture size against both bare steps, and the gradient norms' share of the first."""
    with tempfile.TemporaryDirectory() as folder:
        surroundings = {"PAWPRINT_RUNS": folder, "WANDB_MODE": "offline"}
        with mock.patch.dict(os.environ, surroundings):
            return [row for pixels, how in PLACES.items() for row in compare(pixels, *how)]


def compare(pixels: int, n_steps: int, repeats: int) -> list[Comparison]:
    with ExitStack() as running:

        def started(make: Callable[..., Any], *arguments: object) -> Apart:
            return running.enter_context(apart(make, pixels, n_steps, *arguments))

        works = {
            "ours": started(ours),
            "bare": started(bare, False),
            "kept": started(bare, True),
            "norms": started(norms),
        }
        seconds = {name: [s / n_steps for s in rounds] for name, rounds in in_turn(works, repeats).items()}
    place, against = f"{pixels} px, batch {BATCH_SIZE}", "bare PyTorch step"
    return [
        Comparison(f"step, {place}", against, seconds["ours"], seconds["bare"], target=TARGET),
        Comparison(f"step, {place}", f"{against}, memory kept", seconds["ours"], seconds["kept"]),
        Comparison(f"gradient_norm, {place}", f"{against}, whole", seconds["norms"], seconds["bare"]),
    ]


@contextmanager
def ours(pixels: int, n_steps: int) -> Iterator[Work]:
    """The loop over so many steps, told to the trackers; RuntimeError where one of these gave up."""
    data = noise(pixels, n_steps * BATCH_SIZE)
    spec = _spec(pixels)
    tracker = Trackers(TRACKERS, spec, f"bench{pixels}", {})
    yield our_epoch(spec, data, InMemory(data, spec, _batch(data, spec)), tracker.log_step)
    if set(tracker.trackers) != set(TRACKERS):
        raise RuntimeError(f"expected the trackers {TRACKERS} to last, only {set(tracker.trackers)} did")
    tracker.finish({}, step=10**6)


@contextmanager
def bare(pixels: int, n_steps: int, keeps_memory: bool) -> Iterator[Work]:
    """So many bare steps."""
    if keeps_memory:
        keep_freed_memory()
    data, spec = noise(pixels, BATCH_SIZE), _spec(pixels)
    model = build_model(spec, data).train()
    step = bare_step(model, _batch(data, spec), build_optimizer(spec, model))
    with threads(1):
        yield timed(lambda: [step() for _ in range(n_steps)])


@contextmanager
def norms(pixels: int, n_steps: int) -> Iterator[Work]:
    """The norms of one step's gradients, so many times."""
    data, spec = noise(pixels, BATCH_SIZE), _spec(pixels)
    model = build_model(spec, data).train()
    with threads(1):
        bare_step(model, _batch(data, spec), build_optimizer(spec, model))()
        yield timed(lambda: [gradient_norm(gradient_norms(model)) for _ in range(n_steps)])


def _spec(pixels: int) -> RunSpec:
    return RunSpec(
        study="bench", variant=f"step_{pixels}", run="step", seed=0, batch_size=BATCH_SIZE, accelerator="cpu"
    )  # fmt: skip


def _batch(data: Data, spec: RunSpec) -> Batch:
    return next(TrainBatches(data, spec).epoch(1))


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
