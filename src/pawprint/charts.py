"""The figures of `compare`: from all runs' numbers to one figure a question, and the bars of all.

A question's figure has the panels for which its runs have numbers: over steps or examples the learning rate, the
training loss and the gradient's norms; after each epoch the validation accuracy and, where asked for (`epoch_curves`),
the errors on train and test; the weights' norm where it was measured; and the final scores. A question that
tries more rates than there are colors is answered by one panel instead: the error against the learning rate.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pawprint.comparison import TRAINING, RunComparison
from pawprint.figures.bars import Bar, Score, bars_figure
from pawprint.figures.curves import Curve, Line, Panel
from pawprint.figures.question import question_figure
from pawprint.figures.rates import Rates, rates_figure
from pawprint.figures.style import COLORS
from pawprint.labels import differences, effective
from pawprint.types import RunSpec

SMOOTHING_STEPS = 20  # span of the exponential moving average
MAX_POINTS = 100  # of a line: more are not seen
X_LABELS = {"step": "optimizer steps", "examples_seen": "examples seen"}
GRADIENT_NORMS = ["gradient_norm_mean", "gradient_norm_total"]
MIN_RATES = 3  # that make a line
MAX_RUNS_WITH_SEEDS = 8  # in a figure; of more, lines of single seeds hide the means
KEYS = {
    True: f"faint: each seed; bold: mean over seeds, losses and norms averaged over about {SMOOTHING_STEPS} steps",
    False: f"mean over seeds, losses and norms averaged over about {SMOOTHING_STEPS} steps",
}
INTERVAL = ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]


@dataclass(frozen=True)
class Curves:
    """What is drawn of all trainings, a row or more for each (variant, run, seed)."""

    scores: pd.DataFrame  # test_accuracy with its interval
    steps: pd.DataFrame  # training_loss_smoothed beside what was logged
    epochs: pd.DataFrame  # val's scores; train_accuracy and test_accuracy, NaN where they were not measured
    diagnostics: pd.DataFrame  # quantity, value

    def of(self, rows: Sequence[RunComparison]) -> Curves:
        """Those of some runs."""
        chosen = {(row.variant, row.run) for row in rows}
        frames = (self.scores, self.steps, self.epochs, self.diagnostics)
        return Curves(*(frame[_is_of(frame, chosen)] for frame in frames))


def evenly(n: int, n_points: int = MAX_POINTS) -> np.ndarray:
    """At most `n_points` row numbers of `n`, the first and the last among them."""
    return np.linspace(0, n - 1, min(n, n_points)).round().astype(int)


def smoothed(steps: pd.DataFrame, column: str) -> pd.Series:
    """Each training's values, averaged over its past with exponentially fading weights; NaN stays NaN."""
    values = steps.groupby(TRAINING, sort=False)[column]
    return values.transform(lambda training: training.ewm(span=SMOOTHING_STEPS).mean()).where(steps[column].notna())


def smoothed_norm(steps: pd.DataFrame, column: str) -> pd.Series:
    """The same of logarithms, as the axis of norms is: one large norm would pull an average up for many steps."""
    logarithms = steps.assign(logarithm=np.log(steps[column].where(steps[column] > 0)))
    return np.exp(smoothed(logarithms, "logarithm"))


def overview(table: pd.DataFrame, rows: Sequence[RunComparison]) -> Figure:
    """The final scores of all runs."""
    title = "Test accuracy: mean, and each seed with its 95 % interval"
    return bars_figure(_bars(table, rows), title, "accuracy (%)")


def rate_lines(specs: Sequence[RunSpec], table: pd.DataFrame) -> list[Rates]:
    """Val's error against the learning rate, where more runs than can be told apart by color differ in it; else empty.

    Runs are joined to a line that differ in nothing but their rate.
    """
    groups: dict[str, list[RunSpec]] = {}
    runs = list({(spec.variant, spec.run): spec for spec in specs}.values())
    for spec in runs:
        others = {setting: value for setting, value in effective(spec).items() if setting != "lr"}
        groups.setdefault(repr(others), []).append(spec)
    if len(runs) <= len(COLORS) or any(len(group) < MIN_RATES for group in groups.values()):
        return []
    accuracy = table.groupby(TRAINING[:2])["val_accuracy"].agg(lambda seeds: seeds.mean(skipna=False))
    lines = []
    for group in groups.values():
        by_rate = sorted(group, key=lambda spec: spec.scaled_lr)
        errors = [100 * (1 - accuracy[(spec.variant, spec.run)]) for spec in by_rate]
        line = Line(np.array([spec.scaled_lr for spec in by_rate]), np.array(errors))
        lines.append(Rates(differences(replace(group[0], lr=runs[0].lr), runs[0]) or runs[0].optimizer, line))
    return lines


def rates(name: str, lines: Sequence[Rates]) -> Figure:
    """A question that is answered by such lines."""
    return rates_figure(lines, _title(name))


