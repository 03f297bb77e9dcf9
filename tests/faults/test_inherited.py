"""The work that `make audit` audits: six faults, each named once, and none once they are repaired."""

import subprocess
import sys
from pathlib import Path

import pytest

from pawprint.audit.audit import audit

INHERITED = Path(__file__).parents[2] / "examples/inherited"
PLANTED = {
    "leakage": "30 between train and test",
    "output_shape": "100",
    "parameter_update": "random",
    "learning_rate": "too small",
    "dead_relu": "of 64",
    "normalization": "ImageNet",
}


def test_the_planted_faults_are_named_and_nothing_else() -> None:
    found = audit(INHERITED / "work.py")
    assert {test.name for test in found.tests if test.verdict == "failed"} == set(PLANTED)
    assert not [test.name for test in found.tests if test.verdict in ("could not run", "left out")]
    for test in found.tests:
        assert PLANTED.get(test.name, "") in test.finding.reading
    assert found.exit_code == 1


def test_the_repaired_work_passes() -> None:
    found = audit(INHERITED / "repaired.py")
    assert [test.name for test in found.tests if test.verdict not in ("passed", "measured")] == []
    assert found.exit_code == 0


@pytest.mark.long
def test_its_training_makes_the_committed_weights(tmp_path: Path) -> None:
    """On the processor that they were made on; elsewhere the last digits may differ."""
    import torch

    for file in INHERITED.glob("*.py"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    subprocess.run([sys.executable, "train.py", "repaired"], cwd=tmp_path, check=True)
    made, shipped = (torch.load(folder / "weights_repaired.pt", weights_only=True) for folder in (tmp_path, INHERITED))
    assert made.keys() == shipped.keys()
    for name, tensor in made.items():
        torch.testing.assert_close(tensor, shipped[name], rtol=1e-3, atol=1e-4)
