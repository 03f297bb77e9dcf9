"""Faults are told all together: one line a name, counted by kind, and read back as they were written."""

from pathlib import Path

import pytest

from pawprint.data.faults import (
    MAX_FILE_MB,
    Fault,
    by_name,
    counted,
    how_to_go_on,
    name_fault,
    read_faults,
    readable,
    report,
    size_fault,
    write_faults,
)

FAULTS = [Fault("b.jpg", "empty file"), Fault("a, ü.jpg", "too small: 1 x 9"), Fault("b.jpg", "no label")]


def test_reasons_for_a_name_are_joined_and_sorted() -> None:
    assert by_name([*FAULTS, FAULTS[0]]) == [("a, ü.jpg", "too small: 1 x 9"), ("b.jpg", "empty file; no label")]


def test_kinds_are_counted_and_the_rare_ones_together() -> None:
    faults = [Fault(str(n), f"too small: {n} x 9") for n in range(3)] + [Fault("x", f"kind {n}") for n in range(3)]
    assert counted(faults) == "3 too small, 1 kind 0, 1 kind 1, 1 kind 2"
    assert counted(faults, shown=2) == "3 too small, 1 kind 0, 2 of other kinds"


def test_report_counts_lists_and_says_what_to_do() -> None:
    lines = report(by_name(FAULTS), how_to_go_on("`dvc repro`", "data.on_bad")).splitlines()
    assert lines[0] == "2 faults in the data: 1 empty file, 1 too small"
    assert lines[1:3] == ["  a, ü.jpg: too small: 1 x 9", "  b.jpg: empty file; no label"]
    assert "then `dvc repro`; or" in lines[3]
    assert "-S data.on_bad=drop" in lines[3]


def test_faults_are_read_back(tmp_path: Path) -> None:
    assert read_faults(tmp_path / "faults.csv") == []
    write_faults(FAULTS, tmp_path / "faults.csv")
    assert read_faults(tmp_path / "faults.csv") == FAULTS
    assert (tmp_path / "faults.csv").read_bytes().startswith(b'image_name,reason\nb.jpg,empty file\n"a, ')


@pytest.mark.parametrize(
    "name", ["a.jpg", "cat/a.JPG", "..a.jpg", "a..jpg", "c: d.jpg", "Ünïcode/猫 😀\u00a0.png", "a,b;c.jpg"]
)
def test_sound_name(name: str) -> None:
    assert name_fault(name) is None
    assert readable(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a.jpg", "leads out"), ("cat/../../a.jpg", "leads out"), ("/etc/a.jpg", "leads out"),
        ("..\\a.jpg", "leads out"), ("C:/a.jpg", "leads out"), ("C:\\a.jpg", "leads out"),
        ("a\0.jpg", "control characters"), ("a\n.jpg", "control characters"), ("a\udcff.jpg", "no Unicode text"),
    ],
)  # fmt: skip
def test_name_that_leads_out_or_cannot_be_written(name: str, reason: str) -> None:
    assert reason in str(name_fault(name))
    readable(name).encode()


def test_size_of_a_file() -> None:
    assert size_fault(1) is size_fault(int(MAX_FILE_MB * 1e6)) is None
    assert size_fault(0) == "empty file"
    assert "101 MB; expected at most 100 MB" in str(size_fault(101_000_000))
