"""What `make repro` ends with: the table at every width, the times, the ways out of missing files."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pawprint import paths, summary
from pawprint.comparison import MEASURES, TRAINING, Answers, RunComparison, as_json, compare
from pawprint.errors import DataError
from pawprint.symptoms import Symptom
from pawprint.symptoms.told import as_json as symptom_as_json
from pawprint.types import RunSpec

SCORES = {  # variant → accuracy of each seed
    "baseline": [0.60, 0.61, 0.60],
    "batch_64_adam_full_rule": [0.55, 0.56],
    "lr_1": [0.10, 0.10],
    "lr_1e-3": [0.60, 0.61],
    "sgd": [0.40, 0.41],
    "sgd_batch_64_lr_linear": [0.41, 0.40],
    "pretrained": [0.90, 0.91],
}
SETTINGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "batch_64_adam_full_rule": {"batch_size": 64, "lr_scaling": "adam_full"},
    "lr_1": {"lr": 1.0},
    "lr_1e-3": {"lr": 1e-3},
    "sgd": {"optimizer": "sgd", "lr": 0.1},
    "sgd_batch_64_lr_linear": {"optimizer": "sgd", "lr": 0.1, "batch_size": 64, "lr_scaling": "linear"},
    "pretrained": {"pretrained": True, "pretrained_on": "drawn_animals"},
}


def guesses_of(correct: pd.DataFrame, n_classes: int) -> pd.DataFrame:
    """Of classes that are equally frequent, each guessed as often."""
    chance = 1 / n_classes
    deviation = (chance * (1 - chance) / correct.shape[1]) ** 0.5
    return pd.DataFrame({"share": chance, "deviation": deviation}, index=correct.index)


def rows(unbalanced: bool = False) -> list[RunComparison]:
    specs = [RunSpec("s", v, v, seed, **SETTINGS[v]) for v in SCORES for seed in range(len(SCORES[v]))]
    accuracies = np.array([accuracy for scores in SCORES.values() for accuracy in scores])
    correct = pd.DataFrame((np.arange(500) < 500 * accuracies[:, None]).astype(float))
    correct.index = pd.MultiIndex.from_tuples([(s.variant, s.run, s.seed) for s in specs], names=TRAINING)
    table = correct.index.to_frame(index=False).assign(**dict.fromkeys(MEASURES, accuracies))
    table["outcome"] = ["diverged" if variant == "lr_1" else "finished" for variant in table["variant"]]
    table["val_loss"], table["test_loss"] = 1.25, np.where(table["variant"] == "lr_1", np.nan, 1.5)
    table["test_balanced_accuracy"] -= 0.02 if unbalanced else 0.0
    return compare(specs, table, Answers(correct, guesses_of(correct, 10)), {"sgd_batch_64_lr_linear": "sgd"})


def printed(width: int, color: bool = False, **options: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=color, color_system="standard" if color else None)
    summary.print_summary(rows(**options), console)
    return text.getvalue()


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


@pytest.mark.parametrize("unbalanced", [False, True])
@pytest.mark.parametrize("width", [80, 100, 120])
def test_table_fits_its_width_and_cuts_nothing(width: int, unbalanced: bool):
    text = printed(width, unbalanced=unbalanced)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for part in ("60.3 ± 0.6", "worse", "baseline", "lr_1 †‡", "diverged with 2 of 2 seeds", "(drawn_animals)"):
        assert part in text


def test_names_of_the_pets_study_stay_on_one_line_at_80():
    for name in ("batch_64_adam_full_rule ", "sgd_batch_64_lr_linear "):
        assert line_of(printed(80), name)


def test_losses_stand_where_there_is_room():
    assert "1.25" not in printed(80)
    assert "1.25" in line_of(printed(100), "baseline")


def test_balanced_accuracy_stands_where_it_is_not_accuracy():
    assert "58.3" in line_of(printed(80, unbalanced=True), "baseline")
    assert "58.3" not in printed(80)
    assert "balanced accuracy is accuracy" in printed(80)
    assert "balanced accuracy is accuracy" not in printed(80, unbalanced=True)


def test_rows_stand_below_their_reference():
    lines = [line.split(" ")[0] for line in printed(100).splitlines()]
    assert lines.index("pretrained") < lines.index("against") < lines.index("sgd_batch_64_lr_linear")
    assert line_of(printed(100), "against").rstrip() == "against sgd:"
    only = [row for row in rows() if row.variant != "sgd_batch_64_lr_linear"]
    assert summary.grouped(only) == only


def test_runs_of_a_variant_stand_below_its_name():
    text = io.StringIO()
    of_one = [replace(row, variant="rule", run=row.variant) if "batch_64" in row.variant else row for row in rows()]
    summary.print_summary(of_one, Console(file=text, width=100))
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    place = lines.index("rule:")
    assert lines[place + 1].startswith("  batch_64_adam_full_rule ")
    place = lines.index("rule, against sgd:")
    assert lines[place + 1].startswith("  sgd_batch_64_lr_linear ")


def test_of_very_many_runs_the_settings_are_not_listed():
    many = [replace(row, variant=f"{row.variant}_{i}") if i else row for row in rows() for i in range(6)]
    notes = summary.notes(many)
    assert sum(": as " in note for note in notes) == 0
    assert any(note.startswith("baseline: ") for note in notes)
    assert notes[-1] == "what each run is: `pawprint report`, or params/"


def test_notes_name_the_method_and_what_is_unusual():
    text = " ".join(printed(120).split())
    for part in (
        "over 2 seeds (baseline: 3)",
        "against baseline or the run named above the rows",
        "any false verdict in the table (Holm's step-down over 5)",  # not the baseline, not the one of its settings
        "the 500 test pictures",
        "‡ lr_1 did not learn with 2 of 2 seeds: no better than a guess (10.0 %)",
        "baseline, lr_1e-3 coincide: their settings are the same",
        "same settings",
    ):
        assert part in text


def test_notes_tell_settings_that_names_do_not():
    notes = summary.notes(rows())
    assert "baseline: adam, lr 1e-3, batch_size 32, no scheduler, random weights" in notes
    assert "sgd: as baseline, but sgd, lr 1e-1" in notes
    assert not any(line.startswith(("pretrained:", "lr_1e-3:")) for line in notes)
    misnamed = [replace(row, settings="lr 1e-2") if row.variant == "lr_1" else row for row in rows()]
    assert "lr_1: as baseline, but lr 1e-2" in summary.notes(misnamed)


def test_one_run_alone_has_a_table():
    text = io.StringIO()
    summary.print_summary(rows()[:1], Console(file=text, width=80))
    assert "Holm" not in text.getvalue()


def test_color_marks_verdicts_and_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;31m" in printed(80, color=True)
    assert "\x1b[" not in printed(80)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in printed(80, color=True)


def note(stage: str, start_up: float, work: float, ended: float) -> dict[str, float | str]:
    return {"stage": stage, "start_up_seconds": start_up, "work_seconds": work, "ended": ended}


NOTES = [
    note("prepare", 2, 10, 1012),
    note("train@baseline", 8, 100, 1130),
    note("../dvc.yaml:train@b", 8, 80, 1120),
    note("compare", 3, 5, 1150),
]


def test_times_by_hand():
    spent = summary.time_spent(NOTES, since=1000, jobs=2)
    assert (spent.start_up, spent.training, spent.wall, spent.rest) == (13, 90, 150, 47)


def test_times_without_since_are_the_stages_own():
    spent = summary.time_spent(NOTES, since=None, jobs=1)
    assert (spent.start_up, spent.training, spent.rest) == (21, 180, 15)


def test_one_training_is_not_divided():
    assert summary.time_spent(NOTES[:2], since=1000, jobs=2).training == 100


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAWPRINT_RUNS", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    paths.COMPARISON.parent.mkdir(parents=True)
    paths.COMPARISON.write_text(json.dumps(as_json(rows())))
    paths.SYMPTOMS.write_text(json.dumps({"baseline": [], "batch_64": []}))
    return tmp_path


def test_summary_prints_table_times_and_charts(study: Path, capsys: pytest.CaptureFixture[str]):
    paths.timings().parent.mkdir()
    paths.timings().write_text("".join(json.dumps(line) + "\n" for line in NOTES))
    summary.main(["--since", "1000", "--jobs", "2"])
    out = capsys.readouterr().out
    times = ("training               1.5 min", "in all                 2.5 min", "1/2")
    for part in ("batch_64_adam_full_rule", *times, "plots/compare/*.png", "dvc plots show"):
        assert part in out


def test_runs_with_alarms_are_named_in_one_line(study: Path, capsys: pytest.CaptureFixture[str]):
    summary.main([])
    assert "symptoms" not in capsys.readouterr().out
    ill, healthy = Symptom("rate_too_large", 0.9, "it leaps", {}), Symptom("converged", 0.9, "it is flat", {})
    found = {"baseline": [healthy], "batch_64": [ill, healthy]}
    paths.SYMPTOMS.write_text(json.dumps({name: list(map(symptom_as_json, one)) for name, one in found.items()}))
    summary.main([])
    line = "symptoms: batch_64 (learning rate too large); `pawprint diagnose VARIANT` says on what evidence"
    assert line in capsys.readouterr().out


@pytest.mark.parametrize("since", [[], ["--since", "9999"]])
def test_nothing_had_to_run(study: Path, capsys: pytest.CaptureFixture[str], since: list[str]):
    if since:
        paths.timings().parent.mkdir()
        paths.timings().write_text(json.dumps(NOTES[0]) + "\n")
    summary.main(since)
    assert "nothing had to run" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{", '{"a": {"a": {"other": 1}}}', "{}", "[1]", '{"a": 1}', "\0"])
def test_unusable_table_names_file_and_command(study: Path, content: str | None):
    paths.COMPARISON.unlink()
    if content is not None:
        paths.COMPARISON.write_text(content)
    with pytest.raises(DataError, match=r"metrics/compare/table.json.*dvc repro"):
        summary.main([])


def test_a_table_with_numbers_of_another_kind_is_refused(study: Path):
    text = paths.COMPARISON.read_text()
    paths.COMPARISON.write_text(text.replace('"n_seeds": ', '"n_seeds": "many", "was": ', 1))
    with pytest.raises(DataError, match=r"metrics/compare/table.json.*dvc repro"):
        summary.main([])


def test_a_note_of_times_that_was_cut_is_passed_over(study: Path, capsys: pytest.CaptureFixture[str]):
    """A stage that is killed leaves one."""
    whole = json.dumps(NOTES[0])
    paths.timings().parent.mkdir(exist_ok=True)
    paths.timings().write_text("\n".join([whole[:30], "null", '{"stage": 1}', "\0", whole]) + "\n")
    summary.main(["--since", "0"])
    assert "1 process" in capsys.readouterr().out


def test_jobs_below_one_is_refused(study: Path):
    with pytest.raises(SystemExit) as refusal:
        summary.main(["--jobs", "0"])
    assert refusal.value.code == 2
