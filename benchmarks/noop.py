"""What a graph with nothing to do costs: `dvc repro` of the root, against DVC itself on as many trivial stages.

Theirs has as many stages, each with one small dependency and one small output, and a `dvc.lock` that fits. Ours is the
checkout this runs in, which has to be up to date: what DVC adds for our hundreds of dependencies is the difference.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.ratio import Comparison, Work, in_turn, timed

REPEATS = 3
ROOT = Path(__file__).parents[1]
DVC = str(Path(sys.executable).with_name("dvc"))


def run() -> list[Comparison]:
    """One comparison; RuntimeError where ours has something to do."""
    if "Running stage" in _said("repro", "--dry", folder=ROOT):
        raise RuntimeError(f"{ROOT}: expected a graph with nothing to do; run: make repro")
    n_stages = len(_said("stage", "list", "--name-only", folder=ROOT).splitlines())
    with tempfile.TemporaryDirectory() as name:
        trivial = Path(name)
        _trivial_graph(trivial, n_stages)
        seconds = in_turn({"ours": _nothing(ROOT), "theirs": _nothing(trivial)}, REPEATS)
    return [
        Comparison(f"noop, {n_stages} stages", "dvc repro of as many trivial ones", seconds["ours"], seconds["theirs"])
    ]


def _trivial_graph(folder: Path, n_stages: int) -> None:
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    _said("init", "-q", folder=folder)
    (folder / "in").write_text("in\n")
    lines = ["stages:"]
    for number in range(n_stages):
        lines += [
            f"  s{number}:",
            f"    cmd: echo {number} > out{number}",
            "    deps: [in]",
            f"    outs: [out{number}]",
        ]
    (folder / "dvc.yaml").write_text("\n".join([*lines, ""]))
    _said("repro", "-q", folder=folder)


def _nothing(folder: Path) -> Work:
    return timed(lambda: _said("repro", folder=folder))


def _said(*arguments: str, folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run([DVC, *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout
