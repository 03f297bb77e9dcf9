"""How much of what each layer puts out varies from picture to picture?

Method: forward hooks on a handful of layers spread over the depth (inspection/layers.py) while `n_pictures` of the test
set, evenly spaced, run through in one batch; of each layer the share of units that are near constant
(inspection/feature_maps.py): channels of maps, features of vectors. The figure shows what each of the layers makes of
the first of the pictures.

A measurement: capacity that is not used costs time and no accuracy. `dead_relu` looks at every activation and judges.
"""

from __future__ import annotations

from typing import Annotated

from matplotlib.figure import Figure
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated

from pawprint.figures.mosaic import maps_figure
from pawprint.figures.units import units_figure
from pawprint.inspection.feature_maps import Seen, likeliest, map_rows, near_constant, unit_panels
from pawprint.inspection.layers import activations, calls_of, dense, evenly, spread
from pawprint.probes import ProbeSubject
from pawprint.types import STRICT, Finding

QUESTION = "How much of what each layer puts out varies from picture to picture?"


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    n_pictures: Annotated[int, Field(ge=2, le=256)] = 64


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """One batch of the test set."""
    calls = calls_of(subject.model, subject.fed([0]))
    chosen = [*spread(calls), *dense(calls)[:-1]]  # the last are the answers
    if not chosen:
        return _finding({}, "between pictures and answers the network has no layer that can be looked at")
    rows = evenly(range(len(subject.data.test)), settings.n_pictures)
    seen = [Seen(*pair) for pair in zip(chosen, activations(subject.model, subject.fed(rows), chosen), strict=True)]
    if not all(layer.output.isfinite().all() for layer in seen):
        return _finding({}, "activations are not finite: the training diverged")
    shares = {layer.call.title: near_constant(layer.output).double().mean().item() for layer in seen}
    numbers = {"n_pictures": len(rows), "n_layers": len(seen), "near_constant_share_worst": max(shares.values())}
    worst = max(shares, key=lambda label: shares[label])
    units = f"{100 * shares[worst]:.0f} % of the units of {worst} are" if shares[worst] else "no unit is"
    more = ", in no layer more" if shares[worst] else ""
    reading = f"{units} near constant over {len(rows)} test pictures{more}; looked at: {', '.join(shares)}"
    by_layer = {f"near_constant_share_{label}": share for label, share in shares.items()}
    return _finding(numbers | by_layer, reading, _figure(subject, seen, rows[0]))


def _figure(subject: ProbeSubject, seen: list[Seen], row: int) -> Figure:
    """Of the first picture: the maps, or where the network has none its units."""
    title = f"{subject.name}: {subject.data.test.names[row]} in the layers"
    if maps := map_rows(seen, 0):
        return maps_figure(maps, title)
    answers = likeliest(subject.unaltered.probabilities[row], subject.data.class_names)
    return units_figure(unit_panels(seen, 0), answers, title)


def _finding(numbers: dict[str, float], reading: str, figure: Figure | None = None) -> Finding:
    return Finding("feature_maps", QUESTION, numbers, None, "none: a measurement", reading, figure=figure)
