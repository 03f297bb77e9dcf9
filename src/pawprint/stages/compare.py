"""Stage `compare`: every run of the study in one table, and one chart for each question.

Reads what `resolve`, `train` and `test` left for each variant; writes the table, and for each chart a long
CSV (columns variant, run, seed, then values) that `dvc plots` draws, and the same as a PNG. All of it is
small and tracked by git, so that the charts are there on a fresh clone without a pull.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pawprint import atomic, paths
from pawprint.comparison import as_json, coinciding, compare, label
from pawprint.errors import DataError
from pawprint.figures.bars import Bar, Score, bars_figure
from pawprint.figures.curves import Curve, Line, Panel, curves_figure
from pawprint.figures.style import save
from pawprint.params import read_resolved, read_study
from pawprint.stages.entry import run_stage
from pawprint.summary import print_summary
from pawprint.types import RunSpec, StudySettings

SMOOTHING_STEPS = 20  # span of the exponential moving average
MAX_POINTS = 100  # a run has in a per-step chart: more are not seen, and the files stay small
SIGNIFICANT_DIGITS = "%.6g"
IDENTITY = ["variant", "run", "seed"]
X_STEPS = ["step", "examples_seen"]
GRADIENT_NORMS = ["gradient_norm_mean", "gradient_norm_total"]
EXAMPLES_SEEN = "examples seen"


def main() -> None:
    """Write the table and the charts, and print the table."""
    study, _ = read_study(paths.PARAMS)
    specs = _specs(study)
    table = _scores(specs)
    rows = compare(table, coinciding(specs))
    atomic.write_json(paths.COMPARISON, as_json(rows))
    steps, epochs = _curves(specs, "steps"), _curves(specs, "epochs")
    steps["training_loss_smoothed"] = _smoothed(steps)
    _write_tables(table, steps, epochs, _brightness(specs, study.probed))
    _draw(table, steps, epochs)
    print_summary(rows)


def thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """Of each training at most MAX_POINTS rows at even distances, the first and the last among them."""
    return pd.concat([part.iloc[_evenly(len(part))] for _, part in frame.groupby(IDENTITY, sort=False)])


def _specs(study: StudySettings) -> list[RunSpec]:
    """Every run of every variant, in the order of params.yaml."""
    specs = []
    for variant in study.variants:
        _require(paths.resolved(variant), "dvc repro resolve")
        specs += read_resolved(paths.resolved(variant))
    return specs


def _scores(specs: list[RunSpec]) -> pd.DataFrame:
    """The table that `pawprint.comparison` works on, with the test accuracies' intervals."""
    rows = []
    for spec in specs:
        trained = _training_of(spec, paths.train_outputs(spec.variant).metrics, "train")
        tested = _training_of(spec, paths.test_metrics(spec.variant), "test", "runs")
        rows.append(
            {
                "variant": spec.variant,
                "run": spec.run,
                "seed": spec.seed,
                "outcome": trained["outcome"],
                "val_accuracy": trained["val_accuracy"],
                "val_loss": trained["val_loss"],
                "test_accuracy": tested["accuracy"],
                "test_accuracy_low": tested["accuracy_low"],
                "test_accuracy_high": tested["accuracy_high"],
                "test_loss": tested["loss"],
                "n_test": tested["n_test"],
            }
        )
    table = pd.DataFrame(rows)
    texts = ["variant", "run", "outcome"]
    return table.astype({column: float for column in table.columns if column not in [*texts, "seed", "n_test"]})


def _training_of(spec: RunSpec, path: Path, stage: str, *within: str) -> dict[str, Any]:
    """One training's entry in its variant's metrics file, below the keys `within`."""
    command = f"dvc repro {stage}@{spec.variant}"
    _require(path, command)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for key in (*within, spec.key):
            content = content[key]
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not valid JSON ({error}); write it anew: {command} --force") from None
    except KeyError as missing:
        raise DataError(f"{path}: expected an entry {missing}, found none; run: {command}") from None
    return content


def _curves(specs: list[RunSpec], kind: str) -> pd.DataFrame:
    """All trainings' `steps` or `epochs` below each other; values that are not finite are NaN."""
    parts = []
    for spec in specs:
        path = paths.train_outputs(spec.variant).curves / f"{spec.key}-{kind}.csv"
        _require(path, f"dvc repro train@{spec.variant}")
        part = pd.read_csv(path)
        for position, name in enumerate(IDENTITY):
            part.insert(position, name, getattr(spec, name))
        parts.append(part)
    return pd.concat(parts, ignore_index=True).replace([np.inf, -np.inf], np.nan)


def _smoothed(steps: pd.DataFrame) -> pd.Series:
    """Each training's loss, averaged over its past with exponentially fading weights; NaN stays NaN."""
    losses = steps.groupby(IDENTITY, sort=False)["training_loss"]
    return losses.transform(lambda loss: loss.ewm(span=SMOOTHING_STEPS).mean()).where(steps["training_loss"].notna())


