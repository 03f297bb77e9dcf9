"""When the model says it is 90 % sure, is it right 90 % of the time?

Method: the expected calibration error (ECE; Naeini et al. 2015, AAAI; Guo et al., arXiv 1706.04599):
test pictures are put in `n_bins` equal bins by the probability of the predicted class, and the bins' |accuracy -
mean probability| averaged by their share of pictures. Also the signed gap, mean probability less accuracy (above 0:
over-confident), and the temperature that fits val best: logits divided by it have the smallest cross-entropy
there, and what ECE the test set then has. A temperature changes no prediction.

Limit: `max_ece`, 0.05, a convention: how much a probability may be off, the use decides. ECE is above 0 even for
perfect probabilities, the more so the fewer pictures: it fails only what is also above the 95 % point of ECE were the
probabilities true, got by drawing right and wrong answers with just these probabilities (Bröcker and Smith 2007,
Weather and Forecasting 22:651).
"""

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from pawprint.figures.reliability import Bin, reliability_figure
from pawprint.probes import ProbeSubject, wilson
from pawprint.seeding import generator
from pawprint.training.evaluate import evaluate
from pawprint.types import STRICT, Finding

QUESTION = "When the model says it is 90 % sure, is it right 90 % of the time?"
LARGEST_TEMPERATURE = 100.0  # and its inverse the smallest
ROUNDING = 1e-6  # few pictures have few values of ECE, and one of them is often the limit
SMALLEST_PROBABILITY = 1e-38  # of float32: below it a logarithm is not finite


@validated(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    n_bins: Annotated[int, Field(ge=2, le=100)] = 15  # of probability
    max_ece: Annotated[float, Field(ge=0, le=1)] = 0.05
    n_draws: Annotated[int, Field(ge=100, le=100_000)] = 1000  # of answers that the probabilities would give


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """One pass over val. All but the temperature are shares, and the cross-entropy nats."""
    data = subject.data
    test, val = subject.unaltered, evaluate(subject.model, data.val, data)
    if not (np.isfinite(test.probabilities).all() and np.isfinite(val.probabilities).all()):
        return _diverged()
    labels = np.asarray(data.test.labels)
    confidence, right = test.probabilities.max(axis=1), test.probabilities.argmax(axis=1) == labels
    temperature = fitted_temperature(val.probabilities, np.asarray(data.val.labels))
    ece = calibration_error(test.probabilities, labels, settings.n_bins)
    scaled = calibration_error(at_temperature(test.probabilities, temperature), labels, settings.n_bins)
    by_chance = error_by_chance(confidence, settings.n_bins, settings.n_draws)
    gap = float(confidence.mean() - right.mean())
    passed = ece <= max(settings.max_ece, by_chance) + ROUNDING
    return Finding(
        name="calibration",
        question=QUESTION,
        numbers={
            "ece": ece,
            "ece_by_chance": by_chance,
            "ece_scaled": scaled,
            "temperature": temperature,
            "confidence_mean": float(confidence.mean()),
            "accuracy": float(right.mean()),
            "overconfidence": gap,
            "cross_entropy": test.loss,
        },
        passed=passed,
        limit=f"ECE at most {settings.max_ece:g}, or what true probabilities give by chance",
        reading=_reading(confidence, right, ece, by_chance, scaled, temperature),
        remedy=None if passed else _remedy(gap, temperature, ece, scaled),
        figure=reliability_figure(_bins(confidence, right, settings.n_bins), ece, by_chance, subject.name),
    )


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, n_bins: int) -> float:
    """ECE of probabilities (N, K), a share."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    return _error(_which_bin(confidence, n_bins), right - confidence.astype(float), n_bins)


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (N, K) whose logits are divided by `temperature`."""
    return softmax(_logits(probabilities) / temperature, axis=1).astype(np.float32)


def fitted_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which the cross-entropy is smallest."""
    logits, rows = _logits(probabilities), np.arange(len(labels))

    def cross_entropy(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    bound = float(np.log(LARGEST_TEMPERATURE))
    return float(np.exp(minimize_scalar(cross_entropy, bounds=(-bound, bound), method="bounded").x))


def error_by_chance(confidence: np.ndarray, n_bins: int, n_draws: int) -> float:
    """The ECE that true probabilities exceed once in 20 times, on as many pictures with the same `confidence` (N,)."""
    chance = generator("calibration", 0)
    which = _which_bin(confidence, n_bins)
    errors = []
    for _ in range(n_draws):
        excess = (chance.random(len(confidence)) < confidence) - confidence.astype(float)
        errors.append(_error(which, excess, n_bins))
    return float(np.quantile(errors, 0.95))


def _error(which: np.ndarray, excess: np.ndarray, n_bins: int) -> float:
    """Mean over pictures of |accuracy - mean probability| of their bin; `excess`: right or not, less probability."""
    return float(np.abs(np.bincount(which, weights=excess, minlength=n_bins)).sum() / len(which))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Up to a constant in each row, which softmax does not see, (N, K) float64."""
    return np.log(probabilities.astype(np.float64).clip(min=SMALLEST_PROBABILITY))


def _which_bin(confidence: np.ndarray, n_bins: int) -> np.ndarray:
    """Index of each bin, (N,)."""
    return np.minimum((confidence * n_bins).astype(int), n_bins - 1)


def _bins(confidence: np.ndarray, right: np.ndarray, n_bins: int) -> list[Bin]:
    """The bins that hold pictures."""
    which = _which_bin(confidence, n_bins)
    bins = []
    for number in np.unique(which):
        inside = which == number
        n, n_right = int(inside.sum()), int(right[inside].sum())
        share = float(confidence[inside].mean())
        bins.append(Bin(number / n_bins, 1 / n_bins, share, n_right / n, *wilson(n_right, n), n))
    return bins


def _reading(
    confidence: np.ndarray, right: np.ndarray, ece: float, by_chance: float, scaled: float, temperature: float
) -> str:
    gap = confidence.mean() - right.mean()
    leaning = "over-confident" if gap > 0 else "under-confident"
    reading = (
        f"the model is sure at {confidence.mean():.3f} on average and right at {right.mean():.3f}: {leaning} by "
        f"{abs(gap):.3f}; the calibration error is {ece:.3f}, and true probabilities would stay below {by_chance:.3f} "
        f"on {len(right)} pictures 19 times of 20"
    )
    return f"{reading}; logits divided by {temperature:.2f}, which fits val best, have {scaled:.3f}"


def _remedy(gap: float, temperature: float, ece: float, scaled: float) -> str:
    scaling = f"divide the logits by {temperature:.2f} before softmax, which changes no prediction"
    other = "fewer epochs, weight decay, label smoothing or more data" if gap > 0 else "less smoothing or more epochs"
    return f"{scaling}; or {other}" if scaled < ece else f"one temperature does not help: {other}"


def _diverged() -> Finding:
    return Finding(
        "calibration",
        QUESTION,
        {},
        passed=None,
        limit="no verdict",
        reading="probabilities are not finite: the training diverged",
        remedy="lower the learning rate, or clip gradients",
    )
