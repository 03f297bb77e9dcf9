"""Are there units that no test picture switches on?

Method: activations are found in the model's graph (`diagnostics.activation_functions`), through which the test set
then runs once. A unit (a channel of a convolution, a feature of a linear layer) is *dead* if it is zero on every
picture at every position: no gradient passes it, so on such pictures no step of training brings it back (Lu et al.,
arXiv 1903.06733). It is *nearly dead* if it fires on fewer than `nearly_dead_percent` of the pictures; a layer is dead
if all its units are, nearly dead if `nearly_dead_layer_percent` of them are dead or nearly so.

Why an activation can die is read from what computes its input, going back through pooling, dropout and reshaping to
the first layer, normalization or sum (`WHY`). Batch normalization (arXiv 1502.03167) centers each channel, whatever the
weights before it do; a residual sum (arXiv 1512.03385) brings in the shortcut.

What counts is eval mode, in which batch normalization uses its running statistics.

Limits: `max_dead_percent` of the units whose input a normalization or a residual sum centers, all together, and
`max_dead_layer_percent` of those of any one activation. A unit that is dead on all pictures is capacity paid for and
not used, but without normalization a share of them belongs to healthy trainings. Dead units in percent, trained with
Adam, test accuracy in brackets; ten trainings of each small network, two or three of ResNet-18:

    after a normalization or a sum, all     batch-normalized CNN, rate 1e-3: 0 (0.77 to 0.86)
                                            ResNet-18, 1e-3: 0 (0.61 to 0.67); 1e-2: 0.7, 2.6 (0.32, 0.22);
                                            1e-1: 35, 36 (0.06, 0.03)
    after a bare layer, the worst           MLP on digits, 1e-3: 4 to 11 (0.96 to 0.98); 1e-2: 16 to 27 (0.95 to 0.99);
                                            1e-1: 86 to 97 (0.51 to 0.83)
                                            CNN, either kind, 1e-3: 39 to 56 (0.61 to 0.86); bare, 1e-2: 91 to 100
                                            (0.03 to 0.41)

So 1 % and 75 %: no healthy training is beyond them, and of the ruined ones all but one ResNet-18 at 1e-2. A unit silent
on n pictures may still fire on others: on fewer than 3 / n of them, at 95 % ("rule of three", Hanley and Lippman-Hand
1983, JAMA 249:1743).

Where torch.fx cannot trace the model, there is no verdict.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated
from torch import fx, nn

from pawprint.data.batches import in_order, standardize
from pawprint.diagnostics.activation_functions import (
    Activation,
    FiringRecorder,
    Origin,
    Untraceable,
    find_activations,
    graph_of,
)
from pawprint.figures.firing import FiringRow, firing_figure
from pawprint.probes import ProbeSubject
from pawprint.training.evaluate import BATCH_SIZE, eval_mode
from pawprint.types import STRICT, Data, Finding

QUESTION = "Are there units that no test picture switches on?"
Percent = Annotated[float, Field(ge=0, le=100)]

WHY: dict[Origin, str] = {
    "norm": "a normalization centers its input, so a unit dies only if the learned shift sinks far below zero or the "
    "running statistics are off",
    "layer": "no normalization before it, so one large step can push a unit's weights so low that no input is "
    "positive, and no gradient brings them back",
    "sum": "it follows a residual sum, whose branch must outweigh the shortcut on every picture",
    "other": "neither a layer nor a normalization comes right before it, so it is zero where what it is given is",
}
IN_BRANCH = "; a shortcut passes by it, so the network stays trainable"
CENTERED: tuple[Origin, ...] = ("norm", "sum")  # where a healthy training leaves no unit dead
PLACES: dict[Origin, str] = {
    "norm": "right after a normalization",
    "layer": "after a layer without normalization",
    "sum": "after a residual sum",
    "other": "elsewhere",
}


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    max_dead_percent: Percent = 1.0  # of the units after a normalization or a residual sum, all together
    max_dead_layer_percent: Percent = 75.0  # of the units of any one activation
    nearly_dead_percent: Percent = 1.0  # of the pictures: a unit that fires on fewer is nearly dead
    nearly_dead_layer_percent: Percent = 90.0  # of a layer's units, dead or nearly: the layer is nearly dead


@dataclass(frozen=True)
class Firing:
    """On how many of `n_pictures` each unit of an activation is not zero, at any position."""

    activation: Activation
    counts: torch.Tensor  # (units,) int64
    n_pictures: int

    @property
    def dead(self) -> list[int]:
        return torch.nonzero(self.counts == 0).flatten().tolist()

    @property
    def dead_percent(self) -> float:
        return 100 * len(self.dead) / len(self.counts)

    def nearly_dead(self, percent: float) -> list[int]:
        """Units that fire, but on fewer than `percent` of the pictures."""
        return torch.nonzero((self.counts > 0) & (100 * self.counts < percent * self.n_pictures)).flatten().tolist()


def why(activation: Activation) -> str:
    """Why it can die, or why it cannot."""
    if not activation.can_die:
        return "its slope below zero lets gradients through"
    return WHY[activation.origin] + (IN_BRANCH if activation.in_branch else "")


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """One pass over the test set; the figure shows each activation's units by how often they fire."""
    with eval_mode(subject.model):
        try:
            graph = graph_of(subject.model)
        except Untraceable as error:
            return _untraceable(subject.model, error.__cause__)
        activations = find_activations(graph)
        fires, is_finite = _measure(graph, [a for a in activations if a.can_die], subject.data)
    if not is_finite:
        return _no_verdict("activations are not finite: the training diverged", "lower the learning rate, or clip")
    return _finding(subject, activations, fires, settings)


@torch.inference_mode()
def _measure(graph: fx.GraphModule, watched: list[Activation], data: Data) -> tuple[list[Firing], bool]:
    if not watched:
        return [], True
    recorder = FiringRecorder(graph, watched)
    device = next((p.device for p in graph.parameters()), torch.device("cpu"))
    for images, _ in in_order(data.test, BATCH_SIZE):
        recorder.run(standardize(images.to(device), data))
    return [Firing(a, recorder.counts[a.node], len(data.test)) for a in watched], recorder.is_finite


def _untraceable(model: nn.Module, error: BaseException | None) -> Finding:
    first_sentence = str(error).partition(". ")[0].partition("\n")[0]
    return _no_verdict(
        f"torch.fx cannot trace {type(model).__name__} ({type(error).__name__}: {first_sentence}): its activations "
        "were not looked into",
        "move branches that depend on values out of `forward`, or mark the function that holds them with torch.fx.wrap",
    )


def _no_verdict(reading: str, remedy: str) -> Finding:
    return Finding("dead_relu", QUESTION, {}, passed=None, limit="no verdict", reading=reading, remedy=remedy)


def _finding(subject: ProbeSubject, activations: list[Activation], fires: list[Firing], settings: Settings) -> Finding:
    guilty = _guilty(fires, settings)
    rows = [
        FiringRow(f.activation.label, PLACES[f.activation.origin], [100 * c / f.n_pictures for c in f.counts.tolist()])
        for f in fires
    ]
    return Finding(
        name="dead_relu",
        question=QUESTION,
        numbers=_numbers(activations, fires, settings),
        passed=not guilty,
        limit=f"dead at most {settings.max_dead_percent:g} % of the units after a normalization or a residual sum, and "
        f"{settings.max_dead_layer_percent:g} % of any activation's",
        reading=_reading(activations, fires, settings),
        remedy=_remedy(max(guilty, key=lambda f: f.dead_percent).activation) if guilty else None,
        figure=firing_figure(rows, settings.nearly_dead_percent, subject.name) if rows else None,
    )


