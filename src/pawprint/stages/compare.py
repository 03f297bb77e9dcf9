"""Stage `compare`: every run of the study in one table, and one figure for each question.

Reads what `resolve`, `check`, `train`, `test` and `probe` left for each variant; writes the table, a long CSV for each
chart that `dvc plots` draws (`plot_tables`), and for each of `questions:` in params.yaml a PNG over examples seen; a
second one over optimizer steps where the runs' batch sizes differ, as only then it looks another way. Without questions
all variants together are one, `all`. Then what becomes of `claims:`, and of runs whose curvature was measured why they
are slow where they are slow. Everything is small and tracked by git, so that the charts are there on a fresh clone
without a pull.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from pawprint import atomic, charts, claims, paths, plot_tables
from pawprint.comparison import TRAINING, Answers, RunComparison, as_json, compare, guess
from pawprint.diagnostics.slowness import verdicts
from pawprint.errors import DataError
from pawprint.figures.slowness import slowness_figure
from pawprint.figures.style import save
from pawprint.labels import label
from pawprint.params import read_resolved, read_study, runs_named
from pawprint.plot_tables import IDENTITY, VALIDATION
from pawprint.records import read_record
from pawprint.stages.entry import run_stage
from pawprint.summary import print_summary
from pawprint.tables import read_table
from pawprint.types import RunSpec, StudySettings

SIGNIFICANT_DIGITS = "%.6g"
EPOCH_CURVES = ["train_accuracy", "test_accuracy"]  # where `epoch_curves` asks for them
PROBED_CURVES = {"brightness": "factor", "rotation": "degrees"}  # probe → what the pictures are changed by
CURVES: dict[str, dict[str, type]] = {  # what is drawn of them
    "steps": dict.fromkeys([*charts.X_LABELS, "epoch"], int)
    | dict.fromkeys(["training_loss", "learning_rate", *charts.GRADIENT_NORMS], float),
    "epochs": dict.fromkeys([*charts.X_LABELS, "epoch"], int) | dict.fromkeys(["training_loss", *VALIDATION], float),
}
DIAGNOSTICS: dict[str, type] = {"step": int, "examples_seen": int, "quantity": str, "value": float}
LOSS_LABELS = {"cross_entropy": "cross-entropy (nats)", "squared_error": "squared error", "hinge": "hinge loss"}
PREDICTIONS: dict[str, type] = dict.fromkeys(("variant", "run", "image_name", "actual", "predicted"), str) | {
    "seed": int
}
Entry = TypeVar("Entry")
RATE_CHECK = "learning_rate"
RATE_VERDICTS: dict[float | None, str] = {
    -1: "too small",
    0: "sensible",
    1: "too large",
}  # as the check's numbers say it
RANGE_TEST: dict[str, type] = dict.fromkeys(["lr", "loss", "smoothed"], float)
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
class Checked:
    """What metrics/check says of one check of one subject."""

    numbers: dict[str, float | None]
    table: str | None  # its file in plots/check


@dataclass(frozen=True)
class Probed:
    """What metrics/probe says of one probe of one training."""

    numbers: dict[str, float | None]


def main() -> None:
    """Write the table and the charts, and print the table."""
    study, _ = read_study(paths.PARAMS)
    specs = _specs(study)
    table = _scores(specs)
    predictions = _predictions(specs)
    answers = _answers(predictions, table)
    against = {variant: delta["against"] for variant, delta in study.variants.items() if delta.get("against")}
    rows = compare(specs, table, answers, against)
    atomic.write_json(paths.COMPARISON, as_json(rows))
    steps, epochs, diagnostics = _curves(specs, "steps"), _curves(specs, "epochs"), _diagnostics(specs)
    steps["training_loss_smoothed"] = charts.smoothed(steps, "training_loss")
    claimed = claims.judge(study.claims, specs, claims.Numbers(table, answers, steps, epochs, diagnostics))
    atomic.write_json(paths.CLAIMS, claims.as_json(claimed))
    _write_tables({
        "validation": epochs[[*IDENTITY, *charts.X_LABELS, "epoch", *VALIDATION]],
        "train_and_test": _train_and_test(epochs),
        "diagnostics": diagnostics[[*IDENTITY, *DIAGNOSTICS]],
        "test_accuracy": plot_tables.scores(rows, table),
        "confusion": plot_tables.confusion(_of_probed(study, predictions)),
        "range_test": _range_tests(),
        **{probe: _probed_curve(specs, study.probed, probe, strength) for probe, strength in PROBED_CURVES.items()},
    })  # fmt: skip
    save(charts.overview(table, rows), _figure("test_accuracy"))
    _draw_questions(study, specs, rows, charts.Curves(table, steps, epochs, diagnostics))
    atomic.write_json(paths.SLOWNESS, _draw_slowness(diagnostics, steps))
    print_summary(rows)


def _draw_questions(
    study: StudySettings, specs: Sequence[RunSpec], rows: Sequence[RunComparison], curves: charts.Curves
) -> None:
    """Each question's PNG and its table; all that are answered by learning rates are in one table, if there are any."""
    names = [(row.variant, row.run) for row in rows]
    tables, of_rates = {}, [pd.DataFrame(columns=["label", "lr", "val_error"])]
    for place, (question, variants) in enumerate((study.questions or {"all": list(study.variants)}).items(), 1):
        chosen = [rows[names.index(name)] for variant in variants for name in runs_named(variant, names)]
        own = [spec for spec in specs if any((spec.variant, spec.run) == (row.variant, row.run) for row in chosen)]
        words = study.asks.get(question, question.replace("_", " "))
        if lines := charts.rate_lines(own, curves.scores):
            save(charts.rates(question, lines), _figure(question))
            of_rates.append(plot_tables.rates(place, study.study, words, lines))
            continue
        loss = LOSS_LABELS.get("/".join({spec.loss for spec in own}), "loss, of each run its own")
        tables[question] = plot_tables.question(place, study.study, words, loss, chosen, curves)
        save(charts.question(question, "examples_seen", chosen, curves, loss), _figure(question))
        if len({spec.batch_size for spec in own}) > 1:
            by_step = f"{question}_by_step"
            save(charts.question(by_step, "step", chosen, curves, loss), _figure(by_step))
    _write_tables({f"questions/{question}": table for question, table in tables.items()})
    _write_tables({"rates": pd.concat(of_rates[1:] or of_rates)})