def question(name: str, x: str, rows: Sequence[RunComparison], curves: Curves, loss_label: str) -> Figure:
    """One question's runs over `x`, a key of X_LABELS; `loss_label` names the training loss and its unit."""
    own = curves.of(rows)
    with_seeds = len(rows) <= MAX_RUNS_WITH_SEEDS
    loss = _lines(own.steps, rows, x, "training_loss", "training_loss_smoothed", with_seeds)
    accuracy = _lines(own.epochs, rows, x, "val_accuracy", with_seeds=with_seeds)
    panels = [
        Panel("Learning rate", "learning rate", _lines(own.steps, rows, x, "learning_rate"), log_y=True),
        Panel("Training loss", loss_label, loss, top=_ceiling(own.steps, "training_loss_smoothed")),
        Panel("Validation accuracy", "accuracy (%)", accuracy, as_percent=True),
        *_error_panels(own.epochs, rows, x, with_seeds),
        *_gradient_panels(own.steps, rows, x, with_seeds),
    ]
    norms = own.diagnostics[own.diagnostics["quantity"] == "weight_norm"]
    if len(_runs(norms)) == len(rows):
        curves_ = _lines(norms, rows, x, "value", with_seeds=with_seeds)
        panels.append(Panel("Norm of the weight matrices", "L2 norm", curves_))
    return question_figure(_title(name), KEYS[with_seeds], panels, X_LABELS[x], _bars(own.scores, rows))


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _error_panels(epochs: pd.DataFrame, rows: Sequence[RunComparison], x: str, with_seeds: bool) -> list[Panel]:
    """Of the errors that all runs have, from the first epoch on: beside a guess's nothing else could be told apart."""
    panels = []
    trained = epochs[epochs["epoch"] > 0]
    for title, column in {"Training error": "train_accuracy", "Test error": "test_accuracy"}.items():
        if column in epochs and len(_runs(epochs[epochs[column].notna()])) == len(rows):
            curves = _lines(trained.assign(error=100 * (1 - trained[column])), rows, x, "error", with_seeds=with_seeds)
            panels.append(Panel(title, "error (%)", curves, log_y=True))
    return panels


def _gradient_panels(steps: pd.DataFrame, rows: Sequence[RunComparison], x: str, with_seeds: bool) -> list[Panel]:
    panels = []
    for title, column in zip(["Mean gradient norm", "Total gradient norm"], GRADIENT_NORMS, strict=True):
        averaged = steps.assign(smoothed=smoothed_norm(steps, column))
        curves = _lines(averaged, rows, x, column, "smoothed", with_seeds)
        sound = [row for row in rows if not row.n_diverged] or rows
        finished = steps[_is_of(steps, {(row.variant, row.run) for row in sound})]
        panels.append(Panel(title, "L2 norm", curves, log_y=True, top=_head(steps[column], finished[column])))
    return panels


def _head(norms: pd.Series, of_finished: pd.Series) -> float | None:
    """Where to cut a chart of norms: at twice the largest of the runs that finished, if others go beyond."""
    top = 2 * float(of_finished.max())
    return top if norms.max() > top else None


def _is_of(frame: pd.DataFrame, runs: Collection[tuple[str, str]]) -> np.ndarray:
    """Which rows are of some of the runs, (rows,) bool; pair by pair a study's would take seconds a chart."""
    return pd.MultiIndex.from_frame(frame[["variant", "run"]]).isin(list(runs))


def _runs(frame: pd.DataFrame) -> set[Any]:
    return set(frame[["variant", "run"]].drop_duplicates().itertuples(index=False, name=None))


def _lines(
    frame: pd.DataFrame,
    rows: Sequence[RunComparison],
    x: str,
    raw: str,
    bold: str | None = None,
    with_seeds: bool = True,
) -> list[Curve]:
    """A curve for each run: its seeds' `raw` values, and the mean of `bold` (or `raw`) as far as all seeds have one."""
    curves = []
    for row in rows:
        trainings = frame[(frame["variant"] == row.variant) & (frame["run"] == row.run)]
        mean = _mean(trainings.pivot(index=x, columns="seed", values=bold or raw))
        seeds = [part for _, part in trainings.groupby("seed", sort=False)]
        lines = [_line(part[x].to_numpy(), part[raw].to_numpy(dtype=float)) for part in seeds if with_seeds]
        diverged = f" (diverged with {row.n_diverged} of {row.n_seeds} seeds)" if row.n_diverged else ""
        entry = f"{row.label}: {row.description}{diverged}"
        curves.append(Curve(entry, _line(mean.index.to_numpy(), mean.to_numpy()), lines))
    return curves


def _mean(seeds: pd.DataFrame) -> pd.Series:
    """Of the columns, NaN where one is; equal values keep theirs: a mean off by a rounding would stretch an axis."""
    mean, lowest = seeds.mean(axis=1, skipna=False), seeds.min(axis=1)
    return mean.where(mean.isna() | (lowest != seeds.max(axis=1)), lowest)


def _line(x: np.ndarray, y: np.ndarray) -> Line:
    rows = evenly(len(x))
    return Line(x[rows], y[rows])


def _ceiling(frame: pd.DataFrame, loss: str) -> float | None:
    """Where to cut a chart of losses: half above the largest initial one, if any run goes beyond that."""
    ceiling = 1.5 * frame.groupby(TRAINING)[loss].nth(0).to_numpy(dtype=float).max()
    return ceiling if frame[loss].max() > ceiling else None


def _bars(table: pd.DataFrame, rows: Sequence[RunComparison]) -> list[Bar]:
    bars = []
    for row in rows:
        trainings = table[(table["variant"] == row.variant) & (table["run"] == row.run)]
        scores = [Score(*map(float, values)) for values in trainings[INTERVAL].itertuples(index=False)]
        mean = trainings["test_accuracy"].to_numpy(dtype=float).mean()
        bars.append(Bar(row.label, mean, scores))
    return bars
