"""Grad-CAM points at what an answer rests on, and elsewhere where it rests elsewhere."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from pawprint.inspection.evidence import NoGradient, central_share, evidence, last_maps
from pawprint.inspection.layers import calls_of
from tests.inspection.networks import pictures

QUADRANTS = {"upper left": (slice(0, 8), slice(0, 8)), "lower right": (slice(8, 16), slice(8, 16))}


def color_network() -> nn.Sequential:
    """Its first class is how much red there is, its second how much blue, wherever it is."""
    model = nn.Sequential(
        nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[0, 0], model[0].weight[1, 2] = 1, 1
        model[0].bias.zero_()
        model[4].weight.copy_(torch.eye(2))
    return model


def quadrant_mlp() -> nn.Sequential:
    """Its first class is the sum of the upper left quadrant, its second that of the lower right."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    weights = torch.zeros(2, 3, 16, 16)
    for of_class, (rows, columns) in zip(weights, QUADRANTS.values(), strict=True):
        of_class[:, rows, columns] = 1
    with torch.no_grad():
        model[1].weight.copy_(weights.flatten(1))
    return model


def red_and_blue() -> torch.Tensor:
    """Red in the upper left quadrant, blue in the lower right."""
    images = torch.zeros(2, 3, 16, 16)
    images[:, 0, 2:6, 2:6] = 1
    images[:, 2, 10:14, 10:14] = 1
    return images


def share(maps: torch.Tensor, quadrant: str) -> float:
    rows, columns = QUADRANTS[quadrant]
    return float(maps[rows, columns].sum() / maps.sum())


@pytest.mark.parametrize(("model", "method"), [(color_network(), "Grad-CAM"), (quadrant_mlp(), "input gradients")])
def test_the_quadrant_that_matters_is_found_for_either_class(model: nn.Module, method: str) -> None:
    images = red_and_blue()
    found = evidence(model, images, torch.tensor([0, 1]), calls_of(model, images))
    assert found.method == method
    of_first, of_second = found.maps
    assert share(of_first, "upper left") > 0.99
    assert share(of_second, "lower right") > 0.99
    assert found.maps.shape == (2, 16, 16)
    assert (found.maps >= 0).all()


def test_the_maps_are_those_of_the_papers_equations() -> None:
    torch.manual_seed(0)
    model, images, classes = resnet18(num_classes=5).eval(), torch.randn(3, 3, 64, 64), torch.tensor([0, 3, 1])
    calls = calls_of(model, images)
    layer = last_maps(calls)
    assert layer is not None
    assert (layer.layer, layer.shape) == ("layer3", (256, 4, 4))
    maps = model.layer3(model.layer2(model.layer1(model.maxpool(torch.relu(model.bn1(model.conv1(images)))))))
    logits = model.fc(model.avgpool(model.layer4(maps)).flatten(1))
    (slopes,) = torch.autograd.grad(logits[range(3), classes].sum(), maps)
    weighted = torch.relu((slopes.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True))
    expected = nn.functional.interpolate(weighted, (64, 64), mode="bilinear")[:, 0].detach()
    found = evidence(model, images, classes, calls)
    assert torch.allclose(found.maps, expected, rtol=1e-4, atol=1e-7)
    assert found.resolution == (4, 4)


def test_of_large_pictures_it_is_the_last_convolution_as_in_the_paper() -> None:
    layer = last_maps(calls_of(resnet18(num_classes=5), torch.randn(1, 3, 128, 128)))
    assert layer is not None
    assert layer.layer == "layer4"


def test_maps_behind_the_activation_are_taken_and_not_behind_pooling() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(196, 2)
    )
    layer = last_maps(calls_of(model, pictures()))
    assert layer is not None
    assert layer.layer == "2"


def test_a_network_that_lets_no_gradient_through_is_named() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                features = self.conv(images).mean(dim=(2, 3))
            return self.head(features)

    model = Frozen()
    with pytest.raises(NoGradient, match="no gradient reaches conv"):
        evidence(model, pictures(), torch.zeros(4, dtype=torch.long), calls_of(model, pictures()))


def test_central_share_is_a_quarter_of_an_even_map_and_none_of_an_empty_one() -> None:
    maps = torch.zeros(4, 16, 12)
    maps[0] = 1
    maps[1, 4:12, 3:9] = 1
    maps[2, 0] = 1
    even, inside, margin, empty = central_share(maps).tolist()
    assert (even, inside, margin) == (0.25, 1, 0)
    assert empty != empty
