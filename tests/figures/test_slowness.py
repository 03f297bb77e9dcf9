"""The figure of one training's diagnostics: what is drawn is what was measured, and what was not is said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pawprint.diagnostics.slowness import VERDICTS, verdicts
from pawprint.diagnostics.weight_gradients import PREFIX
from pawprint.figures.slowness import VERDICT_COLORS, WEIGHT, slowness_figure
from pawprint.figures.style import png
from pawprint.training import loop, variant
from pawprint.types import Data, RunSpec

ALL = ("weight_gradients", "gradient_noise", "curvature")
Tables = tuple[pd.DataFrame, pd.DataFrame]


def tables(data: Data, spec: RunSpec, **settings: Any) -> Tables:
    spec = replace(spec, **{"optimizer": "sgd", "lr": 0.05, "diagnose_every_steps": 3, "epochs": 4, **settings})
    training = variant.set_up(spec, data)
    loop.run(training, lambda *_: None, lambda *_: None, lambda: None, 1e9)
    return training.history.diagnostics_table(), training.history.tables()[0]


def test_a_figure_draws_what_was_measured_over_epochs(data: Data, spec: RunSpec) -> None:
    diagnostics, steps = tables(data, spec, diagnostics=ALL)
    rows = verdicts(diagnostics, steps, n_windows=3)
    figure = slowness_figure(diagnostics, steps, rows, "small")
    strip, weights, gradient, curvature, stability = figure.axes
    assert [text.get_text().replace("\n", " ") for text in strip.texts] == rows["verdict"].tolist()
    assert len(weights.get_lines()) == 6
    values = {
        line.get_label(): line.get_ydata() for axes in (gradient, curvature, stability) for line in axes.get_lines()
    }
    wide = diagnostics.pivot(index="step", columns="quantity", values="value")
    assert np.array_equal(values["largest eigenvalue"], wide["eigenvalue_max"])
    assert np.array_equal(values["noise of a batch"], wide["noise_norm"])
    assert np.array_equal(values["learning rate × largest eigenvalue"], wide["lr_times_eigenvalue"])
    assert set(values["bound, 2"]) == {2.0}
    assert np.array_equal(curvature.get_lines()[0].get_xdata(), wide.index / 7)  # 7 steps an epoch
    assert all(axes.get_xlim() == (0, 4) for axes in figure.axes)
    assert png(figure) == png(slowness_figure(diagnostics, steps, rows, "small"))


@pytest.mark.parametrize(("optimizer", "diagnostics", "n_missing"), [
    ("adam", ALL, 0),
    ("sgd", ("gradient_noise", "curvature"), 1),
    ("sgd", ("weight_gradients",), 2),
])  # fmt: skip
def test_what_was_not_measured_is_said(
    data: Data, spec: RunSpec, optimizer: str, diagnostics: tuple[str, ...], n_missing: int
) -> None:
    table, steps = tables(data, spec, optimizer=optimizer, diagnostics=diagnostics)
    none = pd.DataFrame({"verdict": [], "first_step": [], "last_step": []})
    figure = slowness_figure(table, steps, none, "small")
    assert sum(text.get_text() == "not measured" for axes in figure.axes for text in axes.texts) == n_missing
    labels = [line.get_label() for line in figure.axes[4].get_lines()]
    assert any(str(label).startswith("bound") for label in labels) == (
        "curvature" in diagnostics and optimizer == "sgd"
    )


def test_every_verdict_has_a_color_of_its_own() -> None:
    assert set(VERDICT_COLORS) == set(VERDICTS)
    assert len(set(VERDICT_COLORS.values())) == len(VERDICTS)
    assert WEIGHT == PREFIX