def _brightness(specs: list[RunSpec], probed: tuple[str, ...]) -> pd.DataFrame:
    """What the probe of that name found, a row for each training and factor; empty if it did not run."""
    rows = []
    for spec in specs:
        if spec.variant not in probed:
            continue
        path = paths.probe_metrics(spec.variant)
        _require(path, f"dvc repro probe@{spec.variant}")
        findings = json.loads(path.read_text(encoding="utf-8")).get("brightness", {})
        numbers = findings.get(spec.key, {}).get("numbers", {})
        rows += [
            [spec.variant, spec.run, spec.seed, float(name.removeprefix("accuracy_")), accuracy]
            for name, accuracy in numbers.items()
            if name.startswith("accuracy_") and name != "accuracy_mean"
        ]
    return pd.DataFrame(rows, columns=[*IDENTITY, "factor", "test_accuracy"])


def _write_tables(table: pd.DataFrame, steps: pd.DataFrame, epochs: pd.DataFrame, brightness: pd.DataFrame) -> None:
    few = thinned(steps)
    losses = ["training_loss", "training_loss_smoothed"]
    intervals = ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]
    charts = {
        "learning_rate": few[[*IDENTITY, *X_STEPS, "learning_rate"]],
        "training_loss": few[[*IDENTITY, *X_STEPS, *losses]],
        "gradient_norm": few[[*IDENTITY, *X_STEPS, *GRADIENT_NORMS]],
        "validation": epochs[[*IDENTITY, "epoch", "val_loss", "val_accuracy"]],
        "test_accuracy": table[[*IDENTITY, *intervals, "n_test"]],
        "brightness": brightness,
    }
    for name, chart in charts.items():
        text = chart.to_csv(index=False, float_format=SIGNIFICANT_DIGITS, lineterminator="\n")
        atomic.write_text(paths.COMPARISON_CHARTS / f"{name}.csv", text)


def _draw(table: pd.DataFrame, steps: pd.DataFrame, epochs: pd.DataFrame) -> None:
    seen, nats = "examples_seen", "cross-entropy (nats)"
    averaged = f"averaged over about {SMOOTHING_STEPS} steps"
    rate = Panel("Learning rate", "learning rate", _lines(steps, seen, "learning_rate"), log_y=True)
    loss = Panel(
        f"Training loss, {averaged}",
        nats,
        _lines(steps, seen, "training_loss_smoothed"),
        top=_ceiling(steps, "training_loss_smoothed"),
    )
    norms = [
        Panel(f"{title} (bold: {averaged})", "L2 norm", _lines(steps, seen, column, smooth=True), log_y=True)
        for title, column in zip(["Mean gradient norm", "Total gradient norm"], GRADIENT_NORMS, strict=True)
    ]
    validation = [
        Panel("Validation loss", nats, _lines(epochs, "epoch", "val_loss"), top=_ceiling(epochs, "val_loss")),
        Panel("Validation accuracy", "accuracy (%)", _lines(epochs, "epoch", "val_accuracy"), as_percent=True),
    ]
    figures = {
        "learning_rate": curves_figure([rate], EXAMPLES_SEEN),
        "training_loss": curves_figure([loss], EXAMPLES_SEEN),
        "gradient_norm": curves_figure(norms, EXAMPLES_SEEN),
        "validation": curves_figure(validation, "epoch"),
        "test_accuracy": bars_figure(
            _bars(table), "Test accuracy: mean, and each seed with its 95 % interval", "accuracy (%)"
        ),
    }
    for name, figure in figures.items():
        save(figure, paths.COMPARISON_CHARTS / f"{name}.png")


def _lines(frame: pd.DataFrame, x: str, y: str, smooth: bool = False) -> list[Curve]:
    """A curve for each run: its seeds, and their mean (`smooth`: averaged) as far as all have a value."""
    curves = []
    for (variant, run), trainings in frame.groupby(["variant", "run"], sort=False):
        mean = trainings.pivot(index=x, columns="seed", values=y).mean(axis=1, skipna=False)
        if smooth:
            mean = mean.ewm(span=SMOOTHING_STEPS).mean().where(mean.notna())
        seeds = [part for _, part in trainings.groupby("seed", sort=False)]
        curves.append(
            Curve(
                label(str(variant), str(run)),
                _line(mean.index.to_numpy(), mean.to_numpy()),
                [_line(part[x].to_numpy(), part[y].to_numpy(dtype=float)) for part in seeds],
            )
        )
    return curves


def _evenly(n: int) -> np.ndarray:
    """At most MAX_POINTS row numbers of `n`, the first and the last among them."""
    return np.linspace(0, n - 1, min(n, MAX_POINTS)).round().astype(int)


def _line(x: np.ndarray, y: np.ndarray) -> Line:
    rows = _evenly(len(x))
    return Line(x[rows], y[rows])


def _ceiling(frame: pd.DataFrame, loss: str) -> float | None:
    """Where to cut a chart of losses: half above the largest initial one, if any run goes beyond that."""
    ceiling = 1.5 * frame.groupby(IDENTITY)[loss].nth(0).to_numpy(dtype=float).max()
    return ceiling if frame[loss].max() > ceiling else None


def _bars(table: pd.DataFrame) -> list[Bar]:
    columns = ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]
    return [
        Bar(
            label(str(variant), str(run)),
            trainings["test_accuracy"].to_numpy(dtype=float).mean(),
            [Score(*map(float, values)) for values in trainings[columns].itertuples(index=False)],
        )
        for (variant, run), trainings in table.groupby(["variant", "run"], sort=False)
    ]


def _require(path: Path, command: str) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file; run: {command}")


if __name__ == "__main__":
    run_stage(main)
