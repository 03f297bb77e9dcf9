"""Are there units that no test picture switches on?

Method: the model is traced with torch.fx, so that activations are found in what `forward` computes and not by name:
a module that is called twice (torchvision's BasicBlock) is two activations, and `F.relu`, `torch.relu`,
`tensor.relu()` and `clamp(min=0)` count as `nn.ReLU` does. The test set then runs through the graph once. A unit (a
channel of a convolution, a feature of a linear layer) is *dead* if it is zero on every picture at every position: no
gradient passes it, so on such pictures no step of training brings it back (Lu et al., arXiv 1903.06733). It is *nearly
dead* if it fires on fewer than `nearly_dead_percent` of the pictures; a layer is dead if all its units are, nearly dead
if `nearly_dead_layer_percent` of them are dead or nearly so. ReLU, ReLU6 and Hardswish can die; activations with a
slope below zero (leaky ReLU, GELU, SiLU …) cannot.

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

Activations inside fused modules of torch.nn (TransformerEncoderLayer, RNN) and those that saturate on both sides
(hardtanh, hardsigmoid) are not looked at; where torch.fx cannot trace the model, there is no verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated
from torch import fx, nn

from pawprint.data.batches import in_order, standardize
from pawprint.figures.firing import FiringRow, firing_figure
from pawprint.inspection.graph import UNTRACEABLE, why_untraceable
from pawprint.probes import ProbeSubject
from pawprint.training.evaluate import BATCH_SIZE, eval_mode
from pawprint.types import STRICT, Data, Finding

QUESTION = "Are there units that no test picture switches on?"
Percent = Annotated[float, Field(ge=0, le=100)]
Origin = Literal["norm", "layer", "sum", "other"]

# Kinds are class and function names without case and underscores: nn.ReLU, F.relu and Tensor.relu_ are all "relu".
CAN_DIE = {"relu", "relu6", "hardswish"}
CANNOT_DIE = {
    *("leakyrelu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish"),
    *("softplus", "sigmoid", "logsigmoid", "tanh", "softsign", "tanhshrink"),
}
CLAMPS = {"clamp", "clampmin", "clip"}
SUMS = {"add", "iadd"}
LINEAR = {"linear", "bilinear", "matmul", "mm", "bmm", "addmm", "einsum"}

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
class Activation:
    """One call of an activation in the model's graph."""

    node: str  # in the traced graph
    label: str  # for people: the module's name and which call, or the function and what it follows
    can_die: bool
    origin: Origin  # what computes its input
    in_branch: bool  # on one side only of a later residual sum
    unit_dim: int  # of its output, which dimension counts units

    @property
    def why(self) -> str:
        """Why it can die, or why it cannot."""
        if not self.can_die:
            return "its slope below zero lets gradients through"
        return WHY[self.origin] + (IN_BRANCH if self.in_branch else "")


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


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """One pass over the test set; the figure shows each activation's units by how often they fire."""
    with eval_mode(subject.model):
        try:
            traced = fx.symbolic_trace(subject.model)
        except UNTRACEABLE as error:
            return _untraceable(subject.model, error)
        activations = find_activations(traced)
        fires, is_finite = _measure(traced, [a for a in activations if a.can_die], subject.data)
    if not is_finite:
        return _no_verdict("activations are not finite: the training diverged", "lower the learning rate, or clip")
    return _finding(subject, activations, fires, settings)


def find_activations(traced: fx.GraphModule) -> list[Activation]:
    """Every activation of the graph in the order of computing, those that cannot die as well."""
    ancestors = _ancestors(traced.graph)
    sums = [node for node in traced.graph.nodes if _is_sum(node, traced, ancestors)]
    found = [node for node in traced.graph.nodes if _can_die(node, traced) or _kind(node, traced) in CANNOT_DIE]
    calls = Counter(node.target for node in found if node.op == "call_module")
    seen: Counter[Any] = Counter()
    activations = []
    for node in found:
        seen[node.target] += 1
        origin, before = _origin(node, traced, set(sums))
        call = f" (call {seen[node.target]})" if calls[node.target] > 1 else ""
        after = f" after {before.target if before.op == 'call_module' else before.name}"
        activations.append(
            Activation(
                node=node.name,
                label=f"{node.target}{call}" if node.op == "call_module" else node.name + after,
                can_die=_can_die(node, traced),
                origin=origin,
                in_branch=any(_is_on_one_side(node, s, ancestors) for s in sums),
                unit_dim=_unit_dim(node, traced),
            )
        )
    return activations


