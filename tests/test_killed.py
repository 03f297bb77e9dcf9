"""A training killed at random moments ends in the bytes of one that was never stopped."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.in_process import pawprint

ROOT = Path(__file__).parents[1]
PARAMS = """
study: killed
data: {source: digits, image_size: 8}
model: mlp
mlp_widths: [32]
scheduler: onecycle
epochs: 6
seeds: [0, 1]
variants:
  baseline: {}
checks: {output_shape: {}}
save_every_seconds: 0
"""
LONGEST_SECONDS = 120
N_SAVES = 400  # of a training of PARAMS that is not stopped: one a step, 6 epochs of 34 steps, two seeds


def start(folder: Path, stage: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PAWPRINT_RUNS": str(folder / "runs")}
    command = [sys.executable, "-m", f"pawprint.stages.{stage}", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def prepared(folder: Path) -> Path:
    folder.mkdir()
    (folder / "params.yaml").write_text(PARAMS)
    for stage in ("fetch", "prepare", "resolve", "pretrain", "start", "check"):
        assert pawprint(folder, module=f"pawprint.stages.{stage}").returncode == 0
    return folder


def results(folder: Path) -> dict[str, bytes]:
    """All that `train` writes, by name."""
    places = [folder / name for name in ("models/train", "plots/train", "metrics/train")]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def kill_after_saves(folder: Path, process: subprocess.Popen[bytes], n_saves: int) -> bool:
    """SIGKILL once the resumable state was replaced `n_saves` times; False if the training ended before."""
    seen, last = 0, None
    deadline = time.monotonic() + LONGEST_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        states = {(s.name, s.stat().st_mtime_ns) for s in (folder / "runs/state").glob("*.safetensors") if s.exists()}
        if states and states != last:
            seen, last = seen + 1, states
        if seen > n_saves:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.0005)
    return False


@pytest.mark.parametrize("n_kills", [3, pytest.param(30, marks=pytest.mark.long)])
def test_killed_and_resumed_ends_in_the_same_bytes(tmp_path: Path, n_kills: int) -> None:
    whole, killed = prepared(tmp_path / "whole"), prepared(tmp_path / "killed")
    assert start(whole, "train", "baseline").wait() == 0
    draws, most_saves = random.Random(0), min(60, N_SAVES // (2 * n_kills) + 1)  # so that it does not end before
    n_killed = sum(
        kill_after_saves(killed, start(killed, "train", "baseline"), draws.randint(0, most_saves))
        for _ in range(n_kills)
    )
    assert n_killed == n_kills
    assert not results(killed).keys() >= results(whole).keys(), "it was killed before its end"
    assert start(killed, "train", "baseline").wait() == 0
    assert len(results(whole)) == 9  # two seeds' weights, records and curves, one metrics file
    assert results(killed) == results(whole)
    for folder in (whole, killed):
        assert not list((folder / "runs/state").iterdir()), "removed when done, with what a cut save left"
