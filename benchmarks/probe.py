"""What all probes of a checkpoint cost, against the forward passes they need.

Ours: every probe of the root's params.yaml on one checkpoint, as the stage `probe` runs them. Theirs: as many pictures
through the same model in eval mode, in batches as large, and nothing else. How many those are is counted while the
probes run: passes that a probe does twice count as needed, so that this is what probes cost beside their passes.
An untrained ResNet-18 on drawn pets, one thread.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.ratio import Comparison, in_turn, timed
from benchmarks.step import N_CLASSES, noise
from benchmarks.threads import threads
from pawprint import extensions, probes
from pawprint.models import build_model
from pawprint.params import read_study
from pawprint.probes import ProbeSubject
from pawprint.training.evaluate import BATCH_SIZE
from pawprint.types import Data, RunSpec

ROOT = Path(__file__).parents[1]
N_PICTURES = 512
PIXELS = 32
REPEATS = 3
TARGET = 1.5


def run() -> list[Comparison]:
    """One comparison of all probes together."""
    with threads(1):
        data = noise(PIXELS, N_PICTURES)
        data = replace(data, val=data.train, test=data.train)
        spec = RunSpec(study="bench", variant="probe", run="probe", seed=0, accelerator="cpu")
        model = build_model(spec, data).eval()
        study, _ = read_study(ROOT / "params.yaml")
        found = extensions.find(probes, study.probes)
        look = partial(_all, found, model, data)
        n_passed = _counted(model, look)
        images = torch.rand(BATCH_SIZE, *data.image_shape).to(memory_format=torch.channels_last)
        seconds = in_turn({"ours": timed(look), "theirs": timed(partial(_forward, model, images, n_passed))}, REPEATS)
    note = f"probe: {n_passed:,} pictures went through the model for {N_PICTURES} of test and as many of val"
    name = f"probe, {len(found)} probes, {N_CLASSES} classes, {PIXELS} px"
    return [Comparison(name, "the forward passes alone", seconds["ours"], seconds["theirs"], note, TARGET)]


def _all(found: dict[str, Any], model: nn.Module, data: Data) -> None:
    subject = ProbeSubject("bench", data, model)
    for test in found.values():
        test.run(subject)


def _counted(model: nn.Module, work: Callable[[], None]) -> int:
    """How many pictures went through."""
    passed = 0

    def count(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        nonlocal passed
        passed += len(given[0])

    hook = model.register_forward_pre_hook(count)
    try:
        work()
    finally:
        hook.remove()
    return passed


@torch.inference_mode()
def _forward(model: nn.Module, images: torch.Tensor, n_pictures: int) -> None:
    for start in range(0, n_pictures, len(images)):
        model(images[: n_pictures - start])
