"""check: model tests that gate training. Writes the report always, the gate only when nothing stops.

The pictures are checked once, and every distinct (model, head, optimizer) among the resolved runs, with what training
pictures the first leaves. gate.json says no more than that the stopping checks passed, so that its bytes, and with them
every training, outlast a new check.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import nn

from pawprint import atomic, checks, extensions, paths
from pawprint.checks import CheckSubject
from pawprint.data.batches import TrainBatches
from pawprint.data.prepared import load, without
from pawprint.errors import CheckFailed, SettingsError, shown
from pawprint.figures.style import save
from pawprint.models import starting_model
from pawprint.objectives import build_objective
from pawprint.pages.findings import Entry, Group, findings_page
from pawprint.params import read_study, read_variant
from pawprint.seeding import preserve_rng, seed_run
from pawprint.stages.entry import run_stage
from pawprint.training.optimizers import build_optimizer
from pawprint.training.schedules import build_schedule
from pawprint.training.starting import told_by_setting
from pawprint.types import Data, Finding, RunSpec

LEVELS = ("stop", "warn")
VERDICTS: dict[bool | None, str] = {True: "passed", False: "failed", None: "no verdict"}

Report = dict[str, dict[str, Finding]]  # subject → check → finding


def main() -> None:
    """Raises CheckFailed after the report is written, if a check whose level is `stop` did not pass."""
    study, _ = read_study(paths.PARAMS)
    levels = _levels(study.checks)
    settings = {name: {k: v for k, v in given.items() if k != "level"} for name, given in study.checks.items()}
    found = extensions.find(checks, settings)
    specs = [spec for variant in study.variants for spec in read_variant(variant)]
    data = load(paths.PREPARED)
    for spec in specs:
        _fits(spec, data)
    of_pictures = {name: _run(name, test.run, data) for name, test in found.items() if test.of_data}
    dropped = sorted({name for finding in of_pictures.values() for name in finding.drop_from_train})
    left = data if set(data.train.names) <= set(dropped) else without(data, dropped)
    report: Report = {paths.PICTURES: of_pictures} if of_pictures else {}
    for kind, of_kind in _kinds(specs).items():
        _starts(of_kind[0], left)
        report[kind] = {
            name: _run(name, test.run, _subject(kind, of_kind, left))
            for name, test in found.items()
            if not test.of_data
        }
    _write(report, levels, study.study)
    stopping = _announce(report, levels)
    if stopping:
        listed = "\n  ".join(stopping)
        page = paths.CHECK_FIGURES / "report.html"
        raise CheckFailed(f"nothing is trained before this is mended; pictures and figures: {page}\n  {listed}")
    atomic.write_text(paths.EXCLUDED, _excluded(dropped))
    atomic.write_json(paths.GATE, {"passed": True})


def _levels(settings: dict[str, dict[str, Any]]) -> dict[str, str]:
    levels = {name: given.get("level", "stop") for name, given in settings.items()}
    faults = [
        f"{paths.PARAMS}: checks.{name}.level: expected stop or warn, found {shown(level)}"
        for name, level in levels.items()
        if level not in LEVELS
    ]
    if faults:
        raise SettingsError(faults)
    return levels


def _kinds(specs: list[RunSpec]) -> dict[str, list[RunSpec]]:
    """The specs of each (model, head, optimizer), by a name that says which."""
    kinds: dict[str, list[RunSpec]] = {}
    for spec in specs:
        start = "-pretrained" if spec.pretrained else ""
        kinds.setdefault(f"{spec.model}{_layers(spec)}{start}, {spec.optimizer}", []).append(spec)
    return kinds


def _layers(spec: RunSpec) -> str:
    """What makes one network of its kind another: `-128-56-tanh-layer_norm_2`, `-32-64-grid_4`."""
    if spec.model == "cnn":
        grid = [f"grid_{spec.cnn_grid}"] if spec.cnn_grid > 1 else []
        return "".join(f"-{part}" for part in (*spec.cnn_widths, *grid, *spec.cnn_hidden))
    if spec.model != "mlp":
        return ""
    activation = [spec.mlp_activation] if spec.mlp_activation != "relu" else []
    normalized = [f"layer_norm_{number}" for number in spec.mlp_layer_norm]
    return "".join(f"-{part}" for part in (*spec.mlp_widths, *activation, *normalized))


def _subject(kind: str, specs: list[RunSpec], data: Data) -> CheckSubject:
    """The first of the specs, with the rates of all; what it learns from labels is what is tested."""
    spec = replace(specs[0], objective="supervised")

    def start(seed: int) -> nn.Module:
        seed_run(seed, spec.threads)
        return starting_model(spec, data, paths.start(spec.variant))

    return CheckSubject(
        name=kind,
        data=data,
        start=start,
        optimizer_for=lambda model: build_optimizer(spec, model),
        objective=build_objective(spec, data),
        batches=TrainBatches(data, spec).without_end,
        rates={s.variant if s.run == s.variant else f"{s.variant}/{s.run}": s.scaled_lr for s in specs},
        seed=spec.seed,
    )


def _run(name: str, run: Callable[[Any], Finding], subject: CheckSubject | Data) -> Finding:
    """A subject on which the check itself breaks has failed it: the fault is told beside the others."""
    try:
        with preserve_rng():
            return run(subject)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        return Finding(
            name=name,
            question="Can the check run at all?",
            numbers={},
            passed=False,
            limit="no error",
            reading=f"could not run: {type(error).__name__}: {error}",
        )


def _fits(spec: RunSpec, data: Data) -> None:
    """Raise now what would stop the training later: a schedule that does not fit the number of steps."""
    steps = spec.epochs * TrainBatches(data, spec).steps_per_epoch
    build_schedule(spec, build_optimizer(spec, nn.Linear(1, 1)), steps)


def _starts(spec: RunSpec, data: Data) -> None:
    """SettingsError where the model cannot take a first batch: each check would say so in its own words."""
    batches = TrainBatches(data, spec)
    if not batches.steps_per_epoch:
        return
    with told_by_setting(spec, data), preserve_rng(), torch.no_grad():
        seed_run(spec.seed, spec.threads)
        starting_model(spec, data, paths.start(spec.variant))(next(batches.without_end()).images)


def _write(report: Report, levels: dict[str, str], study: str) -> None:
    """The report as JSON and as a page, each finding's figure and table beside it."""
    as_json = {
        subject: {name: _as_json(subject, name, levels[name], finding) for name, finding in findings.items()}
        for subject, findings in report.items()
    }
    atomic.write_json(paths.CHECK_REPORT, as_json)
    groups = [
        Group(subject, [Entry(finding, VERDICTS[finding.passed], levels[name]) for name, finding in findings.items()])
        for subject, findings in report.items()
    ]
    lead = ["What was tested before any training. A test of level stop that fails stops the graph; one of level warn "
            "is told."]  # fmt: skip
    atomic.write_text(paths.CHECK_FIGURES / "report.html", findings_page(f"{study}: before training", lead, groups))
    for subject, findings in report.items():
        for name, finding in findings.items():
            if finding.figure is not None:
                save(finding.figure, paths.check_file(subject, name, ".png"))
            if finding.table:
                table = pd.DataFrame(finding.table).to_csv(index=False, lineterminator="\n")
                atomic.write_text(paths.check_file(subject, name, ".csv"), table)


def _as_json(subject: str, name: str, level: str, finding: Finding) -> dict[str, Any]:
    table = paths.check_file(subject, name, ".csv").name if finding.table else None
    return {"level": level, **finding.as_json(), "table": table}


def _excluded(names: list[str]) -> str:
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([["image_name"], *([name] for name in names)])
    return lines.getvalue()


def _announce(report: Report, levels: dict[str, str]) -> list[str]:
    """Print a line a finding; return those that stop the graph."""
    stopping = []
    for subject, findings in report.items():
        for name, finding in findings.items():
            verdict = "FAILED" if finding.passed is False else VERDICTS[finding.passed]
            print(f"{name} ({subject}): {verdict}: {finding.reading}")
            if finding.passed is False and levels[name] == "stop":
                remedy = f". Remedy: {finding.remedy}" if finding.remedy else ""
                stopping.append(f"{name} ({subject}): {finding.reading}{remedy}.")
    return stopping


if __name__ == "__main__":
    run_stage(main)
