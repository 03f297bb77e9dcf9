"""Where a model has activation functions, and which of them can leave a unit without an answer.

Method: the model is traced with torch.fx, so that activations are found in what `forward` computes and not by name:
a module that is called twice (torchvision's BasicBlock) is two activations, and `F.relu`, `torch.relu`,
`tensor.relu()` and `clamp(min=0)` count as `nn.ReLU` does. ReLU, ReLU6 and Hardswish can die; activations with a slope
below zero (leaky ReLU, GELU, SiLU …) cannot.

Limits: activations inside fused modules of torch.nn (TransformerEncoderLayer, RNN) and those that saturate on both
sides (hardtanh, hardsigmoid) are not found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn

Origin = Literal["norm", "layer", "sum", "other"]  # of an activation's input: what computes it

# Kinds are class and function names without case and underscores: nn.ReLU, F.relu and Tensor.relu_ are all "relu".
CAN_DIE = {"relu", "relu6", "hardswish"}
CANNOT_DIE = {
    *("leakyrelu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish"),
    *("softplus", "sigmoid", "logsigmoid", "tanh", "softsign", "tanhshrink"),
}
CLAMPS = {"clamp", "clampmin", "clip"}
SUMS = {"add", "iadd"}
LINEAR = {"linear", "bilinear", "matmul", "mm", "bmm", "addmm", "einsum"}


@dataclass(frozen=True)
class Activation:
    """One call of an activation in the model's graph."""

    node: str  # in the traced graph
    label: str  # for people: the module's name and which call, or the function and what it follows
    can_die: bool
    origin: Origin  # what computes its input
    in_branch: bool  # on one side only of a later residual sum
    unit_dim: int  # of its output, which dimension counts units
    layer: str | None  # the last before it with parameters of its own; None: there is none


class Untraceable(Exception):
    """torch.fx cannot follow what the model computes; the cause says why."""


def graph_of(model: nn.Module) -> fx.GraphModule:
    """The model's graph, with the model's own layers in it; `Untraceable` where its way depends on values."""
    try:
        return fx.symbolic_trace(model)
    except (TypeError, ValueError, RuntimeError, AttributeError, LookupError, AssertionError) as error:
        raise Untraceable from error


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
                layer=_layer(node, traced),
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


def _layer(node: fx.Node, traced: fx.GraphModule) -> str | None:
    for before in _chain(node):
        name = str(before.target)
        if before.op == "call_module" and list(traced.get_submodule(name).parameters(recurse=False)):
            return name
    return None


class FiringRecorder(fx.Interpreter):
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
