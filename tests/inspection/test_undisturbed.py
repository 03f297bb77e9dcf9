"""Looking changes nothing: weights, buffers, modes, hooks, gradients and random generators are as before."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pawprint.inspection.evidence import evidence
from pawprint.inspection.graph import model_graph
from pawprint.inspection.layers import activations, calls_of
from pawprint.inspection.table import layer_table
from pawprint.inspection.undisturbed import undisturbed
from tests.inspection.networks import Branching, Counting, pictures

LOOKS: dict[str, Callable[[nn.Module, torch.Tensor], Any]] = {
    "calls": calls_of,
    "activations": lambda model, images: activations(model, images, calls_of(model, images)),
    "evidence": lambda model, images: evidence(model, images, torch.tensor([0, 1, 2, 0]), calls_of(model, images)),
    "table": layer_table,
    "graph": model_graph,
}


def state_of(model: nn.Module) -> list[Any]:
    """All of a model and of the process that a look could change, in a form that `==` compares."""
    tensors = [tensor.numpy().tobytes() for tensor in model.state_dict().values()]
    modules = [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
               for m in model.modules()]  # fmt: skip
    gradients = [(p.requires_grad, id(p.grad), None if p.grad is None else p.grad.numpy().tobytes())
                 for p in model.parameters()]  # fmt: skip
    numpy_state = np.random.get_state()
    rng = [torch.get_rng_state().numpy().tobytes(), numpy_state[1].tobytes(), numpy_state[2], random.getstate()]
    return [tensors, modules, gradients, rng, torch.is_grad_enabled()]


def training(network: type[nn.Module]) -> nn.Module:
    """In the middle of a training, with gradients, a frozen layer, and a part in eval mode."""
    torch.manual_seed(0)
    model = network().train()
    model(pictures()).sum().backward()
    model.conv.weight.requires_grad_(False)
    model.conv.eval()
    return model


@pytest.mark.parametrize("network", [Counting, Branching])
@pytest.mark.parametrize("look", LOOKS)
def test_looking_changes_nothing(look: str, network: type[nn.Module]) -> None:
    model = training(network)
    before = state_of(model)
    LOOKS[look](model, pictures())
    assert state_of(model) == before


def test_without_care_the_same_look_would_have_changed_the_model() -> None:
    model = training(Counting)
    before = state_of(model)
    model(pictures())
    after = state_of(model)
    assert before[0] != after[0]  # running statistics and the count
    assert before[3] != after[3]  # dropout drew


def test_a_model_that_raises_is_put_back_as_well() -> None:
    model = training(Counting)
    before = state_of(model)
    with pytest.raises(RuntimeError):
        calls_of(model, torch.zeros(1, 5, 16, 16))
    assert state_of(model) == before


def test_inside_the_model_is_in_eval_mode_and_without_gradients() -> None:
    model = training(Counting)
    with undisturbed(model):
        assert not any(module.training for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
