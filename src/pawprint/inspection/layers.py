"""Which layers a model has, in the order in which it computes, and what each puts out.

Method: a forward hook on every module, so that what is found is what `forward` calls, whatever its name. A module that
is called several times (torchvision's BasicBlock has one ReLU for two places) is several calls. An operation that is no
module (`F.relu`, a sum) has no hook and is seen in the output of the module around it; `graph.py` has those too.

Unless somebody names layers, a handful is chosen by one rule (`spread`): pictures shrink on their way through a
network, and the last layer before each shrinking has all that was found at that resolution. Where a network has one
resolution only, they are spread evenly over the depth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from pawprint.inspection.undisturbed import undisturbed

T = TypeVar("T")
N_CHOSEN = 5  # layers, if nobody names any
FEWEST_STAGES = 3  # resolutions; with fewer the layers are spread evenly


@dataclass(frozen=True)
class Call:
    """One call of a module in a forward pass."""

    layer: str  # the module's name in the model; empty is the model itself
    number: int  # which of its calls, from 1
    n_calls: int  # of this module in the pass
    module: nn.Module
    shape: tuple[int, ...]  # of the output, without the batch

    @property
    def label(self) -> str:
        """For people: `layer1.0.relu (call 2)`."""
        name = self.layer or "the model"
        return f"{name} (call {self.number})" if self.n_calls > 1 else name

    @property
    def title(self) -> str:
        """The label, said to be a layer's where it is but a number, as in nn.Sequential."""
        return f"layer {self.label}" if self.label[0].isdecimal() else self.label

    @property
    def kind(self) -> str:
        return type(self.module).__name__

    @property
    def is_leaf(self) -> bool:
        return next(self.module.children(), None) is None

    @property
    def is_spatial(self) -> bool:
        """Whether the output has maps (C, H, W) of more than one place."""
        return len(self.shape) == 3 and self.shape[1] * self.shape[2] > 1

    @property
    def n_features(self) -> int | None:
        """Of an output that is one vector a picture, be it (F,) or (F, 1, 1); None of any other."""
        return self.shape[0] if self.shape and all(side == 1 for side in self.shape[1:]) else None


def calls_of(model: nn.Module, images: torch.Tensor) -> list[Call]:
    """Every call, in the order in which they end; a module that puts out no tensor is not among them."""
    found: list[Call] = []

    def watch(layer: str, module: nn.Module, output: torch.Tensor) -> None:
        found.append(Call(layer, 0, 0, module, tuple(output.shape[1:])))

    _run(model, images, watch)
    totals = Counter(call.layer for call in found)
    seen: Counter[str] = Counter()
    numbered = []
    for call in found:
        seen[call.layer] += 1
        numbered.append(replace(call, number=seen[call.layer], n_calls=totals[call.layer]))
    return numbered


def activations(model: nn.Module, images: torch.Tensor, chosen: Sequence[Call]) -> list[torch.Tensor]:
    """The outputs (B, …) of the chosen calls, on the CPU; copies, as the next layer may work in place."""
    wanted = {(call.layer, call.number): place for place, call in enumerate(chosen)}
    outputs: dict[int, torch.Tensor] = {}
    seen: Counter[str] = Counter()

    def keep(layer: str, module: nn.Module, output: torch.Tensor) -> None:
        seen[layer] += 1
        place = wanted.get((layer, seen[layer]))
        if place is not None:
            outputs[place] = output.detach().cpu().clone()

    _run(model, images, keep)
    return [outputs[place] for place in range(len(chosen))]


def spread(calls: Sequence[Call], n: int = N_CHOSEN) -> list[Call]:
    """At most `n` calls with maps, over all of the depth: the last at each resolution, or else evenly."""
    spatial = [call for call in calls if call.is_spatial and (call.is_leaf or not call.layer)]
    following = [*(call.shape for call in spatial[1:]), None]
    ends = [call for call, after in zip(spatial, following, strict=False) if call.shape != after]
    return evenly(ends if len(ends) >= FEWEST_STAGES else spatial, n)


def dense(calls: Sequence[Call], n: int = N_CHOSEN) -> list[Call]:
    """At most `n` calls with a vector a picture: the last before each fully connected layer, and the answers.

    So a hidden layer is seen behind its activation, as the next layer sees it.
    """
    vectors = [call for call in calls if call.n_features and call.is_leaf]
    following = [*(isinstance(call.module, nn.Linear) for call in vectors[1:]), True]
    ends = [call for call, is_end in zip(vectors, following, strict=False) if is_end]
    return evenly([call for call in ends if not isinstance(call.module, nn.Flatten)], n)


def evenly(items: Sequence[T], n: int) -> list[T]:
    """`n` of them, the first and the last among these; all if there are no more."""
    places = np.linspace(0, len(items) - 1, min(n, len(items))).round().astype(int)
    return [items[place] for place in places]


def first_tensor(output: Any) -> torch.Tensor | None:
    """The tensor that a module puts out, or the first of several (attention: with its weights; records: by order)."""
    if isinstance(output, torch.Tensor):
        return output
    inside = output.values() if isinstance(output, dict) else output if isinstance(output, list | tuple) else ()
    return next((found for found in map(first_tensor, inside) if found is not None), None)


@torch.no_grad()
def _run(model: nn.Module, images: torch.Tensor, watch: Callable[[str, nn.Module, torch.Tensor], None]) -> None:
    """One forward pass; `watch` is told each module's name, itself and its output."""

    def hook(layer: str) -> Callable[[nn.Module, Any, Any], None]:
        def told(module: nn.Module, _: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is not None:
                watch(layer, module, tensor)

        return told

    modules = [(name, module) for name, module in model.named_modules() if name or not any(model.children())]
    handles = [module.register_forward_hook(hook(name)) for name, module in modules]
    try:
        with undisturbed(model):
            model(images)
    finally:
        for handle in handles:
            handle.remove()
