"""The plain convolutional network: its shape by the settings, and that of the course note."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pawprint.contradictions import of_run_with_data
from pawprint.models import build_model
from pawprint.models.cnn import build
from pawprint.types import Data, DataSettings, RunSpec


def test_the_course_notes_network(spec: RunSpec) -> None:
    note = replace(spec, model="cnn", cnn_grid=8, cnn_hidden=(256, 256))
    model = build(note, 11, (3, 128, 128))
    linear = [(layer.in_features, layer.out_features) for layer in model if isinstance(layer, nn.Linear)]
    assert linear == [(256 * 8 * 8, 256), (256, 256), (256, 11)]
    assert [layer.out_channels for layer in model if isinstance(layer, nn.Conv2d)] == [64, 128, 256]
    assert model(torch.zeros(2, 3, 128, 128)).shape == (2, 11)


def test_each_convolution_halves_the_picture(spec: RunSpec) -> None:
    model = build(replace(spec, model="cnn", cnn_widths=(4, 8)), 5, (1, 28, 28))
    assert model[:8](torch.zeros(1, 1, 28, 28)).shape == (1, 8, 7, 7)
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 5)


@pytest.mark.parametrize(("model", "n"), [("cnn", 2), ("mlp", 1), ("resnet18", 1)])
def test_dropout_stands_before_linear_layers_and_acts_in_training_alone(
    model: str, n: int, data: Data, spec: RunSpec
) -> None:
    settings = replace(spec, model=model, cnn_widths=(4,), cnn_hidden=(6,), dropout=0.5)  # type: ignore[arg-type]
    built = build_model(settings, data)
    assert sum(isinstance(layer, nn.Dropout) for layer in built.modules()) == n
    images = torch.rand(16, 3, 12, 12)
    built.eval()
    assert torch.equal(built(images), built(images))
    for layer in built.modules():
        layer.train(isinstance(layer, nn.Dropout))
    assert not torch.equal(built(images), built(images))


def test_more_convolutions_than_the_picture_can_be_halved_are_refused(spec: RunSpec) -> None:
    small = DataSettings(image_size=8)
    assert of_run_with_data(replace(spec, model="cnn", cnn_widths=(4, 4, 4)), small) == []
    (fault,) = of_run_with_data(replace(spec, model="cnn", cnn_widths=(4, 4, 4, 4)), small)
    assert fault == "cnn_widths: 4 convolutions halve 8 px to nothing; expected at most 3"
