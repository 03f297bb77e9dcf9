"""Healthy models pass; each planted fault is caught for its own reason."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from pawprint.checks.output_shape import Settings, run
from pawprint.types import Split


def test_healthy_models_pass(workshop) -> None:
    for seed in range(3):
        finding = run(workshop.subject(seed=seed), Settings())
        assert finding.passed, finding.reading


def test_a_head_of_the_wrong_width_is_caught(workshop) -> None:
    for width in (2, 4, 1000):
        subject = workshop.subject()
        layers = dict(subject.model.named_modules())
        name = next(n for n in reversed(layers) if isinstance(layers[n], nn.Linear))
        setattr(subject.model, name, nn.Linear(layers[name].in_features, width))
        finding = run(subject, Settings())
        assert finding.passed is False
        assert f"{width})" in finding.reading
        assert "one number for each class" in finding.reading


def test_labels_that_start_at_1_are_caught(workshop) -> None:
    subject = workshop.subject()
    train = subject.data.train
    data = replace(subject.data, train=Split(train.names, train.images, train.labels + 1))
    finding = run(replace(subject, data=data), Settings())
    assert finding.passed is False
    assert "train's labels go from 1 to 3, expected 0 to 2" in finding.reading


def test_numbers_that_are_not_finite_are_caught(workshop) -> None:
    subject = workshop.subject()
    with torch.no_grad():
        next(subject.model.parameters()).fill_(float("nan"))
    assert "not finite" in run(subject, Settings()).reading


def test_a_forgotten_batch_dimension_is_caught(workshop) -> None:
    subject = workshop.subject()
    squeezed = nn.Sequential(subject.model, Squeeze())
    finding = run(replace(subject, model=squeezed), Settings())
    assert finding.passed is False
    assert "for 1 pictures" in finding.reading


class Squeeze(nn.Module):
    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.squeeze()


def test_the_numbers_are_json(workshop) -> None:
    finding = run(workshop.subject(), Settings())
    assert finding.as_json()["numbers"] == {"n_faults": 0, "n_outputs": 3, "n_classes": 3}
    assert not any(isinstance(v, np.generic) for v in finding.numbers.values())