def _guilty(fires: list[Firing], settings: Settings) -> list[Firing]:
    """The activations with dead units that break a limit."""
    centered = [f for f in fires if f.activation.origin in CENTERED]
    beyond = [f for f in fires if f.dead_percent > settings.max_dead_layer_percent]
    if _dead_percent(centered) > settings.max_dead_percent:
        beyond += [f for f in centered if f.dead]
    return beyond


def _dead_percent(fires: list[Firing]) -> float:
    return 100 * sum(len(f.dead) for f in fires) / max(sum(len(f.counts) for f in fires), 1)


def _numbers(activations: list[Activation], fires: list[Firing], settings: Settings) -> dict[str, float]:
    origins = Counter(f.activation.origin for f in fires)
    n_nearly = [len(f.nearly_dead(settings.nearly_dead_percent)) for f in fires]
    silent = [f.dead_percent + 100 * n / len(f.counts) for f, n in zip(fires, n_nearly, strict=True)]
    n_dead_layers = sum(len(f.dead) == len(f.counts) for f in fires)
    return {
        "n_activations": len(activations),
        "n_that_can_die": len(fires),
        **{f"n_that_can_die_after_{origin}": n for origin, n in sorted(origins.items())},
        "n_units": sum(len(f.counts) for f in fires),
        "n_dead": sum(len(f.dead) for f in fires),
        "dead_percent": _dead_percent(fires),
        "dead_percent_normalized": _dead_percent([f for f in fires if f.activation.origin in CENTERED]),
        "dead_percent_worst_layer": max((f.dead_percent for f in fires), default=0.0),
        "n_nearly_dead": sum(n_nearly),
        "n_dead_layers": n_dead_layers,
        "n_nearly_dead_layers": sum(s >= settings.nearly_dead_layer_percent for s in silent) - n_dead_layers,
        **{f"dead_percent_{f.activation.label}": f.dead_percent for f in fires if f.dead},
    }


def _reading(activations: list[Activation], fires: list[Firing], settings: Settings) -> str:
    if not fires:
        return f"none of the model's {len(activations)} activations is of a kind that can die"
    places = Counter(PLACES[f.activation.origin] for f in fires)
    can = f"{len(fires)} of {len(activations)} activations can die ({', '.join(f'{n} {p}' for p, n in places.items())})"
    n_units, n_pictures = sum(len(f.counts) for f in fires), fires[0].n_pictures
    n_nearly = sum(len(f.nearly_dead(settings.nearly_dead_percent)) for f in fires)
    few = f"{n_nearly} on fewer than {settings.nearly_dead_percent:g} %"
    dead = sorted((f for f in fires if f.dead), key=lambda f: -f.dead_percent)
    if not dead:
        return f"{can}; each of their {n_units} units fires on some of the {n_pictures} test pictures, {few}"
    named = "; ".join(f"{f.activation.label}: {_units(f)}" for f in dead[:2])
    more = f"; {len(dead) - 2} more" if len(dead) > 2 else ""
    return (
        f"{can}; {sum(len(f.dead) for f in dead)} of {n_units} units never fire on the {n_pictures} test pictures "
        f"({named}{more}), and {few}; at 95 %, such a unit fires on at most {min(1, 3 / n_pictures):.1%} of others. "
        f"{dead[0].activation.label}: {why(dead[0].activation)}"
    )


def _units(firing: Firing) -> str:
    if len(firing.dead) == len(firing.counts):
        return f"the whole layer, {len(firing.dead)} units"
    named = ", ".join(map(str, firing.dead[:3])) + (" …" if len(firing.dead) > 3 else "")
    return f"{len(firing.dead)} of {len(firing.counts)}, unit{'s' * (len(firing.dead) > 1)} {named}"


def _remedy(activation: Activation) -> str:
    general = "lower the learning rate or warm it up, clip gradients, or use an activation with a slope below zero"
    if activation.origin == "layer":
        return f"normalize before the activation; {general}"
    if activation.origin == "norm":
        return f"{general}; or take the weight decay off the normalization's scales"
    return general
