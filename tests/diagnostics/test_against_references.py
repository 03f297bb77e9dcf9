"""Gradient noise and curvature against slow, obvious references: every example's Jacobian row, the whole Hessian."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from pawprint.data.batches import Batch, standardize, unit_range
from pawprint.diagnostics.curvature import (
    N_DENSE,
    curvature,
    curvature_along_step,
    hessian_of,
    outermost,
    stability_bound,
)
from pawprint.diagnostics.gradient_noise import gradient_noise
from pawprint.diagnostics.probe_loss import ProbeLoss
from pawprint.diagnostics.weight_gradients import choose, weight_gradients
from pawprint.models import build_model
from pawprint.objectives import build_objective
from pawprint.types import Data, LossTerms, RunSpec

N_ALL, N_COSTLY = 40, 24


@pytest.fixture
def probe(data: Data, spec: RunSpec) -> ProbeLoss:
    """An MLP of 3,497 weights on 40 pictures, in double precision: what is compared is the method."""
    torch.manual_seed(3)
    model = build_model(replace(spec, mlp_widths=(8, 4)), data).double()
    images = standardize(unit_range(data.train.images[:N_ALL]), data).double()
    batch = Batch(images, torch.from_numpy(data.train.labels[:N_ALL]))
    return ProbeLoss(model, build_objective(spec, data), batch, N_COSTLY)


def jacobian(probe: ProbeLoss, n: int) -> torch.Tensor:
    """(n, P): the gradient of each example's loss."""
    rows = []
    for i in range(n):
        loss = probe({name: values[i : i + 1] for name, values in probe.examples.items()})
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(probe.model.parameters()))]))
    return torch.stack(rows)


def loss_at(probe: ProbeLoss, weights: torch.Tensor) -> torch.Tensor:
    """Of the costly examples, as a plain function of one vector."""
    hidden, start = probe.costly["images"].flatten(1), 0
    layers = [module for module in probe.model.modules() if isinstance(module, nn.Linear)]
    for layer in layers:
        n_out, n_in = layer.weight.shape
        matrix = weights[start : start + n_out * n_in].reshape(n_out, n_in)
        hidden = hidden @ matrix.T + weights[start + n_out * n_in : start + n_out * (n_in + 1)]
        hidden = hidden if layer is layers[-1] else hidden.relu()
        start += n_out * (n_in + 1)
    return nn.functional.cross_entropy(hidden, probe.costly["labels"])


