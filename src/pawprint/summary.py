"""The end of `make repro` in the terminal: the table of variants, where the time went, where the charts are.

Run in a study's folder: `python -m pawprint.summary [--since EPOCH_SECONDS] [--jobs N]`. Everything goes to
stdout. It reads only the table that `compare` wrote and the times that the stages noted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mode
from typing import Any

from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pawprint import paths
from pawprint.comparison import RunComparison, from_json
from pawprint.errors import DataError, PawprintError
from pawprint.labels import label
from pawprint.records import read_record
from pawprint.symptoms import Symptom
from pawprint.symptoms.told import alarms

MOST_TOLD = 30  # runs that are described below the table; more are the page's
PIPE_WIDTH = 100  # characters, where no terminal says how wide it is
WIDE = 100  # characters: a narrower table leaves out losses, and how validation scatters
ROUNDING = 1e-5  # of the shares that `compare` writes
VERDICT_STYLES = {
    "better": "bold green", "worse": "bold red", "within noise": "", "cannot tell": "yellow", "same settings": "yellow",
}  # fmt: skip
WORD = re.compile(r"[A-Za-z0-9.+-]+")  # of a name: `_` and brackets stand between words
DIVERGED = "†"
AT_CHANCE = "‡"
UNKNOWN = "–"


@dataclass(frozen=True)
class TimeSpent:
    """What the time went into, seconds."""

    start_up: float  # of processes, until their work begins
    training: float
    wall: float
    by_clock: bool  # `wall` was measured by the clock; else it is the sum of the stages' times

    @property
    def rest(self) -> float:
        return self.wall - self.start_up - self.training


def table(rows: Sequence[RunComparison], width: int = PIPE_WIDTH) -> Table:
    """The runs as a table of at most 80 columns (long names fold), with losses from 100: scores in percent.

    Runs of a variant that has several stand below a line with its name; so do those that are not held against the
    baseline, below a line that names their reference.
    """
    columns = _columns(rows, width)
    result = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    result.add_column("variant", overflow="fold", min_width=10)
    for title in columns:
        result.add_column(title, justify="left" if title == "verdict" else "right", no_wrap=True)
    above = ""
    for row in grouped(rows):
        heading = _heading(row, rows)
        if heading != above:
            above = heading
            if heading:
                result.add_row(Text(f"{heading}:", style="dim"))
        result.add_row(Text(_marked(row)), *(content(row) for content in columns.values()))
    return result


def grouped(rows: Sequence[RunComparison]) -> list[RunComparison]:
    """The baseline, what is held against it, then the runs of each other reference; else in their order."""
    references = [None, _baseline(rows), *(row.against for row in rows)]
    return [row for against in dict.fromkeys(references) for row in rows if row.against == against]


def notes(rows: Sequence[RunComparison], width: int = PIPE_WIDTH) -> list[str]:
    """The sentences below the table: what the numbers mean, and what is unusual about which run."""
    losses = "; losses in nats" if width >= WIDE else ""
    equal = "balanced accuracy is accuracy: they are equally frequent"
    classes = "macro acc. is balanced accuracy" if _is_unbalanced(rows) else equal
    lines = [f"mean ± standard deviation over {_counts(rows)}{losses}", f"macro: mean over classes; {classes}"]
    lines += [_noise_note(rows)] if len(rows) > 1 else []
    for row in rows:
        name = label(row.variant, row.run)
        if row.n_diverged:
            ended = f"diverged with {row.n_diverged} of {_seeds(row.n_seeds)}"
            lines.append(f"{DIVERGED} {name} {ended}: its last good weights are what was tested")
        if row.n_at_chance:
            ended = f"did not learn with {row.n_at_chance} of {_seeds(row.n_seeds)}"
            lines.append(f"{AT_CHANCE} {name} {ended}: no better than a guess ({100 * row.chance:.1f} %)")
    return lines + _costs(rows) + _coincidences(rows) + _settings_notes(rows)


def print_summary(rows: Sequence[RunComparison], console: Console | None = None, alarmed: str = "") -> None:
    """Print the table, its notes and which runs have alarms (`symptoms.told.alarms`), to stdout."""
    console = console or stdout_console()
    console.print(table(rows, console.width))
    for line in notes(rows, console.width):
        console.print(Text(line, style="dim"))
    if alarmed:
        console.print(Text(f"{alarmed}; `pawprint diagnose VARIANT` says on what evidence, and what to try"))


def time_spent(lines: Sequence[dict[str, Any]], since: float | None, jobs: int) -> TimeSpent:
    """Sum up the stages' notes (`stages.entry`). Trainings ran `jobs` side by side: theirs count 1/jobs.

    Fewer trainings than jobs can only have run side by side among themselves.
    """
    trainings = [line for line in lines if _is_training(line)]
    side_by_side = max(1, min(jobs, len(trainings)))
    start_up = sum(_share(line, side_by_side) * line["start_up_seconds"] for line in lines)
    work = sum(_share(line, side_by_side) * line["work_seconds"] for line in lines)
    training = sum(line["work_seconds"] for line in trainings) / side_by_side
    if since is None:
        return TimeSpent(start_up, training, start_up + work, by_clock=False)
    return TimeSpent(start_up, training, max(line["ended"] for line in lines) - since, by_clock=True)


def print_time_spent(since: float | None, jobs: int, console: Console) -> None:
    """Print what the time since `since` (epoch seconds; None: ever) went into, in minutes."""
    lines = [line for line in _timings() if since is None or line["ended"] >= since]
    console.print()
    if not lines:
        console.print("time: nothing had to run")
        return
    spent = time_spent(lines, since, jobs)
    result = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    result.add_column(justify="left")
    result.add_column(justify="right")
    for name, seconds in (
        ("start-up of processes", spent.start_up),
        ("training", spent.training),
        ("the rest", spent.rest),
        ("in all", spent.wall),
    ):
        result.add_row(name, f"{seconds / 60:.1f} min", style="bold" if name == "in all" else "")
    console.print(result)
    console.print(Text(_how_counted(lines, spent, jobs), style="dim"))


def stdout_console() -> Console:
    """As wide as the terminal, or as COLUMNS says, or 100 characters on a pipe."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else PIPE_WIDTH, highlight=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, the times, and where the charts and the report are, to stdout."""
    parser = argparse.ArgumentParser(prog="python -m pawprint.summary", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--since", type=float, metavar="EPOCH_SECONDS", help="count the time from here on; default: all noted"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings that ran side by side; default: 1")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs: expected 1 or more, found {options.jobs}")
    console = stdout_console()
    rows = read_rows()
    symptoms = read_record(paths.SYMPTOMS, dict[str, list[Symptom]], "dvc repro compare")
    print_summary(rows, console, alarms(symptoms))
    print_time_spent(options.since, options.jobs, console)
    console.print(f"\ncharts: {paths.COMPARISON_CHARTS}/*.png; `dvc plots show` draws them for a browser")
    report = paths.REPORT / "index.html"
    if report.is_file():
        console.print(f"report: {report} answers each question; `make pdf` sets it in print")


