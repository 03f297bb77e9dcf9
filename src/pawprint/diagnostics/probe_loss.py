"""The loss of the same training examples whenever it is asked for: what every diagnostic differentiates.

It has a copy of the model, with the weights as they were when it was made; the training knows nothing of it. The
examples come as the data has them, not augmented, and weight decay is no part of the loss.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn
from torch.func import functional_call

from pawprint.data.batches import Batch
from pawprint.types import LossTerms

Objective = Callable[[nn.Module, Batch], LossTerms]
Examples = dict[str, torch.Tensor]  # images (B, C, H, W), labels (B,)


@dataclass(frozen=True)
class Slope:
    """A mean loss and its gradient."""

    loss: float
    by_weight: dict[str, torch.Tensor]  # the name of a parameter → its gradient, of its shape

    @property
    def gradient(self) -> torch.Tensor:
        """All of it, (P,)."""
        return flat(self.by_weight.values())


class ProbeLoss(nn.Module):
    """An objective over a fixed batch, as a function of the weights alone.

    The mean gradient is of all its examples; what costs many times as much for each (its own gradient, a product with
    the Hessian) is of the first `n_costly`.
    """

    def __init__(self, model: nn.Module, objective: Objective, batch: Batch, n_costly: int) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.objective = objective
        self.examples: Examples = {"images": batch.images, "labels": batch.labels}
        self.costly: Examples = {name: values[:n_costly] for name, values in self.examples.items()}

    def forward(self, examples: Examples) -> torch.Tensor:
        """Mean loss of the examples, () with graph."""
        return self.objective(self.model, Batch(examples["images"], examples["labels"])).total

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """By name, those that are trained; together P numbers."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def weights_of(self, model: nn.Module) -> dict[str, torch.Tensor]:
        """The weights of a model of the same architecture, copied, under the names that they have here."""
        own = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
        return {name: own[name].detach().clone().requires_grad_() for name in self.weights}

    @cached_property
    def slope(self) -> Slope:
        """Of all examples, at the probe's own weights."""
        return self.slope_at(self.weights)

    def slope_at(self, weights: dict[str, torch.Tensor]) -> Slope:
        """Of all examples, at other weights."""
        loss = functional_call(self, weights, (self.examples,))
        gradients = torch.autograd.grad(loss, list(weights.values()))
        return Slope(loss.item(), dict(zip(weights, gradients, strict=True)))


def flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """All their values in one row, (P,)."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