def _kind(node: fx.Node, traced: fx.GraphModule) -> str:
    if node.op == "call_module":
        name = type(traced.get_submodule(str(node.target))).__name__
    elif node.op == "call_function":
        name = getattr(node.target, "__name__", "")
    else:
        name = str(node.target) if node.op == "call_method" else ""
    return name.lower().replace("_", "")


def _can_die(node: fx.Node, traced: fx.GraphModule) -> bool:
    kind = _kind(node, traced)
    lowest = node.kwargs.get("min", node.args[1] if len(node.args) > 1 else None)
    return kind in CAN_DIE or (kind in CLAMPS and isinstance(lowest, int | float) and lowest == 0)


def _ancestors(graph: fx.Graph) -> dict[fx.Node, set[fx.Node]]:
    """Of each node all that it is computed from, itself included."""
    ancestors: dict[fx.Node, set[fx.Node]] = {}
    for node in graph.nodes:
        ancestors[node] = {node}.union(*(ancestors[given] for given in node.all_input_nodes))
    return ancestors


def _is_sum(node: fx.Node, traced: fx.GraphModule, ancestors: dict[fx.Node, set[fx.Node]]) -> bool:
    """Whether two things that depend on the picture are added; a bias that is added is none of them."""
    depend = [n for n in node.all_input_nodes if any(a.op == "placeholder" for a in ancestors[n])]
    return _kind(node, traced) in SUMS and len(depend) > 1


def _is_on_one_side(node: fx.Node, total: fx.Node, ancestors: dict[fx.Node, set[fx.Node]]) -> bool:
    sides = [node in ancestors[given] for given in total.all_input_nodes]
    return any(sides) and not all(sides)


def _origin(node: fx.Node, traced: fx.GraphModule, sums: set[fx.Node]) -> tuple[Origin, fx.Node]:
    """What computes the input of an activation, and where."""
    for before in _chain(node):
        kind = _kind(before, traced)
        if before in sums:
            return "sum", before
        if "norm" in kind:
            return "norm", before
        if kind.startswith("conv") or kind in LINEAR:
            return "layer", before
        if kind in CAN_DIE | CANNOT_DIE | {"cat", "concat", "stack"} or before.op in ("placeholder", "get_attr"):
            return "other", before
    return "other", node


def _chain(node: fx.Node) -> Iterator[fx.Node]:
    """What lies before a node, going back along first inputs."""
    while node.all_input_nodes:
        node = node.all_input_nodes[0]
        yield node


def _unit_dim(node: fx.Node, traced: fx.GraphModule) -> int:
    """The last dimension after a linear layer (tokens: B, T, D), else the one after the batch (B, C, H, W)."""
    for before in _chain(node):
        kind = _kind(before, traced)
        if kind in LINEAR or kind in ("layernorm", "rmsnorm"):
            return -1
        if kind.startswith(("conv", "batchnorm", "groupnorm", "instancenorm")):
            return 1
    return 1


class _Recorder(fx.Interpreter):
    """Runs the graph and counts, after each watched node, the pictures that its units fire on."""

    def __init__(self, traced: fx.GraphModule, watched: list[Activation]) -> None:
        super().__init__(traced)
        self.watched = {a.node: a for a in watched}
        self.counts: dict[str, torch.Tensor] = {}
        self.is_finite = True

    def run_node(self, n: fx.Node) -> Any:
        out = super().run_node(n)
        if n.name in self.watched:
            by_unit = out.movedim(self.watched[n.name].unit_dim, 1)
            fires = (by_unit != 0).reshape(*by_unit.shape[:2], -1).any(dim=2).sum(dim=0).cpu()  # (units,)
            self.counts[n.name] = self.counts.get(n.name, 0) + fires
            self.is_finite &= bool(torch.isfinite(out).all())
        return out


@torch.inference_mode()
def _measure(traced: fx.GraphModule, watched: list[Activation], data: Data) -> tuple[list[Firing], bool]:
    if not watched:
        return [], True
    recorder = _Recorder(traced, watched)
    device = next((p.device for p in traced.parameters()), torch.device("cpu"))
    for images, _ in in_order(data.test, BATCH_SIZE):
        recorder.run(standardize(images.to(device), data))
    return [Firing(a, recorder.counts[a.node], len(data.test)) for a in watched], recorder.is_finite


def _untraceable(model: nn.Module, error: Exception) -> Finding:
    return _no_verdict(
        f"torch.fx cannot trace {type(model).__name__} ({why_untraceable(error)}): "
        "its activations were not looked into",
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
        f"{dead[0].activation.label}: {dead[0].activation.why}"
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
