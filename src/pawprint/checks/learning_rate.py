"""Is the configured learning rate one that the model learns at?

Method: the learning-rate range test (Smith, arXiv 1506.01186), with a rate that rises exponentially, as in fastai;
torch-lr-finder drives it. A fresh model takes `n_steps` steps, each at a higher rate, with training's own objective,
optimizer and batches. Parameter groups keep the ratios of their rates; the rate told is the highest group's.

The loss is smoothed without delay, which an exponential average is not: a Gaussian over the logarithm of the losses,
of a standard deviation of `smoothing` times the number of steps. On that curve are found the steepest fall, the
minimum (a tenth of its rate is suggested), and where the loss is back at its start: it diverged.

    too small   below 1/15 of the rate at which the loss has fallen by a tenth (at the latest: of the minimum)
    too large   from 0.6 of the rate at which it diverged

The test takes one step at each rate and a training takes hundreds: hence a fifteenth.

Measured against trainings of 136 to 336 steps at eleven rates, 1e-6 to 1. A rate is sensible that gains at least 0.8
of what the best one gains over chance, on held-out pictures; below 0.5 it is too small or too large; between, nothing
is scored. The rule was chosen on drawn pets of 37 and of 10 breeds, digits and 50 made-up pictures, with ResNet-18, an
MLP and two small CNNs, under Adam, AdamW, and SGD with and without momentum: 638 trainings, 266 range tests. Of its
verdicts there 91 % are right (of 2,549; by model and optimizer 80 to 97 %). It was then scored on models that chose
nothing (with group normalization, with batch normalization and dropout, a transformer; under NAdam and RMSprop as
well; 495 trainings, 135 range tests): 89 % of 1,305 are right. Of the wrong ones 116 call a rate too large that
does, 33 one sensible that is too small. A tenth of the minimum is cautious: there it gained 0.8 of the best in 63 % of
the tests, a third of the minimum in 87 %.

Limits: a network with batch normalization under plain SGD recovers from a first bump that the test takes for
divergence: rates up to ten times `high` can do (ResNet-18 learns at 0.1). Where training is long, rates below `low`
arrive as well. No schedule is looked at: a warm-up bears higher rates. Where the loss falls by less than its noise,
there is no verdict: ResNet-18 under SGD on 37 classes had none in two of three tests of 100 steps, and one with 200.
"""

import contextlib
import io
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated
from scipy.ndimage import gaussian_filter1d
from torch import nn
from torch.optim import Optimizer

from pawprint.checks import CheckSubject
from pawprint.data.batches import Batch
from pawprint.figures.range_test import ConfiguredRate, RangeCurve, range_test_figure, short_rate
from pawprint.objectives import Objective
from pawprint.seeding import preserve_rng
from pawprint.types import STRICT, Finding, short_number

QUESTION = "Is the configured learning rate one that the model learns at?"
LIMIT = "every rate from 1/15 of where the loss has fallen by a tenth, to below 0.6 of where it diverged"
FALLEN = 0.1  # of the first losses
LOW, HIGH = 1 / 15, 0.6  # measured, see above
FLOOR = 0.1  # of the first losses: lower ones count as this
START = 0.1  # of the steps: their mean loss is where the curve starts
NOISE = 2.0  # standard deviations of one batch's loss; pure noise falls by more in 4 of 100 tests
TOO_SMALL, SENSIBLE, TOO_LARGE = -1, 0, 1
VERDICTS = {TOO_LARGE: "too large", TOO_SMALL: "too small", SENSIBLE: "sensible"}

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    start_lr: Rate = 1e-7
    end_lr: Rate = 10.0
    n_steps: Annotated[int, Field(ge=50, le=100_000)] = 100  # from the one to the other; the time the check takes
    smoothing: Annotated[float, Field(gt=0, le=0.1)] = 0.02  # standard deviation of the Gaussian, of the steps
    diverge_factor: Annotated[float, Field(gt=1)] = 5.0  # times its lowest: the averaged loss at which the test stops

    def __post_init__(self) -> None:
        if self.end_lr < 100 * self.start_lr:
            raise ValueError(f"end_lr: {self.end_lr:g} is below 100 times start_lr ({self.start_lr:g}): no range")


@dataclass(frozen=True)
class Shape:
    """What a curve says of rates."""

    curve: RangeCurve
    start: float  # loss
    lowest: float  # loss, smoothed
    falls: bool  # by more than noise does
    steepest: float
    minimum: float
    diverged_at: float | None  # None: not up to the highest rate tried
    low: float
    high: float

    @property
    def suggested(self) -> float:
        return self.minimum / 10

    @property
    def first_guess(self) -> float:
        """The more careful of the two customs."""
        return min(self.suggested, self.steepest)

    @property
    def fall_percent(self) -> float:
        return 100 * (1 - self.lowest / self.start)

    def verdict(self, rate: float) -> int:
        if rate < self.low:
            return TOO_SMALL
        return SENSIBLE if rate < self.high else TOO_LARGE


