"""What layers make of pictures, ready to be drawn, and which of their units say nothing.

A unit (a channel of maps, a feature of a vector) is *near constant* if its standard deviation over pictures and places
is below `NEAR_CONSTANT` of the layer's (the root of the mean of its units' variances): whatever it is shown, the next
layer gets the same from it, which a bias could give. A dead ReLU is one kind, a saturated unit another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pawprint.figures.mosaic import MapRow
from pawprint.figures.units import Units
from pawprint.inspection.layers import Call

N_CHANNELS = 12  # of a layer that are drawn: those that answer most strongly
N_NAMED = 5  # classes
NEAR_CONSTANT = 0.01


@dataclass(frozen=True)
class Seen:
    """The outputs of a call, (B, …)."""

    call: Call
    output: torch.Tensor


def map_rows(seen: Sequence[Seen], row: int) -> list[MapRow]:
    """Of each layer with maps (C, H, W), or tokens (T, D) as one map, what it makes of picture `row`."""
    rows = []
    for layer in seen:
        output, shape = layer.output[row].float(), layer.call.shape
        if len(shape) == 2:
            rows.append(MapRow(f"{_titled(layer.call)}: tokens by features", [0], output[None].numpy()))
        elif layer.call.is_spatial:
            strongest = output.abs().mean(dim=(1, 2)).nan_to_num().argsort(descending=True, stable=True)[:N_CHANNELS]
            which = f"the {len(strongest)} strongest of {shape[0]}" if len(strongest) < shape[0] else f"{shape[0]}"
            label = f"{_titled(layer.call)}: {which} channels, {shape[1]} × {shape[2]}"
            rows.append(MapRow(label, strongest.tolist(), output[strongest].numpy()))
    return rows


def unit_panels(seen: Sequence[Seen], row: int) -> list[Units]:
    """Of each layer with a vector a picture, its values for picture `row`."""
    return [Units(_titled(layer.call), layer.output[row].flatten().float().numpy()) for layer in seen
            if layer.call.n_features]  # fmt: skip


def likeliest(probabilities: np.ndarray, class_names: Sequence[str], n: int = N_NAMED) -> list[tuple[str, float]]:
    """The `n` classes with the highest of the probabilities (K,), the first one first."""
    order = np.argsort(-probabilities, kind="stable")[:n]
    return [(class_names[k] if k < len(class_names) else str(k), float(probabilities[k])) for k in order]


def near_constant(output: torch.Tensor) -> torch.Tensor:
    """Which units of outputs (B, units, …) are near constant over the B pictures, (units,) bool."""
    by_unit = output.double().flatten(2) if output.ndim > 2 else output.double()[..., None]
    deviation = by_unit.std(dim=(0, 2), correction=0)
    return deviation <= NEAR_CONSTANT * deviation.square().mean().sqrt()


def _titled(call: Call) -> str:
    return f"{call.title}, {call.kind}"
