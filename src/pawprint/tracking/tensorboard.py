"""TensorBoard: event files below runs/tensorboard/<run name>."""

import shutil
import warnings
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from pawprint.diagnostics.histograms import EDGES, Histograms
from pawprint.types import RunSpec

# The bins at both ends are open: drawn as wide as the last that is not.
LIMITS = (2 * EDGES[0] - EDGES[1], *EDGES, 2 * EDGES[-1] - EDGES[-2])


class TensorBoard:
    def __init__(self, folder: Path, spec: RunSpec) -> None:
        shutil.rmtree(folder / spec.name, ignore_errors=True)  # a resumed run is told again from its start
        self.writer = SummaryWriter(str(folder / spec.name))

    def log_step(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def log_epoch(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            if name.startswith("val_"):
                self.writer.add_scalar(name, value, step)

    def log_histograms(self, histograms: Histograms, step: int) -> None:
        """From their bins, which is all that a resumed training has: sums are those of the bins' middles."""
        for (kind, layer), (_, *counts) in histograms.items():
            filled = [place for place, count in enumerate(counts) if count]
            if not filled:
                continue
            middles = [(low + high) / 2 for low, high in pairwise(LIMITS)]
            self.writer.add_histogram_raw(
                f"{kind}/{layer}",
                min=LIMITS[filled[0]],
                max=LIMITS[filled[-1] + 1],
                num=sum(counts),
                sum=sum(count * middle for count, middle in zip(counts, middles, strict=True)),
                sum_squares=sum(count * middle**2 for count, middle in zip(counts, middles, strict=True)),
                bucket_limits=list(LIMITS[1:]),
                bucket_counts=counts,
                global_step=step,
            )

    def log_graph(self, model: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """What the model, on the processor and not to be used again, computes of two pictures (C, H, W)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's, of the tracing that its own writer does
            self.writer.add_graph(model.eval(), torch.zeros(2, *image_shape))

    def finish(self, values: dict[str, float], step: int) -> None:
        self.log_step(values, step)
        self.writer.close()
