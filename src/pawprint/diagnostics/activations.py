"""What each layer answers.

Question: do signals keep their size on the way through the network, and are there units that answer nothing? Method: a
fixed batch of training pictures goes through the model, and each layer's outputs are looked at by hooks: their standard
deviation, over pictures, units and places together. With depth it should neither shrink nor grow without end (Glorot
and Bengio 2010; He et al., arXiv 1502.01852). Of a layer whose outputs go through a ReLU (found in what `forward`
computes, `activation_functions`), the share of units (channels) that are 0 for every picture of the batch: no gradient
passes them (arXiv 1903.06733).

The model is in the mode in which it trains: what a step's gradients pass through is normalized by the batch's own
statistics, and in the first steps running averages say nothing yet. It is a copy, whose weights and buffers are brought
up to date each time, so that nothing of the training changes, wherever it may be interrupted.

Limits: a unit that is 0 for n pictures may answer others, on fewer than 3 / n of them, at 95 %. Of a layer that is used
twice, the outputs of the last use count, and of several ReLUs after one layer the first. Where torch.fx cannot trace
the model there are no dead shares; a layer whose output is no tensor (nor begins with one) has no deviation.
"""

import copy
from typing import Any

import torch
from torch import fx, nn

from pawprint.diagnostics.activation_functions import (
    Activation,
    FiringRecorder,
    Untraceable,
    find_activations,
    graph_of,
)
from pawprint.diagnostics.layers import layers
from pawprint.types import ACTIVATION, DEAD


class Activations:
    """A model's twin, and the pictures that go through it."""

    def __init__(self, model: nn.Module, images: torch.Tensor) -> None:
        """`images`: (B, C, H, W), standardized, on the model's device."""
        self.images = images
        self.twin = copy.deepcopy(model).requires_grad_(False)
        self.deviations: dict[str, float] = {}
        self.graph: fx.GraphModule | None
        try:
            self.graph = graph_of(self.twin)
        except Untraceable:
            self.graph = None
        self.watched = _first_of_each_layer(find_activations(self.graph)) if self.graph else []
        for name, layer in layers(self.twin).items():
            layer.register_forward_hook(self._look_at(name))

    @torch.no_grad()
    def measure(self, model: nn.Module) -> dict[str, float]:
        """`activation_std_of_layer_<name>`, and `dead_share_of_layer_<name>` (0 to 1) where a ReLU follows."""
        self.twin.load_state_dict(model.state_dict())
        self.deviations.clear()
        dead = self._dead_shares()
        if len(self.deviations) < len(layers(self.twin)):  # the graph does not call a layer that is made of others
            self.twin(self.images)
        deviations = {name: self.deviations[name] for name in layers(self.twin) if name in self.deviations}
        return {ACTIVATION + name: value for name, value in deviations.items()} | dead

    def _dead_shares(self) -> dict[str, float]:
        if self.graph is None:
            return {}
        recorder = FiringRecorder(self.graph, self.watched)
        recorder.run(self.images)
        counts = {str(activation.layer): recorder.counts[activation.node] for activation in self.watched}
        return {DEAD + layer: (fires == 0).double().mean().item() for layer, fires in counts.items()}

    def _look_at(self, name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if torch.is_tensor(first):
                self.deviations[name] = first.float().std(correction=0).item()

        return hook


def _first_of_each_layer(activations: list[Activation]) -> list[Activation]:
    found: dict[str, Activation] = {}
    for activation in activations:
        if activation.can_die and activation.layer is not None:
            found.setdefault(activation.layer, activation)
    return list(found.values())
