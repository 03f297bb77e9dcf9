"""Each optimizer against its formula, written out in NumPy in double precision, over ten steps of two tensors."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pawprint.training.optimizers import OPTIMIZERS, build_optimizer
from pawprint.types import RunSpec

Step = Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # (w, g, t from 1) → w
N_STEPS = 10


class Weights(torch.nn.Module):
    """Two parameters; the second one's gradient is a hundredth of the first one's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Parameter(torch.tensor([[0.5, -1.0], [2.0, 0.25]]))
        self.second = torch.nn.Parameter(torch.tensor([0.1, -0.3]))


def gradients() -> Iterator[list[np.ndarray]]:
    draws = np.random.default_rng(3)
    for _ in range(N_STEPS):
        yield [draws.normal(size=(2, 2)), draws.normal(size=2) / 100]


def taken(spec: RunSpec) -> list[np.ndarray]:
    """The weights after ten steps of the real optimizer."""
    model = Weights()
    optimizer = build_optimizer(spec, model)
    for grads in gradients():
        for parameter, gradient in zip(model.parameters(), grads, strict=True):
            parameter.grad = torch.from_numpy(gradient).float()
        optimizer.step()
    return [parameter.detach().double().numpy() for parameter in model.parameters()]


def by_formula(step_of: Callable[[], Step]) -> list[np.ndarray]:
    """The same with a formula; each parameter has its own averages."""
    weights = [parameter.detach().double().numpy() for parameter in Weights().parameters()]
    steps = [step_of() for _ in weights]
    for t, grads in enumerate(gradients(), start=1):
        weights = [step(w, g, t) for step, w, g in zip(steps, weights, grads, strict=True)]
    return weights


def sgd(spec: RunSpec) -> Step:
    b: Any = 0.0

    def step(w: np.ndarray, g: np.ndarray, t: int) -> np.ndarray:
        nonlocal b
        g = g + spec.weight_decay * w
        b = spec.momentum * b + g
        return w - spec.lr * (g + spec.momentum * b if spec.nesterov else b)

    return step


def adagrad(spec: RunSpec) -> Step:
    s: Any = 0.0

    def step(w: np.ndarray, g: np.ndarray, t: int) -> np.ndarray:
        nonlocal s
        g = g + spec.weight_decay * w
        s = s + g**2
        return w - spec.lr * g / (np.sqrt(s) + spec.eps)

    return step


def rmsprop(spec: RunSpec) -> Step:
    """The share α of the average is kept, 1 - α of the new square comes in: not the other way round."""
    s: Any = 0.0

    def step(w: np.ndarray, g: np.ndarray, t: int) -> np.ndarray:
        nonlocal s
        s = spec.alpha * s + (1 - spec.alpha) * g**2
        return w - spec.lr * g / (np.sqrt(s) + spec.eps)

    return step


def averages(spec: RunSpec) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    m: Any = 0.0
    v: Any = 0.0
    beta1, beta2 = spec.betas

    def update(g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal m, v
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        return m, v

    return update


def adam_direction(spec: RunSpec) -> Callable[[np.ndarray, int], np.ndarray]:
    update, (beta1, beta2), largest = averages(spec), spec.betas, 0.0

    def direction(g: np.ndarray, t: int) -> np.ndarray:
        nonlocal largest
        m, v = update(g)
        largest = np.maximum(largest, v)
        v = largest if spec.amsgrad else v
        return m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + spec.eps)

    return direction


def adam(spec: RunSpec) -> Step:
    """Decay is an L2 term: it goes through the averages and is divided by the gradient's size."""
    direction = adam_direction(spec)
    return lambda w, g, t: w - spec.lr * direction(g + spec.weight_decay * w, t)


def adamw(spec: RunSpec) -> Step:
    """Decay is no part of the gradient, and every parameter shrinks by the same share."""
    direction = adam_direction(spec)
    return lambda w, g, t: w * (1 - spec.lr * spec.weight_decay) - spec.lr * direction(g, t)


def rectification(t: int, beta2: float) -> float | None:
    """r of arXiv 1908.03265, algorithm 2; None while the variance of the adaptive rate has no bound."""
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    if rho <= 5:  # the paper has 4, its authors' code and torch 5: below it r is small and rough
        return None
    return math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))


def radam(spec: RunSpec) -> Step:
    update, (beta1, beta2) = averages(spec), spec.betas

    def step(w: np.ndarray, g: np.ndarray, t: int) -> np.ndarray:
        m, v = update(g)
        m, r = m / (1 - beta1**t), rectification(t, beta2)
        if r is None:
            return w - spec.lr * m
        return w - spec.lr * m * r * math.sqrt(1 - beta2**t) / (np.sqrt(v) + spec.eps)

    return step


def lars(spec: RunSpec) -> Step:
    """A layer's gradient is scaled to a share of its weights' norm, then SGD."""
    plain = sgd(replace(spec, weight_decay=0.0))

    def step(w: np.ndarray, g: np.ndarray, t: int) -> np.ndarray:
        size, slope = np.linalg.norm(w), np.linalg.norm(g)
        ratio = spec.trust_coefficient * size / (slope + spec.weight_decay * size)
        return plain(w, ratio * (g + spec.weight_decay * w), t)

    return step


