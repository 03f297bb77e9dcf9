"""What `resolve`, `train` and `test` left of every training of the study in this folder, as tables.

A row for each training, step or epoch, with the columns variant, run, seed and pretrained_on before its values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from pawprint import charts, paths
from pawprint.diagnostics.histograms import BINS
from pawprint.errors import DataError
from pawprint.params import read_resolved
from pawprint.plot_tables import IDENTITY, VALIDATION
from pawprint.records import read_record
from pawprint.tables import read_table
from pawprint.types import CLASS_COUNTS, LAYER_QUANTITIES, RunSpec, StudySettings

CURVES: dict[str, dict[str, type]] = {  # what is drawn of them
    "steps": dict.fromkeys([*charts.X_LABELS, "epoch"], int)
    | dict.fromkeys(["training_loss", "learning_rate", *charts.GRADIENT_NORMS], float),
    "epochs": dict.fromkeys([*charts.X_LABELS, "epoch"], int) | dict.fromkeys(["training_loss", *VALIDATION], float),
}
DIAGNOSTICS: dict[str, type] = {"step": int, "examples_seen": int, "quantity": str, "value": float}
HISTOGRAMS: dict[str, type] = {"step": int, "kind": str, "layer": str, "not_finite": int, **dict.fromkeys(BINS, int)}
CLASSES: dict[str, type] = {"epoch": int, "class": str, **dict.fromkeys(CLASS_COUNTS, int)}
Entry = TypeVar("Entry")


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


def all_specs(study: StudySettings) -> list[RunSpec]:
    """Every run of every variant, in the order of params.yaml."""
    specs = []
    for variant in study.variants:
        _require(paths.resolved(variant), "dvc repro resolve")
        specs += read_resolved(paths.resolved(variant))
    return specs


def scores(specs: Sequence[RunSpec]) -> pd.DataFrame:
    """A row for each training, as `pawprint.comparison` takes it, with the test accuracies' intervals."""
    rows = []
    for variant in dict.fromkeys(spec.variant for spec in specs):
        trained_file, tested_file = paths.train_outputs(variant).metrics, paths.test_metrics(variant)
        trained = read_record(trained_file, dict[str, Trained], f"dvc repro train@{variant}")
        tested = read_record(tested_file, TestedRuns, f"dvc repro test@{variant}").runs
        for spec in (spec for spec in specs if spec.variant == variant):
            of_val = vars(_entry(trained, spec, trained_file, "train"))
            of_test = vars(_entry(tested, spec, tested_file, "test"))
            tests = {f"test_{name}": score for name, score in of_test.items() if name != "n_test"}
            rows.append({**identity(spec), **of_val, **tests, "n_test": of_test["n_test"]})
    table = pd.DataFrame(rows)
    others = [*IDENTITY, "outcome", "n_test"]
    return table.astype({column: float for column in table.columns if column not in others})


def identity(spec: RunSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in IDENTITY}


def curves(specs: Sequence[RunSpec], kind: str) -> pd.DataFrame:
    """All trainings' `steps` or `epochs` below each other; values that are not finite are NaN."""
    parts = []
    for spec in specs:
        path = paths.train_outputs(spec.variant).curves / f"{spec.key}-{kind}.csv"
        own = spec.parts if kind == "steps" else [f"{split}_accuracy" for split in spec.epoch_curves]
        part = read_table(path, CURVES[kind] | dict.fromkeys(own, float), f"dvc repro train@{spec.variant}")
        for position, (name, value) in enumerate(identity(spec).items()):
            part.insert(position, name, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True).replace([np.inf, -np.inf], np.nan)


def diagnostics(specs: Sequence[RunSpec], of_layers: bool = False) -> pd.DataFrame:
    """What the runs that have diagnostics measured, a row for each step and quantity: of layers, or all else."""
    parts = [pd.DataFrame(columns=[*IDENTITY, *DIAGNOSTICS])]
    for spec in (spec for spec in specs if spec.diagnostics):
        path = paths.train_outputs(spec.variant).curves / f"{spec.key}-diagnostics.csv"
        measured = read_table(path, DIAGNOSTICS, f"dvc repro train@{spec.variant}").assign(**identity(spec))
        parts.append(measured[measured["quantity"].str.startswith(LAYER_QUANTITIES) == of_layers])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def histograms(spec: RunSpec) -> pd.DataFrame:
    """What a training counted, a row for each step, kind and layer; it has the diagnostic."""
    path = paths.train_outputs(spec.variant).curves / f"{spec.key}-histograms.csv"
    return read_table(path, HISTOGRAMS, f"dvc repro train@{spec.variant}").assign(**identity(spec))


def classes(specs: Sequence[RunSpec]) -> pd.DataFrame:
    """What the runs that learn from unlabelled pictures counted, a row for each epoch and class."""
    parts = [pd.DataFrame(columns=[*IDENTITY, *CLASSES])]
    for spec in (spec for spec in specs if spec.parts):
        path = paths.train_outputs(spec.variant).curves / f"{spec.key}-classes.csv"
        parts.append(read_table(path, CLASSES, f"dvc repro train@{spec.variant}").assign(**identity(spec)))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _entry(entries: dict[str, Entry], spec: RunSpec, path: Path, stage: str) -> Entry:
    if spec.key not in entries:
        raise DataError(f"{path}: expected an entry {spec.key}, found none; run: dvc repro {stage}@{spec.variant}")
    return entries[spec.key]


def _require(path: Path, command: str) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file; run: {command}")
