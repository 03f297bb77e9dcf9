"""All that a report is made of, read from the study's folder once: what the stages before it left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from pawprint import charts, paths, results
from pawprint.comparison import Contest, RunComparison
from pawprint.data.prepared import Description, load
from pawprint.params import read_study, runs_named
from pawprint.records import read_record
from pawprint.report.readings.logged import Logged
from pawprint.summary import grouped, read_rows
from pawprint.symptoms import Symptom
from pawprint.types import Data, RunSpec, StudySettings

AGAIN = "dvc repro compare"


@dataclass(frozen=True)
class Tested:
    """A check's or a probe's finding, as its metrics have it."""

    question: str
    numbers: dict[str, float | None]
    passed: bool | None
    limit: str
    reading: str
    remedy: str | None
    level: str | None = None  # of a check: stop or warn


class Evidence:
    """The study in this folder; a part is read when it is asked for. DataError names what is missing."""

    def __init__(self) -> None:
        self.study: StudySettings = read_study(paths.PARAMS)[0]
        self.specs: list[RunSpec] = results.all_specs(self.study)
        self.rows: list[RunComparison] = read_rows()

    @cached_property
    def of_label(self) -> dict[str, RunSpec]:
        """The first seed's settings of each run, by its label."""
        specs = {(spec.variant, spec.run): spec for spec in reversed(self.specs)}
        return {row.label: specs[row.variant, row.run] for row in self.rows}

    @cached_property
    def steps(self) -> pd.DataFrame:
        """Every run's curves, a row a step, its training loss smoothed as the charts have it."""
        steps = results.curves(self.specs, "steps")
        return steps.assign(training_loss_smoothed=charts.smoothed(steps, "training_loss"))

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """Every run's curves, a row an epoch."""
        return results.curves(self.specs, "epochs")

    @cached_property
    def layers(self) -> pd.DataFrame:
        """What was measured of layers, a row for each step and quantity, of the runs that did."""
        return results.diagnostics(self.specs, of_layers=True)

    @cached_property
    def symptoms(self) -> dict[str, list[Symptom]]:
        """A run's label → what its curves show, the surest first."""
        return read_record(paths.SYMPTOMS, dict[str, list[Symptom]], AGAIN)

    @cached_property
    def classes(self) -> pd.DataFrame:
        """What was made of unlabelled pictures, a row for each epoch and class, of the runs that learn from such."""
        return results.classes(self.specs)

    @cached_property
    def contests(self) -> dict[str, Contest | None]:
        """Question → the run that val chooses and its lead on test; None where there is nothing to choose."""
        return read_record(paths.CONTESTS, dict[str, Contest | None], AGAIN)

    @cached_property
    def claims(self) -> list[dict[str, Any]]:
        """What the study set out to test, and what came of it."""
        return list(read_record(paths.CLAIMS, dict[str, Any], AGAIN).values())

    @cached_property
    def slowness(self) -> dict[str, Any]:
        """Training → where it is slow, and why; empty where no curvature was measured."""
        return read_record(paths.SLOWNESS, dict[str, Any], AGAIN)

    @cached_property
    def checks(self) -> dict[str, dict[str, Tested]]:
        """Subject → check → finding."""
        return read_record(paths.CHECK_REPORT, dict[str, dict[str, Tested]], "dvc repro check")

    @cached_property
    def probes(self) -> dict[str, dict[str, dict[str, Tested]]]:
        """Variant → probe → training → finding."""
        return {
            variant: read_record(
                paths.probe_metrics(variant), dict[str, dict[str, Tested]], f"dvc repro probe@{variant}"
            )
            for variant in self.study.probed
        }

    @cached_property
    def data(self) -> Description:
        """What was trained on: classes, sizes, hashes."""
        return read_record(paths.PREPARED / "data.json", Description, "dvc repro prepare")

    @cached_property
    def pictures(self) -> Data:
        """The pictures that were trained on."""
        return load(paths.PREPARED, paths.EXCLUDED)

    @cached_property
    def records(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(variant, run-seed) → what the training wrote beside its weights."""
        return {(spec.variant, spec.key): self._of_training(spec, "run.json") for spec in self.specs}

    @cached_property
    def logs(self) -> list[Logged]:
        """What each training was asked to log, and what it logged, seed by seed."""
        found = []
        for spec in self.specs:
            trained = self._entry(paths.train_outputs(spec.variant).metrics, spec, "train")
            tested = self._entry(paths.test_metrics(spec.variant), spec, "test")
            own = [
                frame[(frame["variant"] == spec.variant) & (frame["run"] == spec.run) & (frame["seed"] == spec.seed)]
                for frame in (self.steps, self.epochs)
            ]
            found.append(Logged(spec, self.records[spec.variant, spec.key], trained, tested, own[0], own[1]))
        return found

    def of_question(self, variants: list[str]) -> list[RunComparison]:
        """The rows of the runs that variants, or `variant/run`, name; each after what it is held against."""
        names = [(row.variant, row.run) for row in self.rows]
        own = {found for variant in variants for found in runs_named(variant, names)}
        return [row for row in grouped(self.rows) if (row.variant, row.run) in own]

    def of_run(self, row: RunComparison, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[(frame["variant"] == row.variant) & (frame["run"] == row.run)]

    @staticmethod
    def _of_training(spec: RunSpec, name: str) -> dict[str, Any]:
        file = paths.train_outputs(spec.variant).models / spec.key / name
        return read_record(file, dict[str, Any], f"dvc repro train@{spec.variant}")

    @staticmethod
    def _entry(path: Path, spec: RunSpec, stage: str) -> dict[str, Any]:
        content = read_record(path, dict[str, Any], f"dvc repro {stage}@{spec.variant}")
        found = content.get("runs", content) if stage == "test" else content
        return dict(found[spec.key])
