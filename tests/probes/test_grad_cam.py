"""A network that sees the middle alone rests on the middle; one that sees a corner alone does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pawprint.probes import ProbeSubject
from pawprint.probes.grad_cam import Settings, run
from pawprint.types import Data, Finding, Split

PLACES = {"middle": (slice(4, 8), slice(4, 8)), "corner": (slice(0, 3), slice(0, 3))}


@pytest.fixture
def colored(data: Data) -> Data:
    """Red, green and blue patches on black, of whose classes each fifth is labeled wrong."""

    def part(place: str) -> Split:
        labels = np.arange(60) % 3
        images = np.zeros((60, 12, 12, 3), dtype=np.uint8)
        rows, columns = PLACES[place]
        for image, label in zip(images, labels, strict=True):
            image[rows, columns, label] = 200
        wrong = np.where(np.arange(60) % 5 == 0, (labels + 1) % 3, labels)
        return Split([f"{place}_{n}" for n in range(60)], images, wrong.astype(np.int64))

    return replace(data, train=part("middle"), test=part("middle"), val=part("corner"), mean=(0.0,) * 3, std=(1.0,) * 3)


def color_network() -> nn.Sequential:
    """Its answer is the color that there is most of."""
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    with torch.no_grad():
        for layer in (model[0], model[4]):
            layer.weight.copy_(torch.eye(3).view_as(layer.weight))
            layer.bias.zero_()
    return model


def found(data: Data, model: nn.Module, n_pictures: int = 24) -> Finding:
    return run(ProbeSubject("subject", data, model), Settings(n_pictures=n_pictures))


def test_evidence_in_the_middle_is_measured_there(colored: Data) -> None:
    finding = found(colored, color_network())
    assert finding.numbers["central_share_right"] == pytest.approx(1)
    assert finding.numbers["n_right"] == 24
    assert finding.numbers["n_wrong"] == 12
    assert finding.passed is None
    assert finding.figure is not None


def test_evidence_in_the_corner_is_measured_elsewhere(colored: Data) -> None:
    finding = found(replace(colored, test=colored.val), color_network())
    assert finding.numbers["central_share_right"] == 0
    assert finding.numbers["central_share_wrong"] == 0


def test_right_and_wrong_answers_are_told_apart(colored: Data) -> None:
    """Of those labeled wrong the patch is in the corner."""
    wrong = np.arange(60) % 5 == 0
    images = np.where(wrong[:, None, None, None], colored.val.images, colored.test.images)
    noisy = images + np.random.default_rng(0).integers(0, 5, images.shape).astype(np.uint8)
    finding = found(replace(colored, test=replace(colored.test, images=noisy)), color_network())
    assert finding.numbers["right_minus_wrong_low"] > 0.5
    assert "right ones rest more on the middle" in finding.reading


def test_maps_without_a_positive_gradient_are_counted_and_not_averaged(colored: Data) -> None:
    model = color_network()
    with torch.no_grad():
        model[4].weight.copy_(-(1 - torch.eye(3)))  # the answer is the color of which nothing speaks against it
    finding = found(colored, model)
    assert finding.numbers["n_right_empty"] == finding.numbers["n_right"] == 24
    assert "all maps are empty" in finding.reading
    assert "central_share_right" not in finding.numbers


def test_a_network_without_convolution_is_asked_for_input_gradients(colored: Data) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 3))
    finding = found(colored, model)
    assert "input gradients, as the network has no convolution" in finding.reading


def test_where_all_is_right_there_is_no_wrong_share(colored: Data) -> None:
    labels = np.arange(60) % 3
    finding = found(replace(colored, test=replace(colored.test, labels=labels)), color_network())
    assert "n_wrong" not in finding.numbers
    assert "right_minus_wrong_low" not in finding.numbers


def test_a_network_without_gradient_or_with_answers_that_are_no_numbers_is_said_to_be(colored: Data) -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 3, 1), nn.Linear(3, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.conv(images).detach().mean(dim=(2, 3)))

    assert "no gradient reaches conv" in found(colored, Frozen()).reading
    model = color_network()
    with torch.no_grad():
        model[0].weight.fill_(np.nan)
    assert "diverged" in found(colored, model).reading