def vector(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def whole_hessian(probe: ProbeLoss) -> torch.Tensor:
    weights = vector(probe.model)
    hessian = torch.autograd.functional.hessian(lambda w: loss_at(probe, w), weights)
    assert isinstance(hessian, torch.Tensor)
    return hessian


@pytest.mark.parametrize("n_at_a_time", [1, 5, 24])
def test_noise_is_that_of_every_examples_gradient(
    probe: ProbeLoss, n_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_weights = len(vector(probe.model))
    monkeypatch.setattr("pawprint.diagnostics.gradient_noise.CHUNK_VALUES", n_at_a_time * n_weights)
    rows = jacobian(probe, N_ALL)
    trace = rows[:N_COSTLY].var(dim=0, correction=1).sum().item()
    square = rows.mean(dim=0).square().sum().item() - trace * (1 / N_ALL - 1 / 1000)
    noise = trace * (1 / 8 - 1 / 1000)
    measured = gradient_noise(probe, batch_size=8, n_train=1000)
    assert measured["noise_trace"] == pytest.approx(trace, rel=1e-9)
    assert measured["gradient_norm"] == pytest.approx(rows.mean(dim=0).norm().item(), rel=1e-9)
    assert measured["gradient_square"] == pytest.approx(square, rel=1e-9)
    assert measured["noise_norm"] == pytest.approx(noise**0.5, rel=1e-9)
    assert measured["noise_scale"] == pytest.approx(trace / square, rel=1e-9)
    assert measured["noise_share"] == pytest.approx(noise / (square + noise), rel=1e-9)


def test_the_whole_set_as_a_batch_has_no_noise(probe: ProbeLoss) -> None:
    measured = gradient_noise(probe, batch_size=N_ALL, n_train=N_ALL)
    assert measured["noise_share"] == 0
    assert measured["gradient_square"] == pytest.approx(measured["gradient_norm"] ** 2)


def test_the_estimates_are_right_on_average(data: Data, spec: RunSpec) -> None:
    """Over many probes: the square of the whole set's gradient, and the share of real batches that is noise."""
    torch.manual_seed(0)
    model = build_model(spec, data)
    images, labels = standardize(unit_range(data.train.images), data), torch.from_numpy(data.train.labels)
    objective, draws, n = build_objective(spec, data), np.random.default_rng(0), len(labels)
    everything = ProbeLoss(model, objective, Batch(images, labels), n)
    rows = jacobian(everything, n)
    true = rows.mean(dim=0)
    squares, shares = [], []
    for _ in range(300):
        drawn = torch.from_numpy(draws.permutation(n)[:20])
        measured = gradient_noise(ProbeLoss(model, objective, Batch(images[drawn], labels[drawn]), 20), 8, n)
        squares.append(measured["gradient_square"])
        shares.append(measured["noise_share"])
    batches = torch.stack([rows[torch.from_numpy(draws.permutation(n)[:8])].mean(dim=0) for _ in range(3000)])
    noise = (batches - true).square().sum(dim=1).mean() / batches.square().sum(dim=1).mean()
    error = np.std(squares) / math.sqrt(len(squares))
    assert np.mean(squares) == pytest.approx(true.square().sum().item(), abs=4 * error)
    assert error < 0.1 * true.square().sum().item()  # what the line above is worth
    assert np.mean(shares) == pytest.approx(noise.item(), abs=0.02)


def test_eigenvalues_and_curvatures_are_those_of_the_whole_hessian(probe: ProbeLoss) -> None:
    hessian = whole_hessian(probe)
    eigenvalues = torch.linalg.eigvalsh(hessian)
    gradient = jacobian(probe, N_ALL).mean(dim=0)
    measured = curvature(probe, lr=0.5, seed=0)
    assert measured["eigenvalue_max"] == pytest.approx(eigenvalues[-1].item(), rel=1e-3)
    assert measured["eigenvalue_min"] == pytest.approx(eigenvalues[0].item(), rel=0.05)
    assert eigenvalues[0] < -1e-3  # there is something to find
    assert measured["curvature_along_gradient"] == pytest.approx(
        (gradient @ hessian @ gradient / (gradient @ gradient)).item(), rel=1e-9
    )
    assert measured["lr_times_eigenvalue"] == pytest.approx(0.5 * measured["eigenvalue_max"])


def test_the_step_is_measured_where_it_began(probe: ProbeLoss, data: Data, spec: RunSpec) -> None:
    hessian, gradient, before = whole_hessian(probe), jacobian(probe, N_ALL).mean(dim=0), vector(probe.model)
    torch.manual_seed(4)
    step = 0.05 * torch.randn(len(before), dtype=torch.double)
    after = build_model(replace(spec, mlp_widths=(8, 4)), data).double()
    nn.utils.vector_to_parameters(before + step, after.parameters())
    measured = curvature_along_step(probe, after)
    unit = step / step.norm()
    assert measured["step_norm"] == pytest.approx(step.norm().item(), rel=1e-9)
    assert measured["slope_along_step"] == pytest.approx((gradient @ unit).item(), rel=1e-9)
    assert measured["curvature_along_step"] == pytest.approx((unit @ hessian @ unit).item(), rel=1e-6)
    nn.utils.vector_to_parameters(before + step, probe.model.parameters())
    there = jacobian(probe, N_ALL).mean(dim=0)
    assert measured["gradient_cosine"] == pytest.approx(torch.cosine_similarity(gradient, there, dim=0).item())


def test_no_step_has_no_curvature(probe: ProbeLoss) -> None:
    measured = curvature_along_step(probe, probe.model)
    assert measured["step_norm"] == 0
    assert math.isnan(measured["curvature_along_step"])
    assert math.isnan(measured["slope_along_step"])
    assert measured["gradient_cosine"] == pytest.approx(1)


class Quadratic(nn.Module):
    """½ Σ s w², from w = 1."""

    def __init__(self, scales: torch.Tensor) -> None:
        super().__init__()
        self.weights, self.scales = nn.Parameter(torch.ones(len(scales))), scales

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 0.5 * (self.scales * self.weights**2).sum() + 0 * images.sum()


def eigenvalues(scales: torch.Tensor) -> tuple[float, float]:
    batch = Batch(torch.zeros(2, 1), torch.zeros(2, dtype=torch.long))
    probe = ProbeLoss(Quadratic(scales), lambda model, batch: LossTerms(model(batch.images), {}), batch, 2)
    return outermost(hessian_of(probe), seed=0)


@pytest.mark.parametrize("n_weights", [2, N_DENSE, N_DENSE + 1, 60])
def test_eigenvalues_of_known_matrices(n_weights: int) -> None:
    """By the whole matrix and by Lanczos' method; also of a plain, and of what bends in one direction only."""
    one = torch.zeros(n_weights)
    one[1] = 5
    assert eigenvalues(torch.linspace(-3, 7, n_weights)) == pytest.approx((-3, 7), rel=1e-2)
    assert eigenvalues(one) == pytest.approx((0, 5), abs=1e-4)
    assert eigenvalues(-one) == pytest.approx((-5, 0), abs=1e-4)
    assert eigenvalues(torch.full((n_weights,), 2.0)) == pytest.approx((2, 2), abs=1e-4)
    assert eigenvalues(torch.zeros(n_weights)) == (0, 0)


def test_numpys_threads_change_no_digit() -> None:
    """As many as the machine has would: of 100,000 weights the seventh digit, on two."""
    scales = torch.from_numpy(np.random.default_rng(0).standard_normal(100_000)).float()
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            found.append(eigenvalues(scales))
    assert found[0] == found[1]


def test_weights_that_are_no_numbers_have_no_curvature(probe: ProbeLoss) -> None:
    with torch.no_grad():
        next(probe.model.parameters()).fill_(math.inf)
    assert all(math.isnan(value) for value in curvature(probe, lr=0.1, seed=0).values())
    assert math.isnan(gradient_noise(probe, 8, 50)["noise_trace"])


@pytest.mark.parametrize(("settings", "bound"), [
    ({}, 2.0),
    ({"momentum": 0.9}, 3.8),
    ({"momentum": 0.9, "nesterov": True}, 3.8 / 2.8),
])  # fmt: skip
def test_the_bound_is_where_descent_on_a_parabola_turns_to_ascent(settings: dict[str, float], bound: float) -> None:
    def ends_at(product: float) -> float:
        """How far from the minimum a long descent at this lr × curvature ends, begun at 1."""
        place = nn.Parameter(torch.ones(1, dtype=torch.double))
        optimizer = torch.optim.SGD([place], lr=product, **settings)  # type: ignore[arg-type]
        assert stability_bound(optimizer) == pytest.approx(bound)
        for _ in range(3000):
            optimizer.zero_grad()
            (place**2 / 2).sum().backward()
            optimizer.step()
        return abs(place.item())

    assert ends_at(0.99 * bound) < 1e-6
    assert ends_at(1.01 * bound) > 1e6


def test_an_adaptive_rate_has_no_such_bound() -> None:
    assert math.isnan(stability_bound(torch.optim.Adam([nn.Parameter(torch.ones(1))])))


def test_chosen_weights_are_behind_pixels_that_vary_and_follow_the_seed(data: Data, spec: RunSpec) -> None:
    images = standardize(unit_range(data.train.images), data)
    images[:, :, :, 4:] = images[0, :, :, 4:]  # two thirds of the picture never change
    model = build_model(spec, data)
    chosen = {seed: choose(model, images, seed) for seed in range(30)}
    columns = torch.arange(images[0].numel()).reshape(images[0].shape)[:, :, :4]
    assert {weight.value for weights in chosen.values() for weight in weights} <= set(columns.flatten().tolist())
    assert {weight.unit for weights in chosen.values() for weight in weights} == set(range(8))
    assert all(len(set(weights)) == 6 for weights in chosen.values())
    assert chosen[0] == choose(model, images, 0) != chosen[1]


def test_traces_are_the_gradients_of_the_chosen_weights(probe: ProbeLoss) -> None:
    chosen = choose(probe.model, probe.examples["images"], seed=0)
    gradient = jacobian(probe, N_ALL).mean(dim=0)[: 8 * 432].reshape(8, 432)
    expected = {weight.name: gradient[weight.unit, weight.value].item() for weight in chosen}
    assert weight_gradients(probe, chosen) == pytest.approx(expected)
    assert len(expected) == 6


def test_a_kernels_weights_can_be_chosen_too(data: Data, resnet_spec: RunSpec) -> None:
    images = standardize(unit_range(data.train.images[:4]), data)
    model = build_model(resnet_spec, data)
    chosen = choose(model, images, 0)
    probe = ProbeLoss(model, build_objective(resnet_spec, data), Batch(images, torch.zeros(4, dtype=torch.long)), 4)
    assert set(weight_gradients(probe, chosen)) == {weight.name for weight in chosen}
    assert len(chosen) == 6
