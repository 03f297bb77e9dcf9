"""Units that never fire are found in the graph, whatever their activation is called; healthy models have none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock

from pawprint.diagnostics.activation_functions import Activation, find_activations
from pawprint.models import build_model
from pawprint.probes import ProbeSubject
from pawprint.probes.dead_relu import Settings, run, why
from pawprint.training import loop, variant
from pawprint.types import Data, Finding, RunSpec, Split


def trained(spec: RunSpec, data: Data) -> nn.Module:
    training = variant.set_up(spec, data)
    loop.run(training, lambda *_: None, lambda *_: None, save=lambda *_: None, save_every_seconds=1e9)
    return load_weights_of(training.state.model, build_model(spec, data))


def load_weights_of(source: nn.Module, model: nn.Module) -> nn.Module:
    model.load_state_dict(source.state_dict())
    return model


def probe(model: nn.Module, spec: RunSpec, data: Data, **settings: float) -> Finding:
    return run(ProbeSubject(spec.name, data, model), Settings(**settings))


def activations(model: nn.Module) -> list[Activation]:
    return find_activations(fx.symbolic_trace(model.eval()))


@pytest.fixture
def varied(data: Data) -> Data:
    """Pictures of 3 x 3 random patches, a class is the brightest color: the fixture's own differ in one number alone,
    so little that many units of a ResNet see the same sign on all of them.
    """
    draws = np.random.default_rng(1)

    def split(n: int) -> Split:
        labels = np.arange(n, dtype=np.int64) % 3
        patches = draws.integers(0, 200, (n, 3, 3, 3)) + 55 * np.eye(3, dtype=np.int64)[labels][:, None, None]
        return Split([f"{i}" for i in range(n)], patches.repeat(4, 1).repeat(4, 2).astype(np.uint8), labels)

    train = split(240)
    pixels = train.images.reshape(-1, 3) / 255
    mean, std = tuple(pixels.mean(axis=0).tolist()), tuple(pixels.std(axis=0).tolist())
    return replace(data, train=train, val=split(30), test=split(600), mean=mean, std=std)


class Functional(nn.Module):
    """Each way to write a ReLU once, and two activations that cannot die."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.one, self.two, self.three = nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(6, 7)
        self.head = nn.Linear(7, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm(self.conv(images))).mean(dim=(2, 3))
        x = torch.relu(functional.dropout(self.one(x), training=self.training))
        x = functional.gelu(self.two(x).relu_())
        x = functional.leaky_relu(self.three(x).clamp(min=0))
        return self.head(x)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(432, 8), nn.ReLU())
        self.classes = nn.Linear(8, 3)
        self.boxes = nn.Sequential(nn.Linear(8, 6), nn.ReLU6(), nn.Linear(6, 4))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.body(images)
        return {"classes": self.classes(x), "boxes": self.boxes(x)}


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(432, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images.flatten(1)
        return self.head(x if x.sum() > 0 else functional.relu(x))


# ---- which activations there are, and why they can die ------------------------------------------------


def test_a_shared_module_is_as_many_activations_as_it_has_calls() -> None:
    first, second = activations(BasicBlock(4, 4))
    assert (first.label, second.label) == ("relu (call 1)", "relu (call 2)")
    assert (first.origin, first.in_branch) == ("norm", True)
    assert (second.origin, second.in_branch) == ("sum", False)
    assert "shortcut passes by" in why(first)
    assert "outweigh the shortcut" in why(second)


def test_resnet18_has_17_of_which_8_follow_a_sum(data: Data, resnet_spec: RunSpec) -> None:
    found = activations(build_model(resnet_spec, data))
    assert len(found) == 17
    assert sum(a.origin == "sum" for a in found) == 8
    assert sum(a.origin == "norm" for a in found) == 9
    assert sum(a.in_branch for a in found) == 8


def test_functional_relus_count_and_smooth_ones_cannot_die(data: Data, spec: RunSpec) -> None:
    found = activations(Functional())
    assert [a.can_die for a in found] == [True, True, True, False, True, False]
    assert [a.origin for a in found if a.can_die] == ["norm", "layer", "layer", "layer"]
    assert [a.label for a in found][:2] == ["relu after norm", "relu_1 after one"]
    numbers = probe(Functional(), spec, data).numbers
    assert numbers["n_units"] == 4 + 5 + 6 + 7


def test_a_bias_that_is_added_is_no_residual_sum() -> None:
    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.bias = nn.Linear(4, 4, bias=False), nn.Parameter(torch.zeros(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.layer(x) + self.bias + 1)

    assert [a.origin for a in activations(Biased())] == ["layer"]


def test_units_after_a_linear_layer_on_tokens_are_its_features() -> None:
    assert activations(nn.Sequential(nn.Linear(4, 8), nn.ReLU()))[0].unit_dim == -1
    assert activations(nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU()))[0].unit_dim == 1


# ---- dead and nearly dead -----------------------------------------------------------------------------


def test_a_healthy_mlp_passes_with_the_units_that_were_dead_from_the_start(varied: Data, spec: RunSpec) -> None:
    for seed in range(3):
        healthy = replace(spec, seed=seed, mlp_widths=(32, 16))
        finding = probe(trained(healthy, varied), healthy, varied)
        assert finding.passed, finding.reading
        assert finding.remedy is None


def test_a_rate_that_kills_most_units_is_caught(varied: Data, spec: RunSpec) -> None:
    spec = replace(spec, mlp_widths=(64, 32), lr=1.0)
    finding = probe(trained(spec, varied), spec, varied)
    assert finding.passed is False
    assert finding.numbers["dead_percent_worst_layer"] > 75
    assert len(finding.reading) <= 500
    assert finding.remedy
    assert "lower the learning rate" in finding.remedy


def test_one_unit_pushed_down_by_its_bias_is_named_and_no_illness(varied: Data, spec: RunSpec) -> None:
    spec = replace(spec, seed=1, mlp_widths=(32, 16))
    model = trained(spec, varied)
    with torch.no_grad():
        model[1].bias[5] = -100
    finding = probe(model, spec, varied)
    assert finding.passed
    assert finding.numbers["n_dead"] == 1
    assert finding.numbers["dead_percent_2"] == finding.numbers["dead_percent_worst_layer"] == pytest.approx(100 / 32)
    assert "2: 1 of 32, unit 5" in finding.reading
    assert "one large step can push" in finding.reading
    strict = probe(model, spec, varied, max_dead_layer_percent=3.0)
    assert strict.passed is False
    assert strict.remedy
    assert "normalize before" in strict.remedy


def test_a_dead_layer_is_told_from_dead_units(data: Data, spec: RunSpec) -> None:
    spec = replace(spec, mlp_widths=(32, 16))
    model = build_model(spec, data)
    with torch.no_grad():
        model[3].bias.fill_(-100)
    finding = probe(model, spec, data)
    assert finding.passed is False
    assert finding.numbers["n_dead_layers"] == 1
    assert finding.numbers["n_dead"] >= 16
    assert "the whole layer, 16 units" in finding.reading


def test_a_healthy_resnet_passes_until_shifts_of_its_norms_sink(varied: Data, resnet_spec: RunSpec) -> None:
    model = trained(replace(resnet_spec, epochs=2), varied)
    finding = probe(model, resnet_spec, varied)
    assert finding.passed, finding.reading
    assert finding.numbers["n_dead"] == 0
    assert "each of their 3904 units fires on some of the 600 test pictures" in finding.reading
    for n_sunk, passed in ((1, True), (40, False)):
        with torch.no_grad():
            model.layer1[0].bn1.bias[:n_sunk] = -100
        finding = probe(model, resnet_spec, varied)
        assert finding.passed is passed
        assert finding.numbers["n_dead"] == n_sunk
        assert finding.numbers["dead_percent_normalized"] == pytest.approx(100 * n_sunk / 3904)
        assert finding.numbers["dead_percent_layer1.0.relu (call 1)"] == pytest.approx(100 * n_sunk / 64)
        assert "learned shift" in finding.reading
        assert len(finding.reading) <= 500
        assert (finding.remedy is None) == passed


def test_a_unit_that_fires_on_one_picture_at_one_position_is_nearly_dead(data: Data, spec: RunSpec) -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3))
    pixels = torch.from_numpy(data.test.images).float() / 255
    red = (pixels[..., 0] - 0.4) / 0.3
    first, second = red.flatten().topk(2).values
    images = data.test.images.copy()
    if first == second:  # one pixel is to be the brightest
        images[0, 0, 0, 0] = 255
        first, second = torch.tensor((1 - 0.4) / 0.3), first
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[:, 0] = 1
        model[0].bias.copy_(torch.tensor([10.0, -float(first + second) / 2]))
    one_bright = replace(data, test=replace(data.test, images=images))
    finding = probe(model, spec, one_bright, nearly_dead_percent=5.0)
    assert (finding.numbers["n_dead"], finding.numbers["n_nearly_dead"]) == (0, 1)
    assert finding.passed
    assert "each of their 2 units fires on some of the 30 test pictures, 1 on fewer than 5 %" in finding.reading
    assert probe(model, spec, one_bright, nearly_dead_percent=5.0, nearly_dead_layer_percent=50.0).numbers[
        "n_nearly_dead_layers"] == 1  # fmt: skip


