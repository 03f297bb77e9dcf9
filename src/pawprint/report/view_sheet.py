"""What a run's augmentations do, on a few pictures of train: the very views that its training draws."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import torch

from pawprint.data.batches import TrainBatches
from pawprint.data.views import View, unlabelled_views, view_of
from pawprint.types import Data, RunSpec

N_PICTURES = 5  # of different classes, as far as there are so many
N_PASSES = 3  # of each view


def view_sheet(spec: RunSpec, data: Data) -> dict[str, np.ndarray]:
    """Name of a view → pictures (n, passes, H, W, C) uint8: as they are, then each view that the training makes."""
    labels, first = np.unique(data.train.labels, return_index=True)
    rows = first[:: max(1, len(labels) // N_PICTURES)][:N_PICTURES]
    images, own = torch.from_numpy(data.train.images[rows]), torch.from_numpy(rows)
    sheet = {"as it is": images.numpy()[:, None]}
    for title, view in views(spec, data).items():
        drawn = [view.draw(number, len(data.train)) for number in range(1, N_PASSES + 1)]
        sheet[title] = torch.stack([view(images, of_pass, own) for of_pass in drawn], dim=1).numpy()
    return sheet | ({spec.mixing: mixed(spec, data, len(rows))} if spec.mixing != "none" else {})


def mixed(spec: RunSpec, data: Data, n: int) -> np.ndarray:
    """The first pictures that the training learns from, views mixed two and two: (n, passes, H, W, C) uint8."""
    full = min(spec.batch_size, len(data.train))  # of two batches at least one is: a pass may end in a smaller one
    batches = islice(TrainBatches(data, spec).without_end(), 2 * math.ceil(n * N_PASSES / full))
    images = torch.cat([batch.images for batch in batches])[: n * N_PASSES]
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    pixels = (255 * (images * std + mean)).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels.reshape(n, N_PASSES, *pixels.shape[1:])


def views(spec: RunSpec, data: Data) -> dict[str, View]:
    """Those of its labelled pictures; where FixMatch compares two of the unlabelled ones, these two."""
    if spec.objective == "fixmatch":
        return {f"{kind} views": view for kind, view in unlabelled_views(spec, data).items()}
    return {f"{spec.augmentation} views": view_of(spec.augmentation, spec, data)}
