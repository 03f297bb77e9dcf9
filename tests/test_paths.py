from pathlib import Path

import pytest

from pawprint import paths


def test_runs_of_a_temporary_copy_stay_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dvc exp run --temp` works below .dvc/tmp/exps, and deletes that afterwards."""
    monkeypatch.delenv("PAWPRINT_RUNS")
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmpabc"
    (copy / ".dvc").mkdir(parents=True)
    (copy / "studies/digits").mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert paths.runs() == tmp_path / "runs"
    monkeypatch.chdir(copy / "studies/digits")
    assert paths.runs() == tmp_path / "studies/digits/runs"
    monkeypatch.chdir(tmp_path)
    assert paths.runs() == tmp_path / "runs"
