"""Audits of healthy works and of works with a planted fault, each a file as a person would hand it over."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pawprint.audit.audit import audit
from tests.faults.planted import Fault

HEALTHY = Path(__file__).with_name("healthy.py")
MODELS = ("cnn", "resnet", "mlp")
SEEDS = range(5)


@dataclass(frozen=True)
class Outcome:
    """What the tests said."""

    failed: set[str]
    stopped: set[str]  # could not run
    readings: dict[str, str]


class Works:
    """Writes works below a folder and audits them; each network is trained once for a seed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def audit_healthy(self, model: str = "cnn", seed: int = 0, only: Sequence[str] = ()) -> Outcome:
        return _outcome(self._trained(model, seed), only)

    def audit_with(self, fault: Fault, only: Sequence[str] = ()) -> Outcome:
        """The healthy work with this fault, in a folder of its own beside the healthy one's weights."""
        sound = self._trained(fault.model, 0)
        folder = self.folder / f"fault_{fault.name.replace(' ', '_').replace(',', '')}"
        shutil.copytree(sound.parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        work = folder / "work.py"
        work.write_text(sound.read_text(encoding="utf-8") + fault.source, encoding="utf-8")
        return _outcome(work, only)

    def _trained(self, model: str, seed: int) -> Path:
        work = self.folder / f"{model}_{seed}" / "work.py"
        if not work.exists():
            source = HEALTHY.read_text(encoding="utf-8")
            work.parent.mkdir(parents=True)
            work.write_text(source.replace('MODEL = "cnn"', f'MODEL = "{model}"').replace("SEED = 0", f"SEED = {seed}"))
            subprocess.run([sys.executable, str(work)], check=True, env=_environment())
        return work


def _environment() -> dict[str, str]:
    source = str(Path(__file__).parents[2] / "src")
    return {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}


def _outcome(work: Path, only: Sequence[str]) -> Outcome:
    tests = audit(work, only).tests
    return Outcome(
        failed={test.name for test in tests if test.verdict == "failed"},
        stopped={test.name for test in tests if test.verdict == "could not run"},
        readings={test.name: test.finding.reading for test in tests},
    )