def _columns(rows: Sequence[RunComparison], width: int) -> dict[str, Callable[[RunComparison], Text]]:
    """Title → what a row holds there."""

    wide = width >= WIDE

    def score(name: str) -> Callable[[RunComparison], Text]:
        return lambda row: Text(_percent(row.scores[name]))

    def accuracy(name: str) -> Callable[[RunComparison], Text]:
        return lambda row: Text(_percent(row.scores[name], row.deviations[name]))

    def loss(name: str) -> Callable[[RunComparison], Text]:
        return lambda row: Text(_loss(row.scores[name]))

    unbalanced = _is_unbalanced(rows)
    columns = {"val\nacc. %": (accuracy if wide and not unbalanced else score)("val_accuracy")}
    columns |= {"val\nloss": loss("val_loss")} if wide else {}
    columns |= {"test\nacc. %": accuracy("test_accuracy")}
    columns |= {"test\nloss": loss("test_loss")} if wide else {}
    columns |= {"macro\nacc. %": score("test_balanced_accuracy")} if unbalanced else {}
    columns |= {"macro\nF1 %": score("test_macro_f1")}
    return columns | {"change\n± noise": _change, "verdict": _verdict}


def _change(row: RunComparison) -> Text:
    if row.is_baseline or row.verdict == "same settings":
        return Text("")
    change = UNKNOWN if row.change is None else f"{100 * row.change:+.1f}"
    return Text(f"{change} ± {_percent(row.noise)}")


