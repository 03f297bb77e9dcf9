"""Rates that a model learns at pass; the rates that stall it or throw it off do not; a broken model gets no verdict."""

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pydantic import ValidationError
from torch import nn
from torch.optim import Optimizer

from pawprint.checks import CheckSubject
from pawprint.checks.learning_rate import Settings, range_test, run, shape_of
from pawprint.data.batches import Batch
from pawprint.data.sources.procedural import BREEDS, draw_pet
from pawprint.types import Data, LossTerms, RunSpec, Split
from tests.checks.conftest import Workshop

PIXELS = 32
FEW = Settings(n_steps=50)


@pytest.fixture(scope="module")
def pets() -> Data:
    """Drawn pictures of ten breeds."""
    breeds = BREEDS[::4]

    def split(part: str, first: int, n: int) -> Split:
        keys = [(label, first + index) for index in range(n) for label in range(len(breeds))]
        images = np.stack([draw_pet(breeds[b], seed=0, index=i, pixels=PIXELS) for b, i in keys])
        return Split([f"{part}_{b}_{i}" for b, i in keys], images, np.array([b for b, _ in keys], dtype=np.int64))

    parts = split("train", 0, 18), split("val", 18, 1), split("test", 19, 1)
    names = [breed.name for breed in breeds]
    return Data(*parts, None, names, (3, PIXELS, PIXELS), (0.5,) * 3, (0.2,) * 3, "0" * 64, "1" * 64)


@pytest.fixture
def pets_workshop(pets: Data, spec: RunSpec) -> Workshop:
    return Workshop(pets, replace(spec, mlp_widths=(128, 56), batch_size=32))


def at(subject: CheckSubject, *rates: float) -> CheckSubject:
    return replace(subject, rates={f"{rate:g}": rate for rate in rates})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("optimizer", "small", "sensible", "large"),
    [
        ("adam", (1e-6, 1e-5), (3e-4, 1e-3), (0.1, 1.0)),
        ("adamw", (1e-6, 1e-5), (3e-4, 1e-3), (0.1, 1.0)),
        ("sgd", (1e-5, 1e-4), (0.03, 0.1), (1.0, 3.0)),
    ],
)
def test_each_rate_of_an_mlp_is_judged(
    pets_workshop: Workshop,
    seed: int,
    optimizer: str,
    small: tuple[float, ...],
    sensible: tuple[float, ...],
    large: tuple[float, ...],
) -> None:
    subject = at(pets_workshop.subject(seed=seed, optimizer=optimizer), *small, *sensible, *large)
    finding = run(subject, Settings())
    numbers = finding.numbers
    assert [numbers[f"verdict_{rate:g}"] for rate in small] == [-1, -1], finding.reading
    assert [numbers[f"verdict_{rate:g}"] for rate in sensible] == [0, 0], finding.reading
    assert [numbers[f"verdict_{rate:g}"] for rate in large] == [1, 1], finding.reading
    assert finding.passed is False
    assert run(at(subject, *sensible), Settings()).passed is True


def test_adamw_at_1e_6_is_too_small_for_a_resnet(pets_workshop: Workshop) -> None:
    subject = pets_workshop.subject(model="resnet18", optimizer="adamw", lr=1e-6)
    finding = run(subject, FEW)
    assert finding.passed is False
    assert finding.reading.startswith("too small: baseline (1e-06)"), finding.reading
    assert finding.remedy
    assert finding.remedy.startswith("lr: ")
    assert 1e-4 <= float(finding.remedy.split()[1]) <= 1e-3


def test_the_suggestion_passes(pets_workshop: Workshop) -> None:
    for optimizer in ("adam", "sgd"):
        subject = pets_workshop.subject(optimizer=optimizer, lr=1e-6)
        finding = run(subject, Settings())
        rounded = float((finding.remedy or "").split()[1])
        assert finding.numbers["suggested"] == finding.numbers["minimum_lr"] / 10
        assert run(at(subject, rounded), Settings()).passed is True


def test_many_rates_are_grouped_by_verdict_tabulated_and_drawn(pets_workshop: Workshop) -> None:
    rates = {"low": 1e-6, "lower": 1e-8, "zero": 0.0, "baseline": 1e-3, "twin": 1e-3, "huge": 100.0}
    finding = run(replace(pets_workshop.subject(), rates=rates), Settings())
    groups = finding.reading.split("; ")
    assert groups[0] == "too large: huge (100)"
    assert groups[1] == "too small: low (1e-06), lower (1e-08), zero (0)"
    assert groups[2] == "sensible: baseline (0.001), twin (0.001)"
    assert (finding.remedy or "").endswith("for low, lower, zero, huge")
    assert len(finding.table) == finding.numbers["n_steps"]
    assert [row["lr"] for row in finding.table][:1] == [pytest.approx(1e-7)]
    assert finding.figure is not None
    FigureCanvasAgg(finding.figure).draw()


def test_without_rates_there_is_a_suggestion_and_no_verdict(pets_workshop: Workshop) -> None:
    finding = run(replace(pets_workshop.subject(), rates={}), Settings())
    assert finding.passed is None
    assert finding.remedy is None
    assert "a first guess" in finding.reading


