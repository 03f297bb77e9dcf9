"""Stage `compare`: every run of the study in one table, and one figure for each question.

Reads what `resolve`, `check`, `train`, `test` and `probe` left for each variant; writes the table, a long CSV for each
chart that `dvc plots` draws (`plot_tables`), and for each of `questions:` in params.yaml a PNG over examples seen; a
second one over optimizer steps where the runs' batch sizes differ, as only then it looks another way. Without questions
all variants together are one, `all`. Then what becomes of `claims:`, and of runs whose curvature was measured why they
are slow where they are slow. Everything is small and tracked by git, so that the charts are there on a fresh clone
without a pull. And of each run, all its seeds together, the symptoms that its curves show.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pawprint import atomic, charts, claims, paths, plot_tables, results
from pawprint.comparison import TRAINING, Answers, RunComparison, as_json, compare, contest, guess
from pawprint.diagnostics.slowness import verdicts
from pawprint.errors import DataError
from pawprint.figures.slowness import slowness_figure
from pawprint.figures.style import save
from pawprint.labels import coinciding, label
from pawprint.params import read_study, runs_named
from pawprint.plot_tables import IDENTITY
from pawprint.records import read_record
from pawprint.stages.entry import run_stage
from pawprint.summary import print_summary
from pawprint.symptoms import Curves, Symptom
from pawprint.symptoms.diagnose import diagnose
from pawprint.symptoms.told import alarms, facts_of
from pawprint.symptoms.told import as_json as symptom_as_json
from pawprint.tables import read_table
from pawprint.types import RunSpec, StudySettings

SIGNIFICANT_DIGITS = "%.6g"
PROBED_CURVES = {"brightness": "factor", "rotation": "degrees"}  # probe → what the pictures are changed by
LOSS_LABELS = {"cross_entropy": "cross-entropy (nats)", "squared_error": "squared error", "hinge": "hinge loss"}
PREDICTIONS: dict[str, type] = dict.fromkeys(("variant", "run", "image_name", "actual", "predicted"), str) | {
    "seed": int
}
RATE_CHECK = "learning_rate"
RATE_VERDICTS: dict[float | None, str] = {
    -1: "too small",
    0: "sensible",
    1: "too large",
}  # as the check's numbers say it
RANGE_TEST: dict[str, type] = dict.fromkeys(["lr", "loss", "smoothed"], float)
ACCURACY_AT = re.compile(r"accuracy_([\d.]+)")  # a probe's number, at a strength


@dataclass(frozen=True)
class Checked:
    """What metrics/check says of one check of one subject."""

    numbers: dict[str, float | None]
    table: str | None  # its file in plots/check


def main() -> None:
    """Write the table and the charts, and print the table."""
    study, _ = read_study(paths.PARAMS)
    specs = results.all_specs(study)
    table = results.scores(specs)
    predictions = _predictions(specs)
    answers = _answers(predictions, table)
    against = {variant: delta["against"] for variant, delta in study.variants.items() if delta.get("against")}
    rows = compare(specs, table, answers, against)
    atomic.write_json(paths.COMPARISON, as_json(rows))
    steps, epochs = (results.curves(specs, kind) for kind in ("steps", "epochs"))
    diagnostics, layers = (results.diagnostics(specs, of_layers) for of_layers in (False, True))
    symptoms = _symptoms(specs, rows, Curves(steps, epochs, layers), predictions["actual"].nunique())
    atomic.write_json(
        paths.SYMPTOMS, {name: [symptom_as_json(one) for one in found] for name, found in symptoms.items()}
    )
    steps["training_loss_smoothed"] = charts.smoothed(steps, "training_loss")
    claimed = claims.judge(study.claims, specs, claims.Numbers(table, answers, steps, epochs, diagnostics))
    atomic.write_json(paths.CLAIMS, claims.as_json(claimed))
    _write_tables({
        "test_accuracy": plot_tables.scores(rows, table),
        "confusion": plot_tables.confusion(_of_probed(study, predictions)),
        "range_test": _range_tests(),
        **{probe: _probed_curve(specs, study.probed, probe, strength) for probe, strength in PROBED_CURVES.items()},
    })  # fmt: skip
    save(charts.overview(table, rows), _figure("test_accuracy"))
    _draw_questions(study, specs, rows, charts.Curves(table, steps, epochs, diagnostics), answers)
    atomic.write_json(paths.SLOWNESS, _draw_slowness(diagnostics, steps))
    print_summary(rows, alarmed=alarms(symptoms))


def _symptoms(
    specs: Sequence[RunSpec], rows: Sequence[RunComparison], curves: Curves, n_classes: int
) -> dict[str, list[Symptom]]:
    """The run's label → what its curves show, all its seeds together."""
    found = {}
    for row in rows:
        spec = next(spec for spec in specs if (spec.variant, spec.run) == (row.variant, row.run))
        steps, epochs, layers = (
            table[(table["variant"] == row.variant) & (table["run"] == row.run)]
            for table in (curves.steps, curves.epochs, curves.layers)
        )
        found[row.label] = diagnose(Curves(steps, epochs, layers), facts_of(spec, n_classes, epochs))
    return found


def _draw_questions(
    study: StudySettings,
    specs: Sequence[RunSpec],
    rows: Sequence[RunComparison],
    curves: charts.Curves,
    answers: Answers,
) -> None:
    """Each question's PNG and its table; all that are answered by learning rates are in one table, if there are any.

    And which of its runs val chooses.
    """
    names = [(row.variant, row.run) for row in rows]
    tables, of_rates = {}, [pd.DataFrame(columns=["label", "lr", "val_error"])]
    contests, same = {}, coinciding(specs)
    for place, (question, variants) in enumerate((study.questions or {"all": list(study.variants)}).items(), 1):
        chosen = [rows[names.index(name)] for variant in variants for name in runs_named(variant, names)]
        own = [spec for spec in specs if any((spec.variant, spec.run) == (row.variant, row.run) for row in chosen)]
        words = study.asks.get(question, question.replace("_", " "))
        contests[question] = asdict(found) if (found := contest(chosen, rows, curves.scores, answers, same)) else None
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
    atomic.write_json(paths.CONTESTS, contests)


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


def _probed_curve(specs: list[RunSpec], probed: tuple[str, ...], probe: str, strength: str) -> pd.DataFrame:
    """Accuracy with its 95 % interval against how strongly pictures were changed; empty if the probe did not run."""
    rows = []
    for spec in specs:
        if spec.variant not in probed:
            continue
        numbers = results.probed(spec, probe)
        rows += [
            [
                *results.identity(spec).values(),
                float(at[1]),
                accuracy,
                numbers.get(f"{name}_low"),
                numbers.get(f"{name}_high"),
            ]
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


def _write_tables(frames: dict[str, pd.DataFrame]) -> None:
    for name, frame in frames.items():
        text = frame.to_csv(index=False, float_format=SIGNIFICANT_DIGITS, lineterminator="\n")
        atomic.write_text(paths.COMPARISON_CHARTS / f"{name}.csv", text)


if __name__ == "__main__":
    run_stage(main)