def run(subject: CheckSubject, settings: Settings) -> Finding:
    """`verdict_<name>` is -1 for too small, 0 for sensible and 1 for too large."""
    rates, losses = range_test(subject, settings)
    start = losses[: _n_start(settings)]
    if len(start) < _n_start(settings) or not (np.isfinite(start) & (start > 0)).all():
        return _no_curve(subject, losses)
    shape = shape_of(rates, losses, settings)
    verdicts = {name: shape.verdict(rate) for name, rate in subject.rates.items()} if shape.falls else {}
    wrong = [name for name, verdict in verdicts.items() if verdict != SENSIBLE]
    return Finding(
        name="learning_rate",
        question=QUESTION,
        numbers=_numbers(shape, subject.rates, verdicts),
        passed=not wrong if verdicts else None,
        limit=LIMIT,
        reading=_reading(shape, subject.rates, verdicts),
        remedy=_remedy(shape, wrong),
        figure=_figure(shape, subject, verdicts),
        table=_table(shape.curve),
    )


def range_test(subject: CheckSubject, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """The rates of the steps done, and each step's loss; fewer than `n_steps` where the loss diverged before."""
    from torch_lr_finder import LRFinder, TrainDataLoaderIter  # imports pyplot, which takes its time

    losses: list[float] = []

    def record(loss: torch.Tensor, _labels: None) -> torch.Tensor:
        losses.append(loss.item())
        return torch.where(loss.isnan(), math.inf, loss)  # the finder stops at infinity, not at nan

    with _seeded(subject.seed), _silent():
        model = subject.model()
        optimizer = subject.optimizer_for(model)
        _keep_ratios(optimizer)
        finder = LRFinder(_Descent(model, subject.objective), optimizer, record)
        finder.range_test(
            TrainDataLoaderIter((batch, None) for batch in subject.batches()),
            start_lr=settings.start_lr,
            end_lr=settings.end_lr,
            num_iter=settings.n_steps,
            diverge_th=settings.diverge_factor,
        )
    return np.array(finder.history["lr"], dtype=float), np.array(losses)


def shape_of(rates: np.ndarray, losses: np.ndarray, settings: Settings) -> Shape:
    """Smooth the losses, and find the rates at which something happens."""
    n_start = _n_start(settings)
    start = float(np.exp(np.log(losses[:n_start]).mean()))
    # A loss of 0 has no logarithm; one that exploded, or an easy batch's, would drown its neighbors.
    clipped = np.clip(np.nan_to_num(losses, nan=np.inf), FLOOR * start, settings.diverge_factor * start)
    logs = np.log(clipped)
    smoothed_logs = gaussian_filter1d(logs, settings.smoothing * settings.n_steps, mode="nearest")
    smoothed = np.exp(smoothed_logs)
    bottom = int(np.argmin(smoothed))
    noise = float(np.std((logs - smoothed_logs)[: max(n_start, bottom // 2)]))
    still_high = np.flatnonzero(smoothed[:bottom] > (1 - FALLEN) * start)
    fallen = int(still_high[-1]) + 1 if len(still_high) else 0
    back = np.flatnonzero(smoothed[bottom:] > start)
    diverged_at = float(rates[bottom + back[0]]) if len(back) else None
    return Shape(
        curve=RangeCurve(rates, losses, smoothed),
        start=start,
        lowest=float(smoothed[bottom]),
        falls=math.log(start) - float(smoothed_logs[bottom]) > NOISE * noise,
        steepest=float(rates[np.argmin(np.gradient(smoothed)[: bottom + 1])]),
        minimum=float(rates[bottom]),
        diverged_at=diverged_at,
        low=LOW * float(rates[fallen]),
        high=float(rates[-1]) if diverged_at is None else HIGH * diverged_at,
    )


class _Descent(nn.Module):
    """Model and objective as the finder wants them: from a batch to its loss."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.objective(self.model, batch).total


def _keep_ratios(optimizer: Optimizer) -> None:
    """Have each step scale the groups' rates, which the finder sets all alike, to the ratios they now have."""
    highest = max(float(group["lr"]) for group in optimizer.param_groups)
    ratios = [float(group["lr"]) / highest if highest else 1.0 for group in optimizer.param_groups]

    def scale(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
            group["lr"] = group["lr"] * ratio

    optimizer.register_step_pre_hook(scale)
    for group in optimizer.param_groups:
        group.pop("initial_lr", None)  # a schedule's mark, at which the finder stops; no schedule runs here


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """All three global generators start from the seed, and are put back."""
    python_state = random.getstate()
    with preserve_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The finder prints, and draws a progress bar."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _n_start(settings: Settings) -> int:
    return math.ceil(START * settings.n_steps)


def _numbers(shape: Shape, rates: dict[str, float], verdicts: dict[str, int]) -> dict[str, float]:
    numbers = {
        "start_loss": shape.start,
        "lowest_loss": shape.lowest,
        "fall_percent": shape.fall_percent,
        "n_steps": len(shape.curve.rates),
    }
    if shape.falls:
        numbers |= {
            "steepest": shape.steepest,
            "minimum_lr": shape.minimum,
            "suggested": shape.suggested,
            "low": shape.low,
            "high": shape.high,
        }
    if shape.diverged_at is not None:
        numbers["diverged_at"] = shape.diverged_at
    numbers |= {f"rate_{name}": rate for name, rate in rates.items()}
    return numbers | {f"verdict_{name}": verdict for name, verdict in verdicts.items()}


def _reading(shape: Shape, rates: dict[str, float], verdicts: dict[str, int]) -> str:
    tried = shape.curve.rates
    between = f"from {short_rate(tried[0])} to {short_rate(tried[-1])}"
    if not shape.falls:
        return (
            f"at no rate {between} did the loss fall by more than its noise (from {shape.start:.3g} to "
            f"{shape.lowest:.3g} at best, smoothed)"
        )
    end = f"nowhere above its start {between}"
    if shape.diverged_at is not None:
        end = f"back at its start at {short_rate(shape.diverged_at)}"
    curve = (
        f"as the rate rises {between}, the loss falls fastest at {short_rate(shape.steepest)}, is lowest at "
        f"{short_rate(shape.minimum)} ({shape.fall_percent:.0f} % below its start) and {end}; sensible are "
        f"{short_rate(shape.low)} to {short_rate(shape.high)}, a first guess {_rounded(shape.first_guess)}"
    )
    groups = [
        f"{said}: " + ", ".join(f"{name} ({rates[name]:g})" for name, v in verdicts.items() if v == verdict)
        for verdict, said in VERDICTS.items()
        if verdict in verdicts.values()
    ]
    return "; ".join([*groups, curve])


def _remedy(shape: Shape, wrong: list[str]) -> str | None:
    if not shape.falls:
        return (
            "see whether the model learns at all (checks initial_loss, parameter_update, overfit_one_batch); if it "
            "does, raise n_steps, to 200 say: a loss that falls slowly needs more of them"
        )
    if not wrong:
        return None
    return (
        f"lr: {_rounded(shape.first_guess)} (where the loss falls fastest, or a tenth of where it is lowest if "
        f"that is less), for {', '.join(wrong)}"
    )


def _no_curve(subject: CheckSubject, losses: np.ndarray) -> Finding:
    """Where the first losses already are no numbers that can fall."""
    first = next((loss for loss in losses if not (math.isfinite(loss) and loss > 0)), losses[-1])
    return Finding(
        name="learning_rate",
        question=QUESTION,
        numbers={f"rate_{name}": rate for name, rate in subject.rates.items()},
        passed=None,
        limit=LIMIT,
        reading=f"a loss of {first:g} at the lowest rates, where the model hardly changes yet; the loss "
        "fell at no rate",
        remedy="a loss that is not finite: look for what divides by zero or overflows in pictures, model and "
        "objective; a loss of zero or below: there is nothing to learn, or the objective has no floor",
    )


def _figure(shape: Shape, subject: CheckSubject, verdicts: dict[str, int]) -> Figure:
    points = {"fastest fall": shape.steepest, "lowest": shape.minimum, "lowest ÷ 10": shape.suggested}
    diverged = {} if shape.diverged_at is None else {"back at its start": shape.diverged_at}
    return range_test_figure(
        shape.curve,
        (shape.low, shape.high) if shape.falls else None,
        (points if shape.falls else {}) | diverged,
        [
            ConfiguredRate(name, rate, verdicts[name] == SENSIBLE if name in verdicts else None)
            for name, rate in subject.rates.items()
        ],
        subject.name,
    )


def _table(curve: RangeCurve) -> tuple[dict[str, float], ...]:
    rows = zip(curve.rates.tolist(), curve.losses.tolist(), curve.smoothed.tolist(), strict=True)
    return tuple({"lr": lr, "loss": loss, "smoothed": smoothed} for lr, loss, smoothed in rows)


def _rounded(rate: float) -> str:
    """To one digit, as a setting is written."""
    return short_number(float(f"{rate:.0e}"))
