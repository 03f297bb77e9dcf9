"""A study's page: each question with its chart, its table and a reading; what became of claims; what was diagnosed.

Everything comes from what `compare` left in the study's folder (tracked by git, so that a fresh clone has it) and, if
it is there, from runs/epoch_time.json, measured on this machine. Readings are rules over the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pawprint import paths
from pawprint.comparison import RunComparison
from pawprint.errors import DataError
from pawprint.figures.curves import Curve, Line
from pawprint.figures.epoch_time import Epoch, epoch_time_figure
from pawprint.pages.page import data_uri, render
from pawprint.params import read_study, runs_named
from pawprint.records import read_record
from pawprint.report import timing
from pawprint.report.readings import answer
from pawprint.summary import grouped, notes, read_rows
from pawprint.tables import read_table
from pawprint.types import StudySettings

AGAIN = "dvc repro compare"
TABLES: dict[str, dict[str, type]] = {  # compare's, with the columns that are read of them
    "validation": {"variant": str, "run": str, "seed": int, "epoch": int, "val_accuracy": float},
    "train_and_test": {"variant": str, "run": str, "seed": int, "epoch": int}
    | dict.fromkeys(["training_loss", "train_accuracy", "test_accuracy"], float),
}
TIMED = "batch_size"  # the variant whose epochs are timed


@dataclass(frozen=True)
class Picture:
    """A figure as an address that holds it, and its words for who cannot see it."""

    source: str
    alt: str


@dataclass(frozen=True)
class Section:
    """One question, answered."""

    name: str
    question: str
    readings: list[str]
    pictures: list[Picture]
    table: list[dict[str, str]] = field(default_factory=list)


def study_page() -> str:
    """The page of the study in this folder, as HTML; DataError naming what is missing, with what makes it."""
    study, _ = read_study(paths.PARAMS)
    rows = read_rows()
    train_and_test = _csv("train_and_test")
    sections = [_question(name, variants, study, rows, train_and_test) for name, variants in _questions(study).items()]
    content = {
        "title": f"{study.study}: {len(sections)} questions" if study.questions else study.study,
        "lead": _lead(study, rows),
        "notes": [note for note in notes(rows) if ": as " not in note],
        "claims": list(_json(paths.CLAIMS).values()),
        "sections": [*sections, *_slowness(), *_timing()],
    }
    return render("study.html.jinja", content, package="pawprint.report")


def _questions(study: StudySettings) -> dict[str, list[str]]:
    return study.questions or {"all": list(study.variants)}


def _lead(study: StudySettings, rows: Sequence[RunComparison]) -> list[str]:
    n_trainings = sum(row.n_seeds for row in rows)
    where = f" from {Path(study.data.path).name}" if study.data.path else ""
    return [
        f"{len(rows)} runs of {len(study.variants)} variants, {n_trainings} trainings, on pictures of "
        f"{study.data.source}{where}, {study.data.image_size} x {study.data.image_size} pixels. The weights of each "
        f"training were chosen on val; test ({rows[0].n_test:,} pictures) chose nothing.",
        "A run is called better or worse where its change is larger than what luck may make of it; else the two are no "
        "different above the noise, which is not the same as equal.",
    ]


def _question(
    name: str,
    variants: Sequence[str],
    study: StudySettings,
    rows: Sequence[RunComparison],
    train_and_test: pd.DataFrame,
) -> Section:
    names = [(row.variant, row.run) for row in rows]
    own = {found for variant in variants for found in runs_named(variant, names)}
    chosen = [row for row in grouped(rows) if (row.variant, row.run) in own]
    words = study.asks.get(name, name.replace("_", " "))
    pictures = [
        Picture(_png(path), f"{words} {kind}")
        for path, kind in ((f"{name}.png", "Curves over examples seen."), (f"{name}_by_step.png", "Over steps."))
        if (paths.COMPARISON_CHARTS / path).is_file()
    ]
    if not pictures:
        raise DataError(f"{paths.COMPARISON_CHARTS / name}.png: no such file; run: {AGAIN}")
    lines = [_row(row, train_and_test) for row in chosen]
    columns = max(lines, key=len)  # of a run with errors after each epoch, if there is one
    table = [{column: line.get(column, "") for column in columns} for line in lines]
    return Section(name, words, answer(chosen), pictures, table)


def _row(row: RunComparison, train_and_test: pd.DataFrame) -> dict[str, str]:
    """A run's line: its last epoch, its chosen epoch, its verdict."""
    own = train_and_test[(train_and_test["variant"] == row.variant) & (train_and_test["run"] == row.run)]
    last = own.sort_values("epoch", kind="stable").groupby("seed").tail(1)
    measured = {
        "training loss": _spread(last["training_loss"]),
        **{f"{split} error %": _spread(100 * (1 - last[f"{split}_accuracy"])) for split in ("train", "test")},
    }
    change = "" if row.change is None else f"{100 * row.change:+.2f}"
    return {
        "run": row.label,
        "what it is": row.description,
        **(measured if len(last) else {}),
        "chosen: val acc. %": _mean_and_deviation(row.scores["val_accuracy"], row.deviations["val_accuracy"]),
        "test acc. %": _mean_and_deviation(row.scores["test_accuracy"], row.deviations["test_accuracy"]),
        "change ± noise": change if row.noise is None else f"{change} ± {100 * row.noise:.2f}",
        "verdict": row.verdict or "baseline",
    }