def lamb(spec: RunSpec) -> Step:
    direction = adam_direction(spec)

    def step(w: np.ndarray, g: np.ndarray, t: int) -> np.ndarray:
        update = direction(g, t) + spec.weight_decay * w
        return w - spec.lr * np.linalg.norm(w) / np.linalg.norm(update) * update

    return step


FORMULAS: list[tuple[str, Callable[[RunSpec], Step], dict[str, Any]]] = [
    ("sgd", sgd, {"weight_decay": 0.1}),
    ("sgd", sgd, {"momentum": 0.9, "weight_decay": 0.1}),
    ("sgd", sgd, {"momentum": 0.9, "nesterov": True}),
    ("sgd", sgd, {"momentum": 1.5}),
    ("adagrad", adagrad, {"weight_decay": 0.1}),
    ("rmsprop", rmsprop, {"alpha": 0.9}),
    ("rmsprop", rmsprop, {"alpha": 0.3}),
    ("adam", adam, {"weight_decay": 0.1}),
    ("adam", adam, {"betas": (0.6, 0.666)}),
    ("adam", adam, {"amsgrad": True, "betas": (0.9, 0.5)}),
    ("adamw", adamw, {"weight_decay": 0.1}),
    ("radam", radam, {"betas": (0.9, 0.999)}),
    ("radam", radam, {"betas": (0.8, 0.95)}),
    ("lars", lars, {"momentum": 0.9, "weight_decay": 0.1}),
    ("lars", lars, {"trust_coefficient": 0.02}),
    ("lamb", lamb, {"weight_decay": 0.1}),
    ("lamb", lamb, {}),
]


def test_every_optimizer_has_its_formula() -> None:
    assert {name for name, _, _ in FORMULAS} == set(OPTIMIZERS)


@pytest.mark.parametrize(("name", "formula", "settings"), FORMULAS)
def test_optimizer_follows_its_formula(
    spec: RunSpec, name: str, formula: Callable[[RunSpec], Step], settings: dict[str, Any]
) -> None:
    spec = replace(spec, optimizer=name, lr=0.05, eps=1e-6, **settings)
    for found, expected in zip(taken(spec), by_formula(lambda: formula(spec)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)


def test_a_wrong_formula_is_told_from_the_right_one(spec: RunSpec) -> None:
    """What the course note has: RMSProp with α turned round; and decay as an L2 term in AdamW."""
    turned = replace(spec, optimizer="rmsprop", lr=0.05, alpha=0.9)
    assert apart(taken(turned), by_formula(lambda: rmsprop(replace(turned, alpha=1 - 0.9)))) > 0.01
    decayed = replace(spec, optimizer="adamw", lr=0.05, weight_decay=0.1)
    assert apart(taken(decayed), by_formula(lambda: adam(decayed))) > 0.01
    rectified = replace(spec, optimizer="radam", lr=0.05)
    assert apart(taken(rectified), by_formula(lambda: adam(rectified))) > 0.01


def apart(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))


def test_radam_takes_small_steps_until_the_variance_is_known(spec: RunSpec) -> None:
    """The rectified step grows with t towards Adam's; it does not grow with the gradient's change."""
    beta2 = 0.999
    assert [rectification(t, beta2) for t in (1, 5)] == [None, None]
    known = [r for t in (6, 10, 100, 1000, 10_000) if (r := rectification(t, beta2)) is not None]
    assert len(known) == 5
    assert known == sorted(known)
    assert known[0] < 0.1
    assert known[-1] == pytest.approx(1, abs=1e-3)


def shrinkage(spec: RunSpec) -> tuple[float, float]:
    """By what share a weight of large gradients and one of small ones shrink, beyond what they do without decay."""

    def ends(decay: float) -> torch.Tensor:
        model = torch.nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            model.weight.fill_(1.0)
        optimizer = build_optimizer(replace(spec, weight_decay=decay), model)
        for t in range(200):
            sign = 1.0 if t % 2 else -1.0
            model.weight.grad = sign * torch.tensor([[10.0, 0.1]])
            optimizer.step()
        return model.weight.detach()[0]

    with_decay, without = ends(0.1), ends(0.0)
    large, small = ((without - with_decay) / without).tolist()
    return large, small


def test_decay_in_adam_spares_weights_of_large_gradients_and_in_adamw_none(spec: RunSpec) -> None:
    """arXiv 1711.05101: the L2 term is divided by the gradient's size with the rest of it."""
    large, small = shrinkage(replace(spec, optimizer="adam", lr=0.01))
    assert large < small / 5
    large, small = shrinkage(replace(spec, optimizer="adamw", lr=0.01))
    assert large == pytest.approx(small, rel=0.02)
    assert large == pytest.approx(1 - (1 - 0.01 * 0.1) ** 200, rel=0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_of_weights_alone_spares_tensors_of_one_dimension(name: str, spec: RunSpec) -> None:
    settings = replace(spec, optimizer=name, lr=0.01, momentum=0.0)
    plain, decayed, of_weights = (
        taken(replace(settings, weight_decay=decay, weight_decay_on=on))
        for decay, on in ((0.0, "all"), (0.1, "all"), (0.1, "weights"))
    )
    assert np.array_equal(of_weights[0], decayed[0])
    assert np.array_equal(of_weights[1], plain[1])
    assert not np.array_equal(decayed[1], plain[1])