def _verdict(row: RunComparison) -> Text:
    if row.is_baseline:
        return Text("baseline", style="dim")
    return Text(str(row.verdict), style=VERDICT_STYLES[str(row.verdict)])


def _heading(row: RunComparison, rows: Sequence[RunComparison]) -> str:
    """What is said above a row and those like it: `batch_size, against momentum/high`, or nothing."""
    several = [row.variant] if row.run != row.variant else []
    other = [f"against {row.against}"] if not row.is_baseline and row.against != _baseline(rows) else []
    return ", ".join(several + other)


def _marked(row: RunComparison) -> str:
    marks = (DIVERGED if row.n_diverged else "") + (AT_CHANCE if row.n_at_chance else "")
    name = row.label if row.run == row.variant else f"  {label(row.run, row.run, row.pretrained_on)}"
    return f"{name} {marks}" if marks else name


def _baseline(rows: Sequence[RunComparison]) -> str:
    return next(label(row.variant, row.run) for row in rows if row.is_baseline)


def _is_unbalanced(rows: Sequence[RunComparison]) -> bool:
    """Whether balanced accuracy says something that accuracy does not: equally frequent classes make them equal."""
    scores = [(row.scores["test_accuracy"], row.scores["test_balanced_accuracy"]) for row in rows]
    return any(a is not None and b is not None and abs(a - b) > ROUNDING for a, b in scores)


def _noise_note(rows: Sequence[RunComparison]) -> str:
    others = [row for row in rows if not row.is_baseline]
    counts = sorted({row.degrees_of_freedom for row in others})
    freedom = f"{' or '.join(map(str, counts))} degree{'' if counts == [1] else 's'} of freedom"
    over = ", over the seeds that both have" if any(row.n_paired_seeds for row in others) else ""
    elsewhere = " or the run named above the rows" if any(row.against != _baseline(rows) for row in others) else ""
    n_tested = sum(row.p is not None for row in rows)
    return (
        f"change in test accuracy against {_baseline(rows)}{elsewhere}{over}; noise: how large luck may make it, by the"
        f" seeds' scatter (pooled over runs that learned, {freedom}) and the {rows[0].n_test} test pictures,"
        f" with a 5 % chance of any false verdict in the table (Holm's step-down over {n_tested})"
    )


def _costs(rows: Sequence[RunComparison]) -> list[str]:
    """How many pictures a step takes through the model, where objectives make it other than the batch size does."""
    costs: dict[int, list[str]] = {}
    for row in rows:
        costs.setdefault(row.pictures_per_step, []).append(label(row.variant, row.run))
    if len(costs) == 1 or "unlabelled_ratio" not in " ".join(row.settings for row in rows):
        return []
    parts = [f"{n} of {', '.join(names)}" for n, names in sorted(costs.items())]
    return [f"pictures through the model in a step, all views counted: {'; '.join(parts)}"]


def _coincidences(rows: Sequence[RunComparison]) -> list[str]:
    lines, told = [], set()
    for row in rows:
        own = label(row.variant, row.run)
        if row.same_settings_as and own not in told:
            told |= {own, *row.same_settings_as}
            lines.append(f"{', '.join([own, *row.same_settings_as])} coincide: their settings are the same")
    return lines


