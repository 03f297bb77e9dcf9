"""Have the filters that see the pixels learned shapes?

Method: the weights of the first layer, as pictures (inspection/filters.py): a convolution's kernels, or the rows of a
linear layer with an input for every value of the picture. Of each filter its roughness: 1 for weights drawn
independently of each other, as a training begins, near 0 for smooth ones; noisy filters late in a training tell of one
too short or too little regularized (Karpathy, CS231n notes, "Visualizing what ConvNets learn"). A filter is *near zero*
if its norm is below `near_zero_percent` of the layer's largest.

A measurement: what roughness is right depends on the pictures, and small networks answer well with filters that look
like noise. A layer of kernels of one pixel, or one that sees no pixels (tokens), is not measured.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from matplotlib.figure import Figure
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated

from pawprint.figures.mosaic import filters_figure
from pawprint.inspection.filters import roughness, seeing_pixels
from pawprint.inspection.layers import calls_of
from pawprint.probes import ProbeSubject
from pawprint.types import STRICT, Finding

QUESTION = "Have the filters that see the pixels learned shapes?"
N_SHOWN = 64


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    near_zero_percent: Annotated[float, Field(ge=0, le=100)] = 10.0  # of the layer's largest norm


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """One forward pass of one picture, to learn which layer comes first; the figure shows its filters."""
    found = seeing_pixels(calls_of(subject.model, subject.fed([0])), subject.data.image_shape)
    if found is None:
        return _finding({}, "the network's first layer has no weights that are pictures")
    call, filters = found
    norms = np.sqrt((filters**2).sum(axis=(1, 2, 3)))
    if not np.isfinite(norms).all():
        return _finding({}, f"the weights of {call.title} are not finite: the training diverged")
    near_zero = norms <= settings.near_zero_percent / 100 * norms.max()
    rough = roughness(filters)
    numbers = {
        "n_filters": len(filters),
        "near_zero_share": float(near_zero.mean()),
        **({"roughness_median": float(np.nanmedian(rough))} if np.isfinite(rough).any() else {}),
    }
    shown = f"the first {N_SHOWN} of {len(filters)}" if len(filters) > N_SHOWN else f"all {len(filters)}"
    colors = "0 is grey" if filters.shape[1] == 3 else "blue above 0, red below"
    title = f"{subject.name}: filters of {call.title}, {shown}; {colors}"
    return _finding(numbers, _reading(call.title, numbers), filters_figure(filters[:N_SHOWN], title))


def _reading(layer: str, numbers: dict[str, float]) -> str:
    n_near_zero = round(numbers["near_zero_share"] * numbers["n_filters"])
    zero = f"{n_near_zero} of the {numbers['n_filters']} filters of {layer} are near zero"
    if "roughness_median" not in numbers:
        return zero
    return f"{zero}; half of them are rougher than {numbers['roughness_median']:.2f} (weights drawn at random: 1)"


def _finding(numbers: dict[str, float], reading: str, figure: Figure | None = None) -> Finding:
    return Finding("filters", QUESTION, numbers, None, "none: a measurement", reading, figure=figure)