def _figure(name: str) -> Path:
    return paths.COMPARISON_CHARTS / f"{name}.png"


def _draw_slowness(diagnostics: pd.DataFrame, steps: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """A figure of each training whose curvature and noise were measured; its name → figure and verdicts."""
    found = {}
    for (variant, run, seed), measured in diagnostics.groupby(TRAINING, sort=False):
        if not {"eigenvalue_max", "noise_share"} <= set(measured["quantity"]):
            continue
        logged = steps[(steps["variant"] == variant) & (steps["run"] == run) & (steps["seed"] == seed)]
        windows = verdicts(measured, logged)
        name, file = f"{label(variant, run)}, seed {seed}", f"slowness_{variant}_{run}_s{seed}"
        figure = slowness_figure(measured, logged, windows, f"Why training is slow where it is slow: {name}")
        save(figure, _figure(file))
        last_epochs = logged.set_index("step")["epoch"]
        windows = windows.assign(last_epoch=windows["last_step"].map(last_epochs))
        columns = ["first_step", "last_step", "last_epoch", "verdict", "reading"]
        found[name] = {"figure": f"{file}.png", "windows": windows[columns].to_dict("records")}
    return found


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


def _predictions(specs: Sequence[RunSpec]) -> pd.DataFrame:
    """Each training's answer to each test picture, and whether it is `correct` (1.0 or 0.0)."""
    parts = []
    for variant in dict.fromkeys(spec.variant for spec in specs):
        path = paths.test_tables(variant) / "predictions.csv"
        parts.append(read_table(path, PREDICTIONS, f"dvc repro test@{variant}", keep_default_na=False))
    predictions = pd.concat(parts)
    twice = predictions[predictions.duplicated([*TRAINING, "image_name"])]
    if len(twice):
        variant, name = twice[["variant", "image_name"]].iloc[0]
        path = paths.test_tables(variant) / "predictions.csv"
        raise DataError(f"{path}: more than one answer to {name}; run: dvc repro --force test@{variant}")
    return predictions.assign(correct=(predictions["actual"] == predictions["predicted"]).astype(float))


def _of_probed(study: StudySettings, predictions: pd.DataFrame) -> pd.DataFrame:
    """Those of the variants that `probe` looks into; of the first variant, where there are none."""
    return predictions[predictions["variant"].isin(study.probed or list(study.variants)[:1])]


def _answers(predictions: pd.DataFrame, table: pd.DataFrame) -> Answers:
    """Which test pictures each training got right; DataError where they are not those of the table."""
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
        own = dict.fromkeys([f"{split}_accuracy" for split in spec.epoch_curves] if kind == "epochs" else [], float)
        part = read_table(path, CURVES[kind] | own, f"dvc repro train@{spec.variant}")
        for position, (name, value) in enumerate(_identity(spec).items()):
            part.insert(position, name, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True).replace([np.inf, -np.inf], np.nan)


def _diagnostics(specs: list[RunSpec]) -> pd.DataFrame:
    """What the runs that have diagnostics measured, a row for each step and quantity."""
    parts = [pd.DataFrame(columns=[*IDENTITY, *DIAGNOSTICS])]
    for spec in (spec for spec in specs if spec.diagnostics):
        path = paths.train_outputs(spec.variant).curves / f"{spec.key}-diagnostics.csv"
        parts.append(read_table(path, DIAGNOSTICS, f"dvc repro train@{spec.variant}").assign(**_identity(spec)))
    return pd.concat(parts[1:] or parts, ignore_index=True)


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
    return pd.DataFrame(rows, columns=[*IDENTITY, strength, *charts.INTERVAL])


def _range_tests() -> pd.DataFrame:
    """What the check of the learning rate measured of each (model, head, optimizer); empty where it did not run.

    A row for each step of a curve, and one for each rate that a run is set to, with its verdict.
    """
    parts = [pd.DataFrame(columns=["subject", *RANGE_TEST, "label", "verdict"])]
    report = read_record(paths.CHECK_REPORT, dict[str, dict[str, Checked]], "dvc repro check")
    for subject, checked in report.items():
        check = checked.get(RATE_CHECK)
        if check is None or check.table is None:
            continue
        rates = {name.removeprefix("rate_"): rate for name, rate in check.numbers.items() if name.startswith("rate_")}
        verdicts = [RATE_VERDICTS.get(check.numbers.get(f"verdict_{name}"), "no verdict") for name in rates]
        curve = read_table(paths.CHECK_FIGURES / check.table, RANGE_TEST, "dvc repro check")
        configured = pd.DataFrame({"label": list(rates), "lr": list(rates.values()), "verdict": verdicts})
        configured = configured.groupby(["lr", "verdict"], sort=False)["label"].agg(_in_short).reset_index()
        parts += [part.assign(subject=subject) for part in (curve, configured)]
    return pd.concat(parts[1:] or parts)[parts[0].columns]


def _in_short(names: pd.Series) -> str:
    return names.iloc[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _train_and_test(epochs: pd.DataFrame) -> pd.DataFrame:
    """The epochs' errors of the runs that ask for them."""
    columns = [*IDENTITY, *charts.X_LABELS, "epoch", "training_loss", *EPOCH_CURVES]
    return epochs.reindex(columns=columns).dropna(subset=EPOCH_CURVES)


def _write_tables(frames: dict[str, pd.DataFrame]) -> None:
    for name, frame in frames.items():
        text = frame.to_csv(index=False, float_format=SIGNIFICANT_DIGITS, lineterminator="\n")
        atomic.write_text(paths.COMPARISON_CHARTS / f"{name}.csv", text)


def _require(path: Path, command: str) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file; run: {command}")


if __name__ == "__main__":
    run_stage(main)
