"""What a run's augmentations do, on a few pictures of train: the very views that its training draws."""

from __future__ import annotations

import numpy as np

from pawprint.data.views import View, unlabelled_views, view_of
from pawprint.types import Data, RunSpec

N_PICTURES = 5  # of different classes, as far as there are so many
N_PASSES = 3  # of each view


def view_sheet(spec: RunSpec, data: Data) -> dict[str, np.ndarray]:
    """Name of a view → pictures (n, passes, H, W, C) uint8: as they are, then each view that the training makes."""
    labels, first = np.unique(data.train.labels, return_index=True)
    rows = first[:: max(1, len(labels) // N_PICTURES)][:N_PICTURES]
    images = data.train.images[rows]
    sheet = {"as it is": images[:, None]}
    for title, view in views(spec, data).items():
        drawn = [view.draw(number, len(data.train)) for number in range(1, N_PASSES + 1)]
        sheet[title] = np.stack([view(images, of_pass, rows) for of_pass in drawn], axis=1)
    return sheet


def views(spec: RunSpec, data: Data) -> dict[str, View]:
    """Those of its labelled pictures; where FixMatch compares two of the unlabelled ones, these two."""
    if spec.objective == "fixmatch":
        return {f"{kind} views": view for kind, view in unlabelled_views(spec, data).items()}
    return {f"{spec.augmentation} views": view_of(spec.augmentation, spec, data)}
