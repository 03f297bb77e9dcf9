"""Healthy models pass; each planted fault is caught, and told apart from the others."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pawprint.checks.parameter_update import Settings, run
from pawprint.training.optimizers import build_optimizer


class WithForgotten(nn.Module):
    """A layer that is built, and never called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.forgotten = model, nn.Linear(3, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images)


def first_layer(model: nn.Module) -> nn.Module:
    return next(m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_healthy_models_pass(workshop, optimizer: str) -> None:
    for seed in range(3):
        finding = run(workshop.subject(seed=seed, optimizer=optimizer), Settings())
        assert finding.passed, finding.reading


def test_a_frozen_layer_is_no_fault(workshop) -> None:
    subject = workshop.subject()
    first_layer(subject.model).requires_grad_(False)
    subject = replace(subject, optimizer=build_optimizer(subject.spec, subject.model))
    assert run(subject, Settings()).passed


def test_a_parameter_missing_from_the_optimizer_is_caught(workshop) -> None:
    subject = workshop.subject()
    *rest, _last = subject.model.parameters()
    finding = run(replace(subject, optimizer=torch.optim.Adam(rest, lr=1e-3)), Settings())
    assert finding.passed is False
    assert finding.numbers["n_stuck"] == 1
    assert "not in the optimizer" in finding.reading


def test_a_layer_that_forward_never_uses_is_caught(workshop) -> None:
    subject = workshop.subject()
    model = WithForgotten(subject.model)
    finding = run(replace(subject, model=model, optimizer=build_optimizer(subject.spec, model)), Settings())
    assert finding.passed is False
    assert "forgotten.weight (no gradient reaches it)" in finding.reading


def test_a_dead_layer_is_caught(workshop) -> None:
    subject = workshop.subject()
    last = [m for m in subject.model.modules() if isinstance(m, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    finding = run(subject, Settings())
    assert finding.passed is False
    assert "its gradient is zero" in finding.reading


def test_a_frozen_parameter_that_moves_is_caught(workshop) -> None:
    subject = workshop.subject()
    layer = first_layer(subject.model)
    layer.weight.requires_grad_(False)
    layer.weight.grad = torch.ones_like(layer.weight)  # left from before it was frozen
    subject.optimizer.zero_grad = lambda: None  # as projects do that accumulate gradients
    finding = run(subject, Settings())
    assert finding.passed is False
    assert "frozen, yet changed" in finding.reading


def test_a_rate_of_zero_gives_no_verdict(workshop) -> None:
    finding = run(workshop.subject(lr=0.0), Settings())
    assert finding.passed is None
    assert "learning rate is 0" in finding.reading