def test_a_last_batch_of_two_breaks_nothing(workshop: Workshop) -> None:
    """Epochs of 50 pictures in batches of 8; batch normalization in one of the models."""
    finding = run(workshop.subject(lr=0.001), Settings())
    assert finding.passed is True, finding.reading


class Detached(nn.Module):
    """A model whose answer has lost its graph but for a bias, as after a stray `.data`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.scale = model, nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).detach() + 0 * self.scale


class Overflowing(nn.Module):
    """A model that is given more than half precision holds."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model((1e6 * images).half().float())


def test_a_loss_that_falls_nowhere_gets_no_verdict(pets_workshop: Workshop) -> None:
    finding = run(pets_workshop.subject(Detached), Settings())
    assert finding.passed is None
    assert "at no rate from 1e-7 to 10 did the loss fall" in finding.reading
    assert finding.remedy
    assert not any(name.startswith("verdict_") for name in finding.numbers)
    assert finding.figure is not None
    FigureCanvasAgg(finding.figure).draw()


def test_a_loss_of_nan_from_the_beginning_gets_no_verdict(pets_workshop: Workshop) -> None:
    finding = run(pets_workshop.subject(Overflowing), FEW)
    assert finding.passed is None
    assert "a loss of nan" in finding.reading


def test_one_class_gets_no_verdict(data: Data, spec: RunSpec) -> None:
    train = replace(data.train, labels=np.zeros_like(data.train.labels))
    finding = run(Workshop(replace(data, train=train, class_names=["dark"]), spec).subject(), FEW)
    assert finding.passed is None
    assert "a loss of 0" in finding.reading


def test_an_objective_that_raises_is_heard(pets_workshop: Workshop) -> None:
    def fails(model: nn.Module, batch: Batch) -> LossTerms:
        raise RuntimeError("shapes do not match")

    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(replace(pets_workshop.subject(), objective=fails), FEW)
    assert torch.equal(state, torch.get_rng_state())


def test_groups_keep_the_ratios_of_their_rates(pets_workshop: Workshop) -> None:
    """As for fine-tuning: a head that learns ten times as fast as what is below it."""
    subject = pets_workshop.subject()
    seen: list[tuple[float, ...]] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            seen.append(tuple(group["lr"] for group in self.param_groups))
            super().step(closure)

    def optimizer_for(model: nn.Module) -> Optimizer:
        *below, head = model.children()
        groups = [{"params": [p for m in below for p in m.parameters()], "lr": 1e-4, "initial_lr": 1e-4},
                  {"params": list(head.parameters()), "lr": 1e-3, "initial_lr": 1e-3}]  # fmt: skip
        return Watched(groups)

    rates, losses = range_test(replace(subject, optimizer_for=optimizer_for), FEW)
    assert len(rates) == len(losses) == len(seen)
    assert [high for _, high in seen] == pytest.approx(rates)
    assert [low for low, _ in seen] == pytest.approx(rates / 10)


def test_measuring_says_the_same_twice_and_leaves_nothing_behind(
    pets_workshop: Workshop, capfd: pytest.CaptureFixture[str]
) -> None:
    def drop(model: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Dropout(0.2), model)  # draws from torch's generator

    plain = pets_workshop.subject(drop)

    def jittered() -> Iterator[Batch]:
        for batch in plain.batches():  # as foreign projects augment: from the other global generators
            yield Batch(batch.images + 0.1 * float(np.random.rand()) + 0.1 * random.random(), batch.labels)

    subject = replace(plain, batches=jittered)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = run(subject, FEW)
    assert torch.equal(states[0], torch.get_rng_state())
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    torch.rand(3), random.random()
    second = run(subject, FEW)
    assert first.as_json() == second.as_json()
    assert first.table == second.table
    assert capfd.readouterr() == ("", "")


def test_the_curve_is_read_where_something_happens() -> None:
    """A curve of known shape: flat to 1e-4, down to its minimum at 1e-2, above its start from 1e-1 on."""
    rates = np.geomspace(1e-7, 10, 200)
    places = [-7.0, -4.0, -2.0, -1.0, 1.0]
    losses = np.exp(np.interp(np.log10(rates), places, np.log([2.0, 2.0, 1.0, 2.0, 8.0])))
    shape = shape_of(rates, losses, Settings(n_steps=200, smoothing=0.005))
    assert shape.falls
    assert shape.start == pytest.approx(2.0)
    assert shape.minimum == pytest.approx(1e-2, rel=0.1)
    assert shape.diverged_at == pytest.approx(1e-1, rel=0.15)
    assert shape.high == pytest.approx(0.6 * 1e-1, rel=0.15)
    assert shape.low == pytest.approx(10 ** (-4 + 2 * np.log2(1 / 0.9)) / 15, rel=0.15)
    assert shape.low < 1e-4 < shape.steepest < shape.minimum


def test_noise_alone_is_no_fall() -> None:
    draws = np.random.default_rng(0)
    rates = np.geomspace(1e-7, 10, 100)
    falls = [shape_of(rates, np.exp(1 + 0.05 * draws.standard_normal(100)), Settings()).falls for _ in range(200)]
    assert np.mean(falls) < 0.1


@pytest.mark.parametrize(
    "wrong",
    [{"n_steps": 10}, {"smoothing": 0.0}, {"start_lr": 0.0}, {"start_lr": 1.0}, {"diverge_factor": 1.0}, {"steps": 5}],
)
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)