def _settings_notes(rows: Sequence[RunComparison]) -> list[str]:
    """What a run is, where its name does not say it: each setting's value is a part of `batch_64` or is news."""
    lines = []
    for row in rows if len(rows) <= MOST_TOLD else [row for row in rows if row.is_baseline]:
        known = set(WORD.findall(row.label))
        values = (
            [set(WORD.findall(setting.split()[-1])) for setting in row.settings.split(", ")] if row.settings else []
        )
        if row.is_baseline or not all(value <= known for value in values):
            lines.append(f"{label(row.variant, row.run)}: {row.description}")
    if len(rows) > MOST_TOLD:
        lines.append(f"what each run is: `pawprint report`, or {paths.RESOLVED}/")
    return lines


def _counts(rows: Sequence[RunComparison]) -> str:
    """`2 seeds (baseline: 3)`: what most runs have, and which have another number; of a variant once, if all do."""
    usual = mode(row.n_seeds for row in rows)
    of_variant: dict[str, set[int]] = {}
    for row in rows:
        of_variant.setdefault(row.variant, set()).add(row.n_seeds)
    names = {row.variant if len(of_variant[row.variant]) == 1 else label(row.variant, row.run): row.n_seeds
             for row in rows}  # fmt: skip
    others = [f"{name}: {n}" for name, n in names.items() if n != usual]
    return _seeds(usual) + (f" ({', '.join(others)})" if others else "")


def _percent(share: float | None, deviation: float | None = None) -> str:
    mean = UNKNOWN if share is None else f"{100 * share:.1f}"
    return mean if deviation is None else f"{mean} ± {100 * deviation:.1f}"


def _loss(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.2f}" if value < 1000 else f"{value:.0e}"


def _seeds(n: int) -> str:
    return f"{n} seed{'' if n == 1 else 's'}"


def _how_counted(lines: Sequence[dict[str, Any]], spent: TimeSpent, jobs: int) -> str:
    n_trainings = sum(map(_is_training, lines))
    n_side_by_side = min(jobs, n_trainings)
    rest = "the rest is the clock less both" if spent.by_clock else "in all is the sum of the stages' times"
    order = "one after the other"
    if n_side_by_side > 1:
        order = (
            f"{n_trainings} variants trained and tested {n_side_by_side} side by side (each counts 1/{n_side_by_side})"
        )
    return f"{len(lines)} process{'' if len(lines) == 1 else 'es'}, {order}; {rest}"


def _is_training(line: dict[str, Any]) -> bool:
    """Whether a note is of `train@…`, in this dvc.yaml or (`folder/dvc.yaml:train@…`) another."""
    return str(line["stage"]).rpartition(":")[2].startswith("train@")


def _share(line: dict[str, Any], side_by_side: int) -> float:
    """Each variant is trained and tested beside the others; all other stages run alone."""
    name = str(line["stage"]).rpartition(":")[2]
    return 1 / side_by_side if name.startswith(("train@", "test@")) else 1.0


def _timings() -> list[dict[str, Any]]:
    path = paths.timings()
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [note for note in map(_note, lines) if note is not None]


def _note(line: str) -> dict[str, Any] | None:
    """A stage's note of its times; None for one that was cut, as a kill leaves it."""
    try:
        note = json.loads(line)
        numbers = [note[name] for name in ("start_up_seconds", "work_seconds", "ended")]
        return note if "stage" in note and all(isinstance(n, float | int) for n in numbers) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def read_rows() -> list[RunComparison]:
    """The table that `compare` wrote in this folder; DataError where there is none, or another."""
    path = paths.COMPARISON
    try:
        rows = from_json(read_record(path, dict[str, dict[str, dict[str, Any]]], "dvc repro compare"))
    except ValidationError as error:
        found = f"{error.error_count()} fields are missing or of another kind"
        raise DataError(f"{path}: not a table that `compare` wrote ({found}); run: dvc repro --force compare") from None
    if not any(row.is_baseline for row in rows):
        raise DataError(f"{path}: expected a baseline among the runs, found none; run: dvc repro --force compare")
    return rows


if __name__ == "__main__":
    try:
        main()
    except PawprintError as error:
        print(f"summary: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
