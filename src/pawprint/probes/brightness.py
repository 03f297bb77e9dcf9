"""Does the model still recognise darker pictures?

Method: test accuracy with every pixel, in [0, 1] and before standardization, multiplied by a factor (the
assignment's lambda). There is no limit: it is a measurement. Reported are the accuracy at each factor, the mean
over the factors, and the factor at which most is lost.
"""

from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pawprint.figures.robustness import robustness_curve
from pawprint.probes import ProbeSubject
from pawprint.training.evaluate import evaluate
from pawprint.types import STRICT, Finding

Factor = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    factors: Annotated[tuple[Factor, ...], Field(min_length=2)] = (0.2, 0.4, 0.6, 0.8, 1.0)


def run(subject: ProbeSubject, settings: Settings) -> Finding:
    """Accuracies are shares of the test set; the figure is the curve."""
    factors = sorted(settings.factors)
    accuracy = [_accuracy(subject, factor) for factor in factors]
    drops = [(bright - dark, factor) for (dark, bright), factor in zip(pairwise(accuracy), factors, strict=False)]
    worst, at = max(drops)
    return Finding(
        name="brightness",
        question="Does the model still recognise darker pictures?",
        numbers={f"accuracy_{f:g}": a for f, a in zip(factors, accuracy, strict=True)}
        | {"accuracy_mean": float(np.mean(accuracy)), "largest_drop": worst},
        passed=None,
        limit="none: a measurement",
        reading=f"test accuracy {accuracy[-1]:.3f} at factor {factors[-1]:g} and {accuracy[0]:.3f} at "
        f"{factors[0]:g}; the largest step down, {worst:.3f}, is the one to {at:g}",
        remedy="train with pictures of varied brightness, or standardize each picture by its own mean"
        if worst > 0
        else None,
        figure=robustness_curve(factors, accuracy, "brightness factor", subject.spec.name),
    )


def _accuracy(subject: ProbeSubject, factor: float) -> float:
    return evaluate(subject.model, subject.data.test, subject.data, alter=lambda images: images * factor).accuracy
