"""What `make repro` ends with: the table at every width, the times, the ways out of missing files."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from pawprint import paths, summary
from pawprint.comparison import RunComparison, as_json, compare
from pawprint.errors import DataError


def rows(diverged: bool = True) -> list[RunComparison]:
    scores = {"baseline": [0.6, 0.61], "batch_64_lr_sqrt": [0.4, 0.41], "lr_1": [0.03, 0.02]}
    table = pd.DataFrame(
        {
            "variant": variant,
            "run": variant,
            "seed": seed,
            "outcome": "diverged" if diverged and variant == "lr_1" else "finished",
            "val_accuracy": accuracy,
            "val_loss": float("nan") if variant == "lr_1" else 1.25,
            "test_accuracy": accuracy,
            "test_loss": 1.5,
            "n_test": 500,
        }
        for variant, accuracies in scores.items()
        for seed, accuracy in enumerate(accuracies)
    )
    return compare(table, {("lr_1", "lr_1"): ["other"], ("other", "other"): ["lr_1"]})


def printed(width: int, color: bool = False) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=color, color_system="standard" if color else None)
    summary.print_summary(rows(), console)
    return text.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_table_fits_its_width_and_cuts_nothing(width: int):
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for part in ("60.5 ± 0.7", "1.25", "worse", "baseline", "lr_1 †", "diverged with 2 of 2 seeds"):
        assert part in text


def test_table_says_which_runs_coincide():
    assert "lr_1, other coincide" in printed(120)


def test_color_marks_verdicts_and_only_on_a_terminal():
    assert "\x1b[" in printed(80, color=True)
    assert "\x1b[" not in printed(80)


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
    return tmp_path


def test_summary_prints_table_times_and_charts(study: Path, capsys: pytest.CaptureFixture[str]):
    paths.timings().parent.mkdir()
    paths.timings().write_text("".join(json.dumps(line) + "\n" for line in NOTES))
    summary.main(["--since", "1000", "--jobs", "2"])
    out = capsys.readouterr().out
    times = ("training               1.5 min", "in all                 2.5 min", "1/2")
    for part in ("batch_64_lr_sqrt", *times, "plots/compare/*.png", "dvc plots show"):
        assert part in out


@pytest.mark.parametrize("since", [[], ["--since", "9999"]])
def test_nothing_had_to_run(study: Path, capsys: pytest.CaptureFixture[str], since: list[str]):
    if since:
        paths.timings().parent.mkdir()
        paths.timings().write_text(json.dumps(NOTES[0]) + "\n")
    summary.main(since)
    assert "nothing had to run" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{", '{"a": {"a": {"other": 1}}}', "{}"])
def test_unusable_table_names_file_and_command(study: Path, content: str | None):
    paths.COMPARISON.unlink()
    if content is not None:
        paths.COMPARISON.write_text(content)
    with pytest.raises(DataError, match=r"metrics/compare/table.json.*dvc repro"):
        summary.main([])


def test_jobs_below_one_is_refused(study: Path):
    with pytest.raises(SystemExit) as refusal:
        summary.main(["--jobs", "0"])
    assert refusal.value.code == 2
