"""Error against the learning rate: a line for each group of runs, its best rate, and when there is such a figure."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pawprint import charts
from pawprint.figures.curves import Line
from pawprint.figures.rates import Rates, rates_figure
from pawprint.types import RunSpec

RATES = [0.003, 0.01, 0.03, 0.1, 0.3]
OPTIMIZERS: list[dict[str, Any]] = [{"optimizer": "sgd"}, {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adam"}]


def grid(spec: RunSpec, optimizers: list[dict[str, Any]], rates: list[float]) -> list[RunSpec]:
    first = replace(spec, variant="rates")
    settings = [{**optimizer, "lr": rate} for optimizer in optimizers for rate in rates]
    return [replace(first, run=str(place), **setting) for place, setting in enumerate(settings)]


def scores(specs: list[RunSpec]) -> pd.DataFrame:
    """Each rate's accuracy is 0.9 less its distance from 0.03; the largest diverges with the second seed."""
    rows = [
        {"variant": s.variant, "run": s.run, "seed": seed,
         "val_accuracy": np.nan if s.lr == RATES[-1] and seed else 0.9 - abs(s.lr - 0.03)}
        for s in specs for seed in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_runs_that_differ_in_the_rate_alone_make_a_line(spec: RunSpec) -> None:
    specs = grid(spec, OPTIMIZERS, RATES)
    figure = charts.rates("rates", charts.rate_lines(specs[::-1], scores(specs)))
    assert sorted(legend(figure)) == [
        "adam: 10.0 % at 0.03", "sgd, momentum 0.9: 10.0 % at 0.03", "sgd: 10.0 % at 0.03",
    ]  # fmt: skip
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) > 1]
    assert [list(line.get_xdata()) for line in lines] == [RATES] * 3
    assert all(np.isnan(line.get_ydata()[-1]) for line in lines)  # of one seed alone there is no mean


@pytest.mark.parametrize(
    ("optimizers", "rates"), [(OPTIMIZERS[:2], RATES), (OPTIMIZERS * 3, [0.1, 0.3])], ids=["few runs", "few rates"]
)
def test_other_questions_keep_their_curves(spec: RunSpec, optimizers: list[dict[str, Any]], rates: list[float]) -> None:
    distinct = [{**optimizer, "weight_decay": place / 100} for place, optimizer in enumerate(optimizers)]
    specs = grid(spec, distinct, rates)
    assert charts.rate_lines(specs, scores(specs)) == []


def test_a_group_that_diverged_everywhere_is_told() -> None:
    figure = rates_figure([Rates("sgd", Line(np.array(RATES), np.full(5, np.nan)))], "Rates")
    assert legend(figure) == ["sgd: diverged at each"]
