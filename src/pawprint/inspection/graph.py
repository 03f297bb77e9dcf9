"""How a model's operations hang together, small enough to be drawn.

Method: torch.fx traces `forward` with symbols in place of pictures, so that sums, reshaping and functions are found
beside the modules. A graph of more than `MAX_NODES` operations is traced again with whole modules as one node each,
from the innermost outwards, until it is small enough: ResNet-18's 70 operations become its 8 blocks and what is around
them. A container that only runs its parts in turn is never a node of its own, but for its parts. Each kind of block
that was collapsed comes with a graph of its own.

Limits: what torch.fx cannot trace (branches that depend on values, lengths of inputs) is shown as a chain of its
modules in the order in which they ran, which says nothing of shortcuts; so does `is_traced`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from pawprint.diagnostics.activation_functions import UNTRACEABLE, why_untraceable
from pawprint.figures.model_graph import Box, Boxes
from pawprint.inspection.layers import calls_of
from pawprint.inspection.undisturbed import undisturbed

MAX_NODES = 24
# The files of torch.nn in which layers are defined, and what those are for.
ROLES = {
    "conv": "convolution",
    "linear": "fully connected",
    "batchnorm": "normalization",
    "normalization": "normalization",
    "instancenorm": "normalization",
    "activation": "activation",
    "pooling": "pooling",
}
FUNCTION_ROLES = {"add": "sum", "sum": "sum", "cat": "sum", "relu": "activation", "gelu": "activation"}


@dataclass(frozen=True)
class Operation:
    """One box of the drawing."""

    name: str  # of the module, or of the function
    kind: str  # the class of a module, or `add`, `flatten` …
    detail: str  # what a layer is made with: `3 → 64, 7 x 7, stride 2`; may be empty
    shape: tuple[int, ...]  # of the output, without the batch; empty if it is no tensor
    role: str = "other"  # what it is for, by which it is colored


@dataclass(frozen=True)
class ModelGraph:
    """Operations by their place, with an edge to each that takes their output."""

    title: str
    operations: nx.DiGraph  # node → attribute `operation`
    is_traced: bool  # else: a chain of modules in the order in which they ran
    why_not: str = ""  # it was not traced
    inside: Sequence[ModelGraph] = field(default=())  # of each kind of block that can be traced, the first one

    def of(self, node: str) -> Operation:
        operation: Operation = self.operations.nodes[node]["operation"]
        return operation


def boxes(graph: ModelGraph) -> list[Boxes]:
    """The graph to draw, and after it what is inside its blocks."""
    by_name = {node: _box(operation) for node, operation in graph.operations.nodes(data="operation")}
    return [Boxes(graph.title, by_name, list(graph.operations.edges)), *(b for g in graph.inside for b in boxes(g))]


class _Tracer(fx.Tracer):
    """Modules deeper than `depth` are not looked into, containers of modules in turn always are."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if super().is_leaf_module(m, module_qualified_name):
            return True
        return not isinstance(m, nn.Sequential) and module_qualified_name.count(".") + 1 >= self.depth


def model_graph(model: nn.Module, images: torch.Tensor) -> ModelGraph:
    """The graph of `model` as it computes `images` (B, C, H, W)."""
    title = type(model).__name__
    with undisturbed(model), torch.no_grad():
        try:
            return _traced(model, (images[:1],), title)
        except UNTRACEABLE as error:
            why_not = why_untraceable(error)
    return ModelGraph(title, _chain(model, images[:1]), False, why_not)


def _traced(model: nn.Module, given: tuple[Any, ...], title: str) -> ModelGraph:
    graph = _small_graph(model)
    traced = fx.GraphModule(model, graph)
    inputs = _Inputs(traced)
    inputs.propagate(*given)
    operations = nx.DiGraph()
    for node in graph.nodes:
        if _is_drawn(node):
            operations.add_node(node.name, operation=_operation(node, model))
            operations.add_edges_from((source.name, node.name) for source in _sources(node))
    return ModelGraph(title, operations, True, inside=_inside(model, operations, inputs.of_module))


def _small_graph(model: nn.Module) -> fx.Graph:
    """The most detailed of at most `MAX_NODES` operations, else the least; what torch.fx raises if there is none."""
    found, error = None, None
    for depth in range(max(name.count(".") + 1 for name, _ in model.named_modules()), 0, -1):
        try:
            found = _Tracer(depth).trace(model)
        except UNTRACEABLE as untraceable:  # one of its blocks, perhaps, that is not looked into further up
            error = untraceable
            continue
        if len(found.nodes) <= MAX_NODES:
            break
    if found is None:
        raise error or ValueError("no operation")
    return found


