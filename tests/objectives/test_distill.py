"""Distillation: the loss is the paper's, the teacher is asked and left alone, and what it knows is learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pawprint.data.batches import Batch
from pawprint.objectives import build_objective
from pawprint.training.loop import run
from pawprint.training.variant import Given, set_up
from pawprint.types import DISTILLED_PARTS, Data, RunSpec


@pytest.fixture
def distilling(spec: RunSpec) -> RunSpec:
    return replace(spec, objective="distill", random_crop_percent=0.0)


def linear(data: Data, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(data.image_shape)), len(data.class_names)))


def batch(data: Data) -> Batch:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(6) % len(data.class_names)
    return Batch(torch.randn(6, *data.image_shape, generator=generator), labels)


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 0.5), (4.0, 0.9), (2.0, 0.0), (3.0, 1.0)])
def test_the_loss_is_the_weighted_sum_of_the_paper(
    data: Data, distilling: RunSpec, temperature: float, weight: float
) -> None:
    spec = replace(distilling, distill_temperature=temperature, distill_weight=weight)
    student, teacher, of = linear(data, 0), linear(data, 1), batch(data)
    terms = build_objective(spec, data, teacher)(student, of)
    z, v = student(of.images).detach().double(), teacher(of.images).detach().double()
    p, q = (v / temperature).softmax(dim=1), (z / temperature).softmax(dim=1)
    divergence = (p * (p / q).log()).sum(dim=1).mean()
    expected = (1 - weight) * functional.cross_entropy(z, of.labels) + weight * temperature**2 * divergence
    assert terms.total.item() == pytest.approx(expected.item(), rel=1e-4)
    assert tuple(terms.parts) == DISTILLED_PARTS == spec.parts
    assert terms.parts["agreement"].item() == pytest.approx((z.argmax(1) == v.argmax(1)).double().mean().item())


def test_the_gradient_keeps_its_size_at_high_temperatures(data: Data, distilling: RunSpec) -> None:
    """T^2 is there for it: without, it would fall with 1/T^2."""
    sizes = {}
    for temperature in (10.0, 40.0):
        student = linear(data, 0)
        spec = replace(distilling, distill_temperature=temperature, distill_weight=1.0)
        build_objective(spec, data, linear(data, 1))(student, batch(data)).total.backward()
        sizes[temperature] = student[1].weight.grad.norm().item()
    assert sizes[40.0] == pytest.approx(sizes[10.0], rel=0.2)


def test_the_teacher_is_in_eval_mode_and_gets_no_gradient(data: Data, distilling: RunSpec) -> None:
    teacher = nn.Sequential(linear(data, 1), nn.BatchNorm1d(len(data.class_names)))
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    build_objective(distilling, data, teacher)(linear(data, 0), batch(data)).total.backward()
    assert not teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())


def test_what_the_teacher_knows_is_learned_where_the_labels_are_wrong(data: Data, distilling: RunSpec) -> None:
    """Every label is another class's: the student learns what is right from its teacher alone."""
    misled = replace(data, train=replace(data.train, labels=(data.train.labels + 1) % 3))
    epochs = replace(distilling, epochs=20, lr=3e-3, select_on="val_loss")
    teacher = set_up(replace(epochs, objective="supervised"), data)
    accuracies = {}
    run(teacher, *silent())
    for weight in (0.0, 1.0):
        student = set_up(replace(epochs, distill_weight=weight, distill_temperature=1.0), misled,
                         given=Given(teacher=teacher.evaluated))  # fmt: skip
        run(student, *silent())
        accuracies[weight] = student.best.val["accuracy"]
    assert teacher.best.val["accuracy"] > 0.8
    assert accuracies[1.0] > 0.8
    assert accuracies[0.0] < 0.5


def silent() -> tuple:
    return (lambda row, step: None), (lambda row, step: None), (lambda: None), 1e9
