"""What starting costs: the command, and the stages' imports, against Python's and torch's own start.

Every stage is a process, so the graph pays this for each of them. New processes from start to end, the files in the
system's cache after the first round.
"""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.ratio import Comparison, Work, in_turn, timed

REPEATS = 5
ROOT = Path(__file__).parents[1]
PYTHON = "python"
TORCH = "import torch"
# Ours → what it is compared with.
PAIRS = {
    "pawprint --help": PYTHON,
    "import pawprint.stages.compare": TORCH,
    "import pawprint.stages.test": TORCH,
    "import pawprint.stages.train": TORCH,
}
TARGETS = {"import pawprint.stages.train": 3.0}  # seconds beside theirs


def run() -> list[Comparison]:
    """A comparison for each of `PAIRS`, all of them in turn."""
    commands = {
        PYTHON: [sys.executable, "-c", ""],
        TORCH: [sys.executable, "-c", TORCH],
        "pawprint --help": [str(Path(sys.executable).with_name("pawprint")), "--help"],
        **{name: [sys.executable, "-c", name] for name in PAIRS if name.startswith("import ")},
    }
    seconds = in_turn({name: _process(command) for name, command in commands.items()}, REPEATS)
    return [
        Comparison(
            f"start-up, {ours.removeprefix('import pawprint.')}",
            theirs,
            seconds[ours],
            seconds[theirs],
            target_seconds=TARGETS.get(ours),
        )
        for ours, theirs in PAIRS.items()
    ]


def _process(command: list[str]) -> Work:
    """The command from start to end, on this checkout's package; what it prints is dropped."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return timed(lambda: subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL))
