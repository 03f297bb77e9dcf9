"""`pawprint diagnose RUN|FILE.csv`: each run's symptoms on the terminal, and as JSON for programs."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from rich.console import Console
from rich.text import Text

from pawprint import trainings
from pawprint.diagnosis.assembly import together
from pawprint.diagnosis.exports import KINDS, Content, Said, in_one_run, read, with_siblings
from pawprint.diagnosis.quantities import Quantity
from pawprint.errors import SettingsError, shown
from pawprint.labels import label
from pawprint.params import nearest
from pawprint.symptoms import Curves, Facts, Symptom
from pawprint.symptoms.diagnose import diagnose
from pawprint.symptoms.told import TITLES, as_json, facts_of, not_measured, sureness

INDENT = 4  # columns
MIN_WIDTH = 60
OURS = tuple(f"{kind}.csv" for kind in KINDS)  # how the names of our own files end


@dataclass(frozen=True)
class Diagnosis:
    """What was found of one run, all its seeds together."""

    run: str
    seeds: list[int]
    found: list[Symptom]  # the surest first
    not_measured: list[str]
    read_as: list[str]  # which columns of which file were taken for what; empty for our own
    variant: str | None = None  # of a study; None: of a file

    @property
    def has_alarm(self) -> bool:
        return any(symptom.is_alarm for symptom in self.found)


def diagnose_command(asked: Sequence[str], as_program: bool, said: Sequence[str]) -> int:
    """Tell what each run has; 0 where there is no alarm, 1 where there is one."""
    files = [Path(one) for one in asked if one.endswith(".csv")]
    meant = _said(said, files)
    found = [diagnosis for run in asked if not run.endswith(".csv") for diagnosis in of_runs(run)]
    found += of_files(files, meant) if files else []
    if as_program:
        sys.stdout.write(json.dumps([_for_programs(one) for one in found], indent=1, ensure_ascii=False) + "\n")
    else:
        show(found, Console(highlight=False))
    return int(any(one.has_alarm for one in found))


def of_runs(run: str) -> list[Diagnosis]:
    """What the trainings that RUN names have; those of one run, its seeds, together."""
    found = trainings.folders(run)
    if not found:
        raise SettingsError([str(trainings.unknown(run, also="CSV of curves"))])
    by_run: dict[tuple[str, str, str], list[trainings.Training]] = {}
    for training in map(trainings.read_training, found):
        spec = training.spec
        by_run.setdefault((spec.study, spec.variant, spec.run), []).append(training)
    return [_of_run(seeds) for seeds in by_run.values()]


def _of_run(seeds: list[trainings.Training]) -> Diagnosis:
    spec = seeds[0].spec
    content = _joined([read(file, {}) for training in seeds for file in _files(training)])
    n_classes = len(seeds[0].record.get("class_names", ())) or None
    facts = facts_of(spec, n_classes, pd.read_csv(seeds[0].curves("epochs")))
    name = label(spec.variant, spec.run, spec.pretrained_on)
    return _diagnosis(name, together(content.series, content.layers), facts, variant=spec.variant)


def _files(training: trainings.Training) -> list[Path]:
    """The run's curves; those of layers where it has such."""
    files = [training.curves(kind) for kind in KINDS]
    needed = files if training.spec.diagnostics else files[:2]
    if missing := [file for file in needed if not file.is_file()]:
        raise SettingsError([f"{missing[0]}: no such file; `dvc pull {missing[0].parent}` or `dvc repro` brings it"])
    return needed


def of_files(files: Sequence[Path], said: Said) -> list[Diagnosis]:
    """What the runs in CSV files have; those of the same name and another seed together."""
    everything = dict.fromkeys(one for file in files for one in with_siblings(file))
    content = _joined([read(file, said) for file in everything])
    runs = dict.fromkeys(str(one.run) for one in content.series)
    found = []
    for run in runs:
        series = [one for one in content.series if one.run == run]
        curves = together(series, content.layers[content.layers["run"] == run])
        read_as = [f"{one.file.name}: {one.column} as {one.quantity}" for one in series
                   if not one.file.name.endswith(OURS)]  # fmt: skip
        found.append(_diagnosis(run, curves, Facts(), read_as))
    return found


def _joined(contents: Sequence[Content]) -> Content:
    """SettingsError where two files have the same curve of the same training."""
    series = in_one_run([one for content in contents for one in content.series])
    told: dict[tuple[str | None, int, Quantity], Path] = {}
    for one in series:
        before = told.setdefault((one.run, one.seed, one.quantity), one.file)
        if before != one.file:
            raise SettingsError([
                f"{one.file}: {one.quantity} of {one.run}, seed {one.seed}, stands in {before} too; expected one file "
                "for each curve: diagnose them one after the other"
            ])  # fmt: skip
    return Content(series, pd.concat([content.layers for content in contents]))


