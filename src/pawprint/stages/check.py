"""check: model tests that gate training. Writes the report always, the gate only when nothing stops.

Every distinct (model, head, optimizer) among the resolved runs is checked. gate.json says no more than that
the stopping checks passed, so that its bytes, and with them every training, outlast a new check.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from pawprint import atomic, checks, extensions, paths
from pawprint.checks import CheckSubject
from pawprint.data.batches import TrainBatches
from pawprint.data.prepared import load
from pawprint.errors import CheckFailed, SettingsError
from pawprint.models import starting_model
from pawprint.params import read_resolved, read_study
from pawprint.seeding import seed_run
from pawprint.stages.entry import run_stage
from pawprint.training.optimizers import build_optimizer
from pawprint.training.schedules import build_schedule
from pawprint.types import Data, Finding, RunSpec

LEVELS = ("stop", "warn")


def main() -> None:
    """Raises CheckFailed after the report is written, if a check whose level is `stop` did not pass."""
    study, _ = read_study(paths.PARAMS)
    levels = _levels(study.checks)
    settings = {name: {k: v for k, v in given.items() if k != "level"} for name, given in study.checks.items()}
    found = extensions.find(checks, settings)
    specs = [spec for variant in study.variants for spec in read_resolved(paths.resolved(variant))]
    data = load(paths.PREPARED)
    for spec in specs:
        _fits(spec, data)
    report = {
        label: {name: _run(name, run, _subject(spec, data)) for name, run in found.items()}
        for label, spec in _distinct(specs).items()
    }
    atomic.write_json(paths.CHECK_REPORT, _as_json(report, levels))
    stopping = _announce(report, levels)
    if stopping:
        listed = "\n  ".join(stopping)
        raise CheckFailed(f"nothing is trained before this is mended (report: {paths.CHECK_REPORT}):\n  {listed}")
    atomic.write_text(paths.EXCLUDED, "image_name\n")
    atomic.write_json(paths.GATE, {"passed": True})


def _levels(settings: dict[str, dict[str, Any]]) -> dict[str, str]:
    levels = {name: given.get("level", "stop") for name, given in settings.items()}
    faults = [
        f"checks: {name}: level: expected stop or warn, found {level!r}"
        for name, level in levels.items()
        if level not in LEVELS
    ]
    if faults:
        raise SettingsError(faults)
    return levels


def _distinct(specs: list[RunSpec]) -> dict[str, RunSpec]:
    """One spec for each (model, head, optimizer), by a name that says which."""
    kinds: dict[str, RunSpec] = {}
    for spec in specs:
        widths = f"-{'-'.join(map(str, spec.mlp_widths))}" if spec.model == "mlp" else ""
        start = "-pretrained" if spec.pretrained else ""
        kinds.setdefault(f"{spec.model}{widths}{start}, {spec.optimizer}", spec)
    return kinds


def _subject(spec: RunSpec, data: Data) -> CheckSubject:
    seed_run(spec.seed, spec.threads)
    model = starting_model(spec, data, paths.start(spec.variant))
    batch = next(TrainBatches(data, spec).epoch(1))
    return CheckSubject(spec, data, model, build_optimizer(spec, model), batch)


def _run(name: str, run: Callable[[CheckSubject], Finding], subject: CheckSubject) -> Finding:
    """A subject on which the check itself breaks has failed it: the fault is told beside the others."""
    try:
        return run(subject)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
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


def _as_json(report: dict[str, dict[str, Finding]], levels: dict[str, str]) -> dict[str, Any]:
    return {
        label: {name: {"level": levels[name], **finding.as_json()} for name, finding in findings.items()}
        for label, findings in report.items()
    }


def _announce(report: dict[str, dict[str, Finding]], levels: dict[str, str]) -> list[str]:
    """Print a line a finding; return those that stop the graph."""
    words: dict[bool | None, str] = {True: "passed", False: "FAILED", None: "no verdict"}
    stopping = []
    for label, findings in report.items():
        for name, finding in findings.items():
            print(f"{name} ({label}): {words[finding.passed]}: {finding.reading}")
            if finding.passed is False and levels[name] == "stop":
                remedy = f" Remedy: {finding.remedy}." if finding.remedy else ""
                stopping.append(f"{name} ({label}): {finding.reading}.{remedy}")
    return stopping


if __name__ == "__main__":
    run_stage(main)
