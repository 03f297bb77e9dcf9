"""An answer in sentences says what the verdicts say, and no more."""

from dataclasses import replace

from pawprint.comparison import RunComparison
from pawprint.report.readings.verdicts import answer
from tests.test_summary import rows


def named(*names: str) -> list[RunComparison]:
    return [row for row in rows() if row.variant in names]


def test_runs_are_sorted_by_their_verdict_the_largest_change_first() -> None:
    (line,) = [line for line in answer(rows()) if line.startswith("Against baseline")]
    better, worse = line.removeprefix("Against baseline: ").removesuffix(".").split("; ")
    assert better.startswith("better: pretrained (drawn_animals) (+30.")
    assert worse.startswith("worse: lr_1 (-50.")
    assert worse.index("lr_1 ") < worse.index("sgd ")


def test_each_reference_has_a_sentence() -> None:
    lines = answer(named("baseline", "sgd", "sgd_batch_64_lr_linear"))
    assert [line.split(":")[0] for line in lines] == ["Against baseline", "Against sgd"]
    assert lines[1] == "Against sgd: no different above the noise: sgd_batch_64_lr_linear."


def test_what_went_wrong_is_told() -> None:
    lines = answer(named("baseline", "lr_1"))
    assert "lr_1 diverged with 2 of 2 seeds." in lines
    assert "lr_1 did not learn with 2 of 2 seeds (a guess is right 10.0 %)." in lines


def test_equal_settings_and_what_cannot_be_told() -> None:
    (row,) = named("lr_1e-3")
    equal = replace(row, verdict="same settings", noise=None)
    unknown = replace(row, verdict="cannot tell", noise=None)
    assert answer([equal]) == ["lr_1e-3 has the settings of baseline: nothing to tell."]
    assert answer([unknown]) == ["lr_1e-3: cannot be told."]
