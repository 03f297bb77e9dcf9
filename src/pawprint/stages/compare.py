"""Stage `compare`: every run of the study in one table, and one figure for each question.

Reads what `resolve`, `train`, `test` and `probe` left for each variant; writes the table, a long CSV for each chart
(columns variant, run, seed, pretrained_on, then values) that `dvc plots` draws, and for each of `questions:` in
params.yaml a PNG over examples seen; a second one over optimizer steps where the runs' batch sizes differ, as only
then it looks another way. Without questions all variants together are one, `all`. Everything is small and tracked
by git, so that the charts are there on a fresh clone without a pull.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from pawprint import atomic, paths
from pawprint.comparison import TRAINING, Answers, RunComparison, as_json, compare, guess
from pawprint.errors import DataError
from pawprint.figures.bars import Bar, Score, bars_figure
from pawprint.figures.curves import Curve, Line, Panel
from pawprint.figures.question import question_figure
from pawprint.figures.style import save
from pawprint.params import read_resolved, read_study, runs_named
from pawprint.records import read_record
from pawprint.stages.entry import run_stage
from pawprint.summary import print_summary
from pawprint.types import SCORES, RunSpec, StudySettings

SMOOTHING_STEPS = 20  # span of the exponential moving average
MAX_POINTS = 100  # a run has in a per-step chart: more are not seen, and the files stay small
SIGNIFICANT_DIGITS = "%.6g"
IDENTITY = [*TRAINING, "pretrained_on"]
X_LABELS = {"step": "optimizer steps", "examples_seen": "examples seen"}
LOSSES = ["training_loss", "training_loss_smoothed"]
GRADIENT_NORMS = ["gradient_norm_mean", "gradient_norm_total"]
VALIDATION = [f"val_{score}" for score in SCORES]
INTERVAL = ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]
PROBED_CURVES = {"brightness": "factor", "rotation": "degrees"}  # probe → what the pictures are changed by
CURVES: dict[str, dict[str, type]] = {  # what is drawn of them
    "steps": dict.fromkeys(X_LABELS, int) | dict.fromkeys(["training_loss", "learning_rate", *GRADIENT_NORMS], float),
    "epochs": dict.fromkeys([*X_LABELS, "epoch"], int) | dict.fromkeys(VALIDATION, float),
}
PREDICTIONS: dict[str, type] = dict.fromkeys(("variant", "run", "image_name", "actual", "predicted"), str) | {
    "seed": int
}
Entry = TypeVar("Entry")
ACCURACY_AT = re.compile(r"accuracy_([\d.]+)")  # a probe's number, at a strength


@dataclass(frozen=True)
class Trained:
    """What metrics/train says of one training; None: not finite."""

    outcome: Literal["finished", "diverged"]
    val_loss: float | None
    val_accuracy: float | None
    val_balanced_accuracy: float | None
    val_macro_f1: float | None


@dataclass(frozen=True)
class Tested:
    """What metrics/test says of one training; None: not finite."""

    loss: float | None
    accuracy: float
    balanced_accuracy: float | None
    macro_f1: float | None
    accuracy_low: float
    accuracy_high: float
    n_test: int


@dataclass(frozen=True)
class TestedRuns:
    """What metrics/test says of a variant."""

    runs: dict[str, Tested]


@dataclass(frozen=True)
class Probed:
    """What metrics/probe says of one probe of one training."""

    numbers: dict[str, float | None]


def main() -> None:
    """Write the table and the charts, and print the table."""
    study, _ = read_study(paths.PARAMS)
    specs = _specs(study)
    table = _scores(specs)
    against = {variant: delta["against"] for variant, delta in study.variants.items() if delta.get("against")}
    rows = compare(specs, table, _answers(specs, table), against)
    atomic.write_json(paths.COMPARISON, as_json(rows))
    steps, epochs = _curves(specs, "steps"), _curves(specs, "epochs")
    steps["training_loss_smoothed"] = _smoothed(steps, "training_loss")
    probed = {probe: _probed_curve(specs, study.probed, probe, strength) for probe, strength in PROBED_CURVES.items()}
    _write_tables(table, steps, epochs, probed)
    _draw_overview(table, rows)
    for question, variants in (study.questions or {"all": list(study.variants)}).items():
        names = [(row.variant, row.run) for row in rows]
        chosen = [rows[names.index(name)] for variant in variants for name in runs_named(variant, names)]
        batch_sizes = {spec.batch_size for spec in specs for row in chosen
                       if (spec.variant, spec.run) == (row.variant, row.run)}  # fmt: skip
        _draw_question(question, "examples_seen", chosen, table, steps, epochs)
        if len(batch_sizes) > 1:
            _draw_question(f"{question}_by_step", "step", chosen, table, steps, epochs)
    print_summary(rows)


def thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """Of each training at most MAX_POINTS rows at even distances, the first and the last among them."""
    return pd.concat([part.iloc[_evenly(len(part))] for _, part in frame.groupby(TRAINING, sort=False)])


def _specs(study: StudySettings) -> list[RunSpec]:
    """Every run of every variant, in the order of params.yaml."""
    specs = []
    for variant in study.variants:
        _require(paths.resolved(variant), "dvc repro resolve")
        specs += read_resolved(paths.resolved(variant))
    return specs


def _scores(specs: list[RunSpec]) -> pd.DataFrame:
    """A row for each training, as `pawprint.comparison` takes it, with the test accuracies' intervals."""
    rows = []
    for variant in dict.fromkeys(spec.variant for spec in specs):
        trained_file, tested_file = paths.train_outputs(variant).metrics, paths.test_metrics(variant)
        trained = read_record(trained_file, dict[str, Trained], f"dvc repro train@{variant}")
        tested = read_record(tested_file, TestedRuns, f"dvc repro test@{variant}").runs
        for spec in (spec for spec in specs if spec.variant == variant):
            of_val = vars(_entry(trained, spec, trained_file, "train"))
            of_test = vars(_entry(tested, spec, tested_file, "test"))
            scores = {f"test_{name}": score for name, score in of_test.items() if name != "n_test"}
            rows.append({**_identity(spec), **of_val, **scores, "n_test": of_test["n_test"]})
    table = pd.DataFrame(rows)
    others = [*IDENTITY, "outcome", "n_test"]
    return table.astype({column: float for column in table.columns if column not in others})


