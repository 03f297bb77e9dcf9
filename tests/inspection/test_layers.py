"""Hooks see what a forward pass written out step by step computes; layers are chosen by what they do."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from pawprint.inspection.layers import activations, calls_of, dense, evenly, spread
from tests.inspection.networks import Attentive, Shared, mlp, pictures


def renamed(model: nn.Sequential) -> nn.Sequential:
    """The same layers under names that say something else."""
    misleading = ["fc", "conv1", "classifier", "relu", "layer4", "head", "norm", "stem", "pool"]
    return nn.Sequential(OrderedDict(zip(misleading, model, strict=False)))


def small_cnn() -> nn.Sequential:
    parts = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1)]
    parts += [nn.ReLU(inplace=True), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(24, 3)]
    return nn.Sequential(*parts)


@torch.no_grad()
def test_activations_are_those_of_a_forward_pass_layer_by_layer() -> None:
    model, x = small_cnn().eval(), pictures()
    calls = calls_of(model, x)
    expected = []
    for layer in model:
        x = layer(x.clone())  # the next layer may work in place
        expected.append(x.clone())
    found = activations(model, pictures(), calls)
    assert [call.layer for call in calls] == [str(place) for place in range(8)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert [call.shape for call in calls] == [tuple(x.shape[1:]) for x in expected]


@torch.no_grad()
def test_activations_of_a_resnet_are_those_of_its_code_written_out() -> None:
    model, x = resnet18(num_classes=5).eval(), pictures(2)
    calls = [call for call in calls_of(model, x) if call.layer in ("layer1.0.relu", "layer1", "layer4", "avgpool")]
    first, second, layer1, layer4, pooled = activations(model, x, calls)
    assert [call.label for call in calls][:2] == ["layer1.0.relu (call 1)", "layer1.0.relu (call 2)"]
    stem = model.maxpool(torch.relu(model.bn1(model.conv1(x))))
    block = model.layer1[0]
    inside = torch.relu(block.bn1(block.conv1(stem)))
    assert torch.equal(first, inside)
    assert torch.equal(second, torch.relu(block.bn2(block.conv2(inside)) + stem))
    assert torch.equal(layer1, model.layer1(stem))
    assert torch.equal(layer4, model.layer4(model.layer3(model.layer2(model.layer1(stem)))))
    assert torch.equal(pooled, layer4.mean(dim=(2, 3), keepdim=True))


@torch.no_grad()
def test_a_module_in_three_places_is_three_calls() -> None:
    model, x = Shared().eval(), pictures()
    calls = [call for call in calls_of(model, x) if call.layer == "act"]
    assert [(call.number, call.n_calls) for call in calls] == [(1, 3), (2, 3), (3, 3)]
    once = torch.relu(model.first(x))
    twice = torch.relu(model.second(once) + once)
    assert all(torch.equal(a, b) for a, b in zip(activations(model, x, calls), (once, twice, twice), strict=True))


def test_a_layer_that_is_never_called_is_no_call() -> None:
    assert "unused" not in {call.layer for call in calls_of(Shared(), pictures())}


def test_of_several_outputs_the_first_is_taken() -> None:
    calls = {call.layer: call for call in calls_of(Attentive(), pictures())}
    assert calls["attention"].shape == (16, 8)


def test_a_model_that_is_one_layer_is_its_own_call() -> None:
    (call,) = calls_of(nn.Conv2d(3, 2, 3), pictures())
    assert (call.label, call.shape) == ("the model", (2, 14, 14))


def test_the_last_layer_of_each_resolution_is_chosen() -> None:
    calls = calls_of(resnet18(num_classes=5), torch.randn(1, 3, 64, 64))
    assert [call.shape for call in spread(calls)] == [
        (64, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2),
    ]  # fmt: skip


def test_of_one_resolution_layers_are_chosen_evenly_over_the_depth() -> None:
    layers = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(17)]
    chosen = spread(calls_of(nn.Sequential(*layers), pictures()))
    assert [call.layer for call in chosen] == ["0", "4", "8", "12", "16"]


def test_names_do_not_matter() -> None:
    def places(model: nn.Sequential) -> tuple[list[int], list[int]]:
        calls, modules = calls_of(model, pictures()), list(model)
        return ([modules.index(c.module) for c in spread(calls)], [modules.index(c.module) for c in dense(calls)])

    model = small_cnn()
    assert places(model) == places(renamed(model))


def test_fully_connected_layers_are_seen_behind_their_activation() -> None:
    calls = calls_of(mlp(), pictures())
    assert [(call.layer, call.n_features) for call in dense(calls)] == [("2", 12), ("3", 3)]
    assert spread(calls) == []


@pytest.mark.parametrize(("n", "expected"), [(1, [0]), (3, [0, 4, 9]), (10, list(range(10))), (20, list(range(10)))])
def test_evenly_takes_both_ends(n: int, expected: list[int]) -> None:
    assert evenly(range(10), n) == expected