def _spread(values: pd.Series) -> str:
    """Mean ± standard deviation over seeds; a dash where one has no number, as a training that diverged."""
    if values.isna().any():
        return "–"
    return f"{values.mean():.3g}" + (f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else "")


def _mean_and_deviation(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return "–"
    return f"{100 * mean:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


def _slowness() -> list[Section]:
    """A section for each training whose curvature was measured."""
    sections = []
    for name, found in _json(paths.SLOWNESS).items():
        readings = [f"To the end of epoch {window['last_epoch']}: {window['reading']}." for window in found["windows"]]
        title = f"Why is training slow where it is slow: {name}?"
        sections.append(Section(found["figure"].removesuffix(".png"), title, readings,
                                [Picture(_png(found["figure"]), title)]))  # fmt: skip
    return sections


def _timing() -> list[Section]:
    """How long epochs took, if that was measured."""
    if not paths.epoch_time().is_file():
        return []
    times = timing.read_times(paths.epoch_time(), "python -m pawprint.epoch_time")
    validation, train = (frame[frame["variant"] == TIMED] for frame in (_csv("validation"), _csv("train_and_test")))
    readings = timing.reading(times, validation)
    measured = (
        f"Measured on {times.processor['model']}, one thread, median of {len(next(iter(times.runs.values())).seconds)} "
        f"rounds; the machine's load before was {times.load_before:g}."
    )
    title = "How long does an epoch take at each batch size, what is it made of, and which size gets somewhere soonest?"
    picture = Picture(data_uri(_time_figure(times, train)), title)
    return [Section("time", title, [*readings, measured], [picture])]


def _time_figure(times: timing.EpochTimes, train: pd.DataFrame) -> Figure:
    split = timing.parts(times)
    epochs = [
        Epoch(f"{timed.batch_size:,}" if timed.batch_size < times.n_train else "all",
              min(timed.batch_size, times.n_train), timed.seconds, split.compute(times.n_train),
              split.overhead(timed.steps))
        for timed in times.runs.values()
    ]  # fmt: skip
    curves = []
    for epoch, (run, seconds) in zip(epochs, times.seconds.items(), strict=True):
        own = train[(train["run"] == run) & (train["epoch"] > 0)]
        mean = own.groupby("epoch")["training_loss"].mean()
        line = Line(mean.index.to_numpy(dtype=float) * seconds, mean.to_numpy())
        curves.append(Curve(epoch.label, line, []))
    return epoch_time_figure(epochs, curves)


def _csv(name: str) -> pd.DataFrame:
    return read_table(paths.COMPARISON_CHARTS / f"{name}.csv", TABLES[name], AGAIN)


def _json(path: Path) -> dict[str, Any]:
    return read_record(path, dict[str, Any], AGAIN)


def _png(name: str) -> str:
    path = paths.COMPARISON_CHARTS / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; run: {AGAIN}")
    return data_uri(path.read_bytes())