def _identity(spec: RunSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in IDENTITY}


def _answers(specs: list[RunSpec], table: pd.DataFrame) -> Answers:
    """Which test pictures each training got right; DataError where they are not those of the table."""
    parts = []
    for variant in dict.fromkeys(spec.variant for spec in specs):
        path = paths.test_tables(variant) / "predictions.csv"
        parts.append(_table(path, f"dvc repro test@{variant}", PREDICTIONS, keep_default_na=False))
    predictions = pd.concat(parts)
    twice = predictions[predictions.duplicated([*TRAINING, "image_name"])]
    if len(twice):
        variant, name = twice[["variant", "image_name"]].iloc[0]
        path = paths.test_tables(variant) / "predictions.csv"
        raise DataError(f"{path}: more than one answer to {name}; run: dvc repro --force test@{variant}")
    predictions["correct"] = (predictions["actual"] == predictions["predicted"]).astype(float)
    correct = predictions.pivot(index=TRAINING, columns="image_name", values="correct")
    correct = correct.reindex(pd.MultiIndex.from_frame(table[TRAINING]))
    # float32 probabilities may tie where training told two classes apart, so one picture may differ.
    apart = correct.mean(axis=1, skipna=False).to_numpy() - table["test_accuracy"].to_numpy(dtype=float)
    off = ~(np.abs(apart) < 1.5 / correct.shape[1])
    if off.any():
        variant = table["variant"][off].iloc[0]
        raise DataError(
            f"{paths.test_tables(variant)}/predictions.csv: its answers are not those of {paths.test_metrics(variant)},"
            f" or not to the same pictures as other variants'; run: dvc repro --force test@{variant}"
        )
    guesses = {name: guess(*map(list, (p["actual"], p["predicted"]))) for name, p in predictions.groupby(TRAINING)}
    columns = pd.DataFrame.from_dict(guesses, orient="index", columns=["share", "deviation"])
    columns.index = pd.MultiIndex.from_tuples(columns.index, names=TRAINING)
    return Answers(correct, columns.reindex(correct.index))


def _entry(entries: dict[str, Entry], spec: RunSpec, path: Path, stage: str) -> Entry:
    if spec.key not in entries:
        raise DataError(f"{path}: expected an entry {spec.key}, found none; run: dvc repro {stage}@{spec.variant}")
    return entries[spec.key]


def _curves(specs: list[RunSpec], kind: str) -> pd.DataFrame:
    """All trainings' `steps` or `epochs` below each other; values that are not finite are NaN."""
    parts = []
    for spec in specs:
        path = paths.train_outputs(spec.variant).curves / f"{spec.key}-{kind}.csv"
        part = _table(path, f"dvc repro train@{spec.variant}", CURVES[kind])
        for position, (name, value) in enumerate(_identity(spec).items()):
            part.insert(position, name, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True).replace([np.inf, -np.inf], np.nan)


def _smoothed(steps: pd.DataFrame, column: str) -> pd.Series:
    """Each training's values, averaged over its past with exponentially fading weights; NaN stays NaN."""
    values = steps.groupby(TRAINING, sort=False)[column]
    return values.transform(lambda training: training.ewm(span=SMOOTHING_STEPS).mean()).where(steps[column].notna())


def _probed_curve(specs: list[RunSpec], probed: tuple[str, ...], probe: str, strength: str) -> pd.DataFrame:
    """Accuracy with its 95 % interval against how strongly pictures were changed; empty if the probe did not run."""
    rows = []
    for spec in specs:
        if spec.variant not in probed:
            continue
        path, command = paths.probe_metrics(spec.variant), f"dvc repro probe@{spec.variant}"
        findings = read_record(path, dict[str, dict[str, Probed]], command).get(probe, {})
        numbers = findings[spec.key].numbers if spec.key in findings else {}
        rows += [
            [*_identity(spec).values(), float(at[1]), accuracy, numbers.get(f"{name}_low"), numbers.get(f"{name}_high")]
            for name, accuracy in numbers.items()
            if (at := ACCURACY_AT.fullmatch(name))
        ]
    return pd.DataFrame(rows, columns=[*IDENTITY, strength, *INTERVAL])