def _diagnosis(
    run: str, curves: Curves, facts: Facts, read_as: Sequence[str] = (), variant: str | None = None
) -> Diagnosis:
    if curves.steps.empty:
        raise SettingsError([
            f"{run}: expected a training loss among its curves, found none ({'; '.join(read_as)}); give its file too, "
            "or say which column it is: --as COLUMN=training_loss"
        ])  # fmt: skip
    seeds = sorted({int(seed) for seed in curves.steps["seed"]})
    return Diagnosis(run, seeds, diagnose(curves, facts), not_measured(curves, facts), list(read_as), variant)


def _said(options: Sequence[str], files: Sequence[Path]) -> dict[str, Quantity]:
    """`--as COLUMN=val_loss`, or `--as val_loss` of the one file."""
    said: dict[str, Quantity] = {}
    faults = []
    for option in options:
        name, between, which = option.rpartition("=")
        if which not in get_args(Quantity):
            faults.append(f"--as {shown(option)}: expected COLUMN=QUANTITY; {nearest(which, list(get_args(Quantity)))}")
        elif not between and len(files) != 1:
            faults.append(f"--as {which}: of which of {len(files)} files? expected FILE={which}, or COLUMN={which}")
        else:
            said[name or files[0].name] = next(one for one in get_args(Quantity) if one == which)
    if faults:
        raise SettingsError(faults)
    return said


def _for_programs(one: Diagnosis) -> dict[str, Any]:
    return {
        "run": one.run,
        "seeds": one.seeds,
        "alarm": one.has_alarm,
        "symptoms": [as_json(symptom) for symptom in one.found],
        "not_measured": one.not_measured,
    }


def show(found: Sequence[Diagnosis], console: Console) -> None:
    """Each run: its symptoms, what each stands on and what to try, and what was not measured."""
    for one in found:
        seeds = f"seeds {', '.join(map(str, one.seeds))}" if len(one.seeds) > 1 else f"seed {one.seeds[0]}"
        n_alarms = sum(symptom.is_alarm for symptom in one.found)
        console.print(Text(one.run, style="bold") + Text(f"  {seeds}", style="dim"))
        if not n_alarms:
            console.print(Text("  no alarm", style="green"))
        for symptom in one.found:
            _show_symptom(symptom, console)
        for line in one.not_measured:
            _print(f"not judged: {line}", 2, console, style="dim")
        for line in one.read_as:
            _print(f"read {line}", 2, console, style="dim")
        console.print()
    if how := _how_to_try(found):
        _print(how, 0, console, style="dim")


def _show_symptom(symptom: Symptom, console: Console) -> None:
    style = "bold red" if symptom.is_alarm else "cyan"
    title = Text(f"  {TITLES[symptom.kind]}", style=style)
    console.print(title + Text(f", {sureness(symptom.confidence)}" if symptom.is_alarm else ""))
    _print(symptom.evidence, INDENT, console)
    for remedy in symptom.remedies:
        typed = f"{remedy.options}  " if remedy.settings else ""
        _print(f"try {typed}{remedy.says}", INDENT, console, hanging=4)


def _print(text: str, indent: int, console: Console, hanging: int = 0, style: str = "") -> None:
    """Wrapped here: rich would begin a wrapped line at the left edge."""
    lines = textwrap.wrap(text, max(console.width, MIN_WIDTH), initial_indent=" " * indent,
                          subsequent_indent=" " * (indent + hanging), break_long_words=False,
                          break_on_hyphens=False)  # fmt: skip
    console.print(Text("\n".join(lines), style=style), soft_wrap=True)


def _how_to_try(found: Sequence[Diagnosis]) -> str:
    """The first remedy that is a setting, as commands; empty where there is none."""
    tried = [(one.variant, remedy.settings) for one in sorted(found, key=lambda one: not one.has_alarm)
             for symptom in one.found for remedy in symptom.remedies if remedy.settings]  # fmt: skip
    if not tried:
        return ""
    variant, settings = tried[0]
    if variant is None:
        return "-S is a setting of a study's params.yaml: `dvc exp run -S …`"
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())
    return (
        f"to try one: `pawprint train --variant {variant} {options}`; in the study `dvc exp run -S …`, or "
        f"`-S variants.{variant}.{next(iter(settings))}=…` for what the variant sets itself"
    )