class _Inputs(ShapeProp):
    """Runs the graph, notes shapes, and keeps what each module was given."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.of_module: dict[str, tuple[Any, ...]] = {}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        copies = tuple(a.clone() if isinstance(a, torch.Tensor) else a for a in args)  # what follows may overwrite
        self.of_module.setdefault(str(target), copies)
        return super().call_module(target, args, kwargs)


def _inside(model: nn.Module, operations: nx.DiGraph, given: dict[str, tuple[Any, ...]]) -> list[ModelGraph]:
    """Of each kind of collapsed block the first one; two are of one kind if they hold the same kinds of parts."""
    found: dict[tuple[str, ...], ModelGraph] = {}
    for _, operation in operations.nodes(data="operation"):
        if operation.role != "block":
            continue
        block = model.get_submodule(operation.name)
        kind = tuple(type(part).__name__ for part in block.modules())
        if kind not in found:
            with suppress(*UNTRACEABLE):
                found[kind] = _traced(block, given[operation.name], f"{operation.name}, a {operation.kind}")
    return list(found.values())


def _is_drawn(node: fx.Node) -> bool:
    """Parameters that `forward` reads itself and sizes that it computes are not; what takes them is."""
    return node.op != "get_attr" and (node.op in ("placeholder", "output") or bool(_shape(node)))


def _sources(node: fx.Node) -> list[fx.Node]:
    """The drawn nodes that its value comes from, through those that are not drawn."""
    found: list[fx.Node] = []
    for given in node.all_input_nodes:
        found += [given] if _is_drawn(given) else _sources(given)
    return list(dict.fromkeys(found))


def _shape(node: fx.Node) -> tuple[int, ...]:
    meta: Any = node.meta.get("tensor_meta")
    while isinstance(meta, tuple) and not hasattr(meta, "shape") and meta:
        meta = meta[0]  # of several outputs the first
    return tuple(meta.shape[1:]) if hasattr(meta, "shape") else ()


def _operation(node: fx.Node, model: nn.Module) -> Operation:
    if node.op == "placeholder":
        return Operation("input", "input", "", _shape(node))
    if node.op == "output":
        return Operation("output", "output", "", _shape(node))
    if node.op == "call_module":
        return _of_module(str(node.target), model.get_submodule(str(node.target)), _shape(node))
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
    kind = name.strip("_").removeprefix("i")  # `x += y` is operator.iadd
    return Operation(kind, kind, "", _shape(node), FUNCTION_ROLES.get(kind, "other"))


def _of_module(name: str, module: nn.Module, shape: tuple[int, ...]) -> Operation:
    is_torchs = type(module).__module__.startswith("torch.nn.")
    is_block = not is_torchs and next(module.children(), None) is not None
    role = "block" if is_block else ROLES.get(type(module).__module__.rpartition(".")[2], "other")
    return Operation(name, type(module).__name__, _detail(module), shape, role)


def _box(operation: Operation) -> Box:
    kind = "" if operation.kind == operation.name else f"  {operation.kind}"
    gives = f"gives {' × '.join(map(str, operation.shape))}" if operation.shape else ""
    return Box(operation.name + kind, "   ".join(filter(None, (operation.detail, gives))), operation.role)


def _detail(module: nn.Module) -> str:
    """What a reader wants to know of the layers that every network has."""
    if isinstance(module, nn.Linear):
        return f"{module.in_features} → {module.out_features}"
    if isinstance(module, nn.Conv2d):
        stride = f", stride {module.stride[0]}" if module.stride[0] != 1 else ""
        return f"{module.in_channels} → {module.out_channels}, {' × '.join(map(str, module.kernel_size))}{stride}"
    if isinstance(module, nn.Dropout):
        return f"{module.p:g}"
    return ""


def _chain(model: nn.Module, images: torch.Tensor) -> nx.DiGraph:
    """The modules in the order in which they ran."""
    chain = nx.DiGraph()
    chain.add_node("input", operation=Operation("input", "input", "", tuple(images.shape[1:])))
    before = "input"
    for call in calls_of(model, images):
        if call.is_leaf:
            chain.add_node(call.label, operation=_of_module(call.label, call.module, call.shape))
            chain.add_edge(before, call.label)
            before = call.label
    return chain