def test_counts_are_those_of_a_slow_reference(data: Data, resnet_spec: RunSpec) -> None:
    """Hooks on a network whose modules are not shared."""
    model = nn.Sequential(nn.Conv2d(3, 40, 3), nn.ReLU(inplace=True), nn.Conv2d(40, 40, 3), nn.ReLU(), nn.Flatten(),
                          nn.Linear(40 * 64, 3))  # fmt: skip
    with torch.no_grad():
        model[0].bias.copy_(torch.linspace(-3, 1, 40))
    n_dead = 0
    x = (torch.from_numpy(data.test.images).float().permute(0, 3, 1, 2) / 255 - 0.4) / 0.3
    for layer in model:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            n_dead += sum(not x[:, unit].any() for unit in range(40))
    assert n_dead > 0
    assert probe(model, resnet_spec, data).numbers["n_dead"] == n_dead


# ---- models that are not plain chains -----------------------------------------------------------------


def test_both_heads_of_a_model_are_looked_into(data: Data, spec: RunSpec) -> None:
    model = TwoHeads()
    with torch.no_grad():
        model.boxes[0].bias[2] = -100
        model.body[1].bias.fill_(10)
    finding = probe(model, spec, data)
    assert finding.numbers["n_that_can_die"] == 2
    assert finding.numbers["dead_percent_boxes.1"] >= 100 / 6
    assert "boxes.1: " in finding.reading


def test_a_model_that_cannot_be_traced_gets_no_verdict(data: Data, spec: RunSpec) -> None:
    finding = probe(Branching(), spec, data)
    assert finding.passed is None
    assert "torch.fx cannot trace Branching (TraceError: " in finding.reading
    assert finding.remedy


def test_a_diverged_model_gets_no_verdict(data: Data, spec: RunSpec) -> None:
    model = build_model(spec, data)
    with torch.no_grad():
        model[1].weight.fill_(float("nan"))
    finding = probe(model, spec, data)
    assert finding.passed is None
    assert "not finite" in finding.reading


def test_a_model_of_leaky_relus_passes(data: Data, spec: RunSpec) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 8), nn.LeakyReLU(), nn.Linear(8, 3))
    finding = probe(model, spec, data)
    assert finding.passed
    assert "none of the model's 1 activations is of a kind that can die" in finding.reading