def _write_tables(
    table: pd.DataFrame, steps: pd.DataFrame, epochs: pd.DataFrame, probed: dict[str, pd.DataFrame]
) -> None:
    few = thinned(steps)
    x_steps = [*IDENTITY, *X_LABELS]
    charts = {
        "learning_rate": few[[*x_steps, "learning_rate"]],
        "training_loss": few[[*x_steps, *LOSSES]],
        "gradient_norm": few[[*x_steps, *GRADIENT_NORMS]],
        "validation": epochs[[*x_steps, "epoch", *VALIDATION]],
        "test_accuracy": table[[*IDENTITY, *INTERVAL, "n_test"]],
        **probed,
    }
    for name, chart in charts.items():
        text = chart.to_csv(index=False, float_format=SIGNIFICANT_DIGITS, lineterminator="\n")
        atomic.write_text(paths.COMPARISON_CHARTS / f"{name}.csv", text)


def _draw_overview(table: pd.DataFrame, rows: Sequence[RunComparison]) -> None:
    title = "Test accuracy: mean, and each seed with its 95 % interval"
    figure = bars_figure(_bars(table, rows), title, "accuracy (%)")
    save(figure, paths.COMPARISON_CHARTS / "test_accuracy.png")


def _draw_question(
    name: str, x: str, rows: Sequence[RunComparison], table: pd.DataFrame, steps: pd.DataFrame, epochs: pd.DataFrame
) -> None:
    chosen = [(row.variant, row.run) for row in rows]
    steps, epochs = (
        frame[[pair in chosen for pair in zip(frame["variant"], frame["run"], strict=True)]]
        for frame in (steps, epochs)
    )
    loss = _lines(steps, rows, x, "training_loss", "training_loss_smoothed")
    accuracy = _lines(epochs, rows, x, "val_accuracy", "val_accuracy")
    panels = [
        Panel("Learning rate", "learning rate", _lines(steps, rows, x, *["learning_rate"] * 2), log_y=True),
        Panel("Training loss", "cross-entropy (nats)", loss, top=_ceiling(steps, "training_loss_smoothed")),
        Panel("Validation accuracy", "accuracy (%)", accuracy, as_percent=True),
    ]
    for title, column in zip(["Mean gradient norm", "Total gradient norm"], GRADIENT_NORMS, strict=True):
        # Of logarithms, as the axis is: one large norm would pull an arithmetic average up for many steps.
        logarithms = steps.assign(smoothed=np.log(steps[column].where(steps[column] > 0)))
        curves = _lines(steps.assign(smoothed=np.exp(_smoothed(logarithms, "smoothed"))), rows, x, column, "smoothed")
        panels.append(Panel(title, "L2 norm", curves, log_y=True))
    title = name.replace("_", " ").capitalize()
    key = f"faint: each seed; bold: mean over seeds, losses and norms averaged over about {SMOOTHING_STEPS} steps"
    figure = question_figure(title, key, panels, X_LABELS[x], _bars(table, rows))
    save(figure, paths.COMPARISON_CHARTS / f"{name}.png")


def _lines(frame: pd.DataFrame, rows: Sequence[RunComparison], x: str, raw: str, bold: str) -> list[Curve]:
    """A curve for each run: its seeds' `raw` values, and the mean of `bold` as far as all seeds have one."""
    curves = []
    for row in rows:
        trainings = frame[(frame["variant"] == row.variant) & (frame["run"] == row.run)]
        mean = trainings.pivot(index=x, columns="seed", values=bold).mean(axis=1, skipna=False)
        seeds = [part for _, part in trainings.groupby("seed", sort=False)]
        lines = [_line(part[x].to_numpy(), part[raw].to_numpy(dtype=float)) for part in seeds]
        diverged = f" (diverged with {row.n_diverged} of {row.n_seeds} seeds)" if row.n_diverged else ""
        entry = f"{row.label}: {row.description}{diverged}"
        curves.append(Curve(entry, _line(mean.index.to_numpy(), mean.to_numpy()), lines))
    return curves


def _evenly(n: int) -> np.ndarray:
    """At most MAX_POINTS row numbers of `n`, the first and the last among them."""
    return np.linspace(0, n - 1, min(n, MAX_POINTS)).round().astype(int)


def _line(x: np.ndarray, y: np.ndarray) -> Line:
    rows = _evenly(len(x))
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


def _table(path: Path, command: str, columns: dict[str, type], **options: Any) -> pd.DataFrame:
    """A CSV that a stage wrote, with (at least) these columns of these types."""
    _require(path, command)
    try:
        return pd.read_csv(path, dtype=columns, **options)[list(columns)]
    except (ValueError, KeyError) as error:  # pandas' parser and encoding errors are ValueErrors
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a table of pawprint's ({reason}); write it anew: {command} --force") from None


def _require(path: Path, command: str) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file; run: {command}")


if __name__ == "__main__":
    run_stage(main)
