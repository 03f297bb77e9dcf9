"""What layers answer, against the same computed by hand; ReLUs are found whatever they are called."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from pawprint.diagnostics.activations import Activations
from pawprint.models import build_model
from pawprint.types import Data, RunSpec


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(20, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(432, 6), nn.ReLU(), nn.Linear(6, 3))


def test_deviations_and_dead_shares_are_those_computed_by_hand(images: torch.Tensor) -> None:
    net = mlp()
    with torch.no_grad():
        net[1].bias[:2] = -1000.0  # two of six never answer
    hidden = net[1](images.flatten(1))
    measured = Activations(net, images).measure(net)
    assert measured == {
        "activation_std_of_layer_1": pytest.approx(hidden.flatten().std(correction=0).item(), rel=1e-5),
        "activation_std_of_layer_3": pytest.approx(net[3](hidden.relu()).std(correction=0).item(), rel=1e-5),
        "dead_share_of_layer_1": pytest.approx(2 / 6),
    }


def test_what_is_measured_is_the_model_as_it_is_now(images: torch.Tensor) -> None:
    net = mlp()
    activations = Activations(net, images)
    assert activations.measure(net)["dead_share_of_layer_1"] == 0
    with torch.no_grad():
        net[1].bias.fill_(-1000.0)
    assert activations.measure(net)["dead_share_of_layer_1"] == 1


class Functional(nn.Module):
    """No module is a ReLU; one layer is used twice, one scales by a parameter that is no module's of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.head, self.scale = nn.Linear(4, 2), Scale()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = functional.relu(self.first(images))
        found = self.inner(found).clamp(min=0)
        found = torch.relu(self.inner(found) + found)
        return self.scale(self.head(found.mean((2, 3))))


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(3.0))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.by


def test_functions_count_as_modules_do_and_layers_of_ones_own_are_seen(images: torch.Tensor) -> None:
    net = Functional()
    with torch.no_grad():
        net.first.bias[0] = -1000.0
    measured = Activations(net, images).measure(net)
    assert measured["dead_share_of_layer_first"] == 0.25
    assert "dead_share_of_layer_inner" in measured
    assert "dead_share_of_layer_head" not in measured  # no ReLU follows
    deviations = [name for name in measured if name.startswith("activation_std")]
    assert [name.rpartition("_")[2] for name in deviations] == ["first", "inner", "head", "scale"]
    assert measured["activation_std_of_layer_scale"] == pytest.approx(3 * measured["activation_std_of_layer_head"])


class Branching(Functional):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images if images.mean() > 0 else -images)


def test_a_model_that_cannot_be_traced_has_deviations_and_no_dead_shares(images: torch.Tensor) -> None:
    measured = Activations(Branching(), images).measure(Branching())
    assert len(measured) == 4
    assert all(name.startswith("activation_std_of_layer_") for name in measured)


def test_of_resnet_every_layer_is_seen_and_each_relu_stands_by_the_layer_before_it(
    data: Data, resnet_spec: RunSpec, images: torch.Tensor
) -> None:
    net = build_model(resnet_spec, data)
    measured = Activations(net, images).measure(net)
    assert sum(name.startswith("activation_std") for name in measured) == 41
    dead = [name.removeprefix("dead_share_of_layer_") for name in measured if name.startswith("dead_share")]
    assert dead == ["bn1", *(f"layer{i}.{j}.bn{k}" for i in range(1, 5) for j in range(2) for k in (1, 2))]


def test_batches_own_statistics_normalize_and_the_models_running_ones_stay(images: torch.Tensor) -> None:
    net = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU())
    before = {name: values.clone() for name, values in net.state_dict().items()}
    measured = Activations(net, 100 * images).measure(net)
    assert measured["activation_std_of_layer_1"] == pytest.approx(1, rel=1e-3)
    assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())
    assert not net[0]._forward_hooks


def test_what_is_not_finite_is_told_as_such(images: torch.Tensor) -> None:
    net = mlp()
    with torch.no_grad():
        net[1].weight.fill_(float("inf"))
    assert math.isnan(Activations(net, images).measure(net)["activation_std_of_layer_1"])
