"""What a person sees: a table, a page, JSON, and an exit code."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from pawprint.audit.command import audit_command
from pawprint.errors import SettingsError
from tests.audit.conftest import DATASET, HEALTHY, Write

QUICK = ("leakage", "brightness")
LEAKING = DATASET.replace('tensors("train")', 'ConcatDataset([tensors("train"), tensors("test")])')


def test_stdout_holds_the_json_and_nothing_else(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    file = write("\nprint('hello')\n", HEALTHY.replace("return Net()", "print('made'); return Net()"))
    assert audit_command(file, "-", None, QUICK) == 0
    captured = capfd.readouterr()
    found = json.loads(captured.out)
    assert found["tests"]["leakage"]["verdict"] == "passed"
    assert found["tests"]["leakage"]["when"] == "before training"
    assert found["exit_code"] == 0
    assert "hello" in captured.err
    assert captured.err.split("\n")[0].startswith("pawprint audit runs the code in")


def test_the_table_says_what_was_found_and_what_to_do(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit_command(write(LEAKING), None, None, QUICK) == 1
    lines = capfd.readouterr().out.split("\n")
    assert max(map(len, lines)) <= Console().width
    text = " ".join(" ".join(lines).split())
    for said in ("Before training", "leakage failed", "After training", "brightness left out"):
        assert said in text
    for said in ("leakage: put all copies", "1 of 2 tests failed: leakage"):
        assert said in text


def test_the_page_and_the_json_are_where_they_are_said_to_be(
    write: Write, runs_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    audit_command(write(LEAKING), str(tmp_path / "found.json"), None, QUICK)
    page = runs_folder / "audit/work-handed_in.html"
    assert f"page: {page}" in capfd.readouterr().err
    assert "<title>Audit of handed_in.py" in page.read_text(encoding="utf-8")
    assert "data:image/png" in page.read_text(encoding="utf-8")  # the copies
    assert json.loads((tmp_path / "found.json").read_text())["exit_code"] == 1
    first = page.read_bytes()
    audit_command(write(LEAKING), None, None, QUICK)
    assert page.read_bytes() == first


def test_nothing_of_a_persons_own_is_overwritten(write: Write, tmp_path: Path) -> None:
    file = write(HEALTHY)
    (tmp_path / "work-handed_in.html").write_text("mine")
    with pytest.raises(SettingsError, match="no page of an audit"):
        audit_command(file, None, tmp_path, QUICK)
    with pytest.raises(SettingsError, match=r"ends in \.json"):
        audit_command(file, str(file), None, QUICK)
    assert (tmp_path / "work-handed_in.html").read_text() == "mine"
