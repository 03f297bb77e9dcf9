"""docs/serving.md says what the command does."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks import serve
from benchmarks.clients import Load
from pawprint.serve.limits import Limits
from pawprint.serve.refusals import STATUS

TEXT = (Path(__file__).parents[2] / "docs/serving.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("limit", [field.name for field in fields(Limits)])
def test_each_limit_stands_in_the_table_with_its_default(limit: str) -> None:
    option = f"--{limit.replace('_', '-')}"
    assert f"| `{option}` | {getattr(Limits(), limit)} |" in TEXT


def test_each_code_that_is_named_has_its_status() -> None:
    named = re.findall(r"(\d{3}) `(\w+)`", TEXT)
    assert len(set(named)) >= 7
    assert all(str(STATUS[code]) == status for status, code in named)


def test_the_tables_have_a_row_for_each_load() -> None:
    load = Load(2.0, answered=[0.01] * 99 + [0.5], refused=[0.002] * 10, failed=1)
    closed = {(serve.OURS, 32): [load] * 3, (serve.THEIRS, 32): [load], (serve.OURS, 8): [load]}
    rows = serve.tables(serve.Figures(closed, {"twice": load, "half again": Load(2.0, answered=[0.01])})).splitlines()
    assert f"| 32 | {serve.OURS} | 50 | 10 | 15 | 30 | 3 |" in rows
    assert "| twice | 56 | 50 | 10 | 15 | 5 | 2 | 1 |" in rows
    assert "| half again | 0 | 0 | 10 | 10 | 0 | – | 0 |" in rows
    assert rows.index(f"| 8 | {serve.OURS} | 50 | 10 | 15 | 10 | 1 |") < rows.index(
        f"| 32 | {serve.THEIRS} | 50 | 10 | 15 | 10 | 1 |"
    )


def seen(per_second: float, seconds_each: float, refused: float | None = None, last_refused: float = 0.0) -> Load:
    answered, refusals = [seconds_each] * int(2 * per_second), [] if refused is None else [refused]
    return Load(2.0, answered, refusals, last_refused=last_refused)


HEALTHY = {
    "ours": seen(500, 0.06), "theirs": seen(100, 0.4), "twice": seen(400, 0.06, refused=0.02),
    "half again": seen(250, 0.02, refused=0.01, last_refused=0.5),
}  # fmt: skip


@pytest.mark.parametrize(
    ("load", "seen_instead", "missed"),
    [
        (None, None, None),
        ("ours", seen(490, 0.06), 0),
        ("theirs", seen(100, 0.05), 1),
        ("twice", seen(400, 0.07, refused=0.02), 2),
        ("twice", seen(400, 0.06, refused=0.2), 3),
        ("half again", seen(250, 0.02, refused=0.01, last_refused=6.0), 4),
    ],
)
def test_each_target_is_missed_by_what_falls_short_of_it(
    load: str | None, seen_instead: Load | None, missed: int | None
) -> None:
    loads = HEALTHY | ({load: seen_instead} if load and seen_instead else {})
    closed = {(serve.OURS, 32): [loads["ours"]], (serve.THEIRS, 32): [loads["theirs"]]}
    found = serve.targets(serve.Figures(closed, {name: loads[name] for name in ("twice", "half again")}))
    assert [number for number, target in enumerate(found) if not target.met] == ([] if missed is None else [missed])
    rows = serve.verdicts(found).splitlines()[2:]
    assert ["**no**" in row for row in rows] == [number == missed for number in range(len(found))]


def test_both_servers_are_measured(tmp_path: Path) -> None:
    """For moments, on a machine that may be busy: that they answer, not how fast."""
    figures = serve.measure(seconds=1.0, overload_seconds=1.0, rounds=1, clients=(1, 2))
    assert {server for server, _ in figures.closed} == {serve.OURS, serve.THEIRS}
    assert all(load.answered and not load.failed for loads in figures.closed.values() for load in loads)
    assert list(figures.opened) == ["half", serve.FIRST, "twice", "half again"]
    assert all(load.answered and not load.failed for load in figures.opened.values())
