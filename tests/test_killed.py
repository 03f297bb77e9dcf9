"""Killed, interrupted, doubled, out of disk: a training ends in the bytes of one that was never stopped."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.guarantees.kills import killed_trainings, prepared, results, states
from tests.guarantees.kills_of_dvc import killed_repros
from tests.guarantees.row import Row
from tests.guarantees.saves import damaged_states, killed_saves
from tests.in_process import pawprint

ROOT = Path(__file__).parents[1]


def all_held(rows: list[Row], n: int) -> bool:
    assert sum(row.tried for row in rows) >= n
    return [row for row in rows if row.held < row.tried] == []


@pytest.mark.parametrize("n", [10, pytest.param(150, marks=pytest.mark.long)])
def test_killed_anywhere_and_gone_on_with_ends_in_the_same_bytes(tmp_path: Path, n: int) -> None:
    assert all_held(killed_trainings(tmp_path, n, seed=n), n)


@pytest.mark.parametrize("n", [2, pytest.param(50, marks=pytest.mark.long)])
def test_dvc_killed_leaves_no_orphan_and_goes_on_to_the_same_lock(tmp_path: Path, n: int) -> None:
    assert all_held(killed_repros(tmp_path, n, seed=n), n)


@pytest.mark.parametrize("n", [20, pytest.param(300, marks=pytest.mark.long)])
def test_no_torn_state_is_taken_for_a_good_one(runs_folder: Path, n: int) -> None:
    assert all_held([killed_saves(runs_folder, n, seed=n), damaged_states(runs_folder, n, seed=n)], 2 * n)


# ---- one process, looked at closely ----

TRAIN = (sys.executable, "-m", "pawprint.stages.train", "baseline")
N_STEPS = 204  # of each of the two seeds


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose training was not stopped."""
    folder = prepared(tmp_path_factory.mktemp("study") / "whole")
    shutil.copytree(folder, folder.with_name("begun"))
    code, _ = finish(start(folder, *TRAIN))
    assert code == 0
    return folder


@pytest.fixture
def begun(whole: Path, tmp_path: Path) -> Path:
    """The same study before its training."""
    return Path(shutil.copytree(whole.with_name("begun"), tmp_path / "study"))


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PAWPRINT_RUNS": str(folder / "runs")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr


def under_way(folder: Path) -> subprocess.Popen[str]:
    """A training that has saved a state, and is stopped (not ended) there until it gets SIGCONT."""
    process, deadline = start(folder, *TRAIN), time.monotonic() + 60
    while not list(folder.glob("runs/state/*.safetensors")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)
    return process


def learn_at(folder: Path, rate: float) -> None:
    with (folder / "params.yaml").open("a") as file:
        file.write(f"lr: {rate}\n")
    assert pawprint(folder, module="pawprint.stages.resolve").returncode == 0


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_saves_says_how_to_go_on_and_goes(
    whole: Path, begun: Path, by: signal.Signals, code: int
) -> None:
    process = under_way(begun)
    process.send_signal(by)
    process.send_signal(signal.SIGCONT)
    ended, said = finish(process)
    assert ended == code
    stopped = re.search(
        rf"stopped by {by.name} at step (\d+) of {N_STEPS}; saved in .*: the same command goes on", said
    )
    assert stopped, said
    assert "Traceback" not in said
    ended, said = finish(start(begun, *TRAIN))
    assert ended == 0
    assert f"goes on at step {stopped[1]} of {N_STEPS}" in said
    assert results(begun) == results(whole)


def test_of_two_trainings_of_one_key_the_second_waits_and_takes_the_result(whole: Path, begun: Path) -> None:
    first = under_way(begun)
    second = start(begun, *TRAIN)
    assert second.stderr is not None
    assert f"process {first.pid} trains the same: waits for its end" in second.stderr.readline()
    first.send_signal(signal.SIGCONT)
    assert finish(first)[0] == 0
    ended, said = finish(second)
    assert ended == 0
    assert said.count(f"goes on at step {N_STEPS} of {N_STEPS}") == 2  # both seeds: nothing is trained again
    assert results(begun) == results(whole)
    assert states(begun) == []


def test_a_second_writer_to_one_place_is_refused(whole: Path, begun: Path) -> None:
    first = under_way(begun)
    learn_at(begun, 0.1)
    ended, said = finish(start(begun, *TRAIN))
    assert ended == 1
    assert f"models/train/baseline: process {first.pid} is writing there, a training of other settings" in said
    first.send_signal(signal.SIGCONT)
    assert finish(first)[0] == 0
    assert results(begun) == results(whole)


def test_a_state_of_other_settings_is_named_and_left_alone(whole: Path, begun: Path) -> None:
    other = Path(shutil.copytree(begun, begun.with_name("other")))
    learn_at(other, 0.1)
    process = under_way(other)
    process.kill()
    finish(process)
    shutil.copytree(other / "runs", begun / "runs", dirs_exist_ok=True)
    left = states(begun)
    ended, said = finish(start(begun, *TRAIN))
    assert ended == 0
    assert "a state of other settings; left alone" in said
    assert "goes on" not in said
    assert set(left) <= set(states(begun))
    assert results(begun) == results(whole)


def mounted(folder: Path, mount: str) -> subprocess.Popen[str]:
    """A training in a mount namespace of its own, in which `mount` was done first."""
    return start(folder, "unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c",
                 f"{mount} && exec {' '.join(TRAIN)}")  # fmt: skip


@pytest.mark.parametrize(("mount", "reason"), [
    ("mount -t tmpfs -o size=100k tmpfs runs", "No space left on device"),
    ("mount --bind runs runs && mount -o remount,bind,ro runs", "Read-only file system"),
])  # fmt: skip
def test_without_room_for_a_state_the_training_says_so_and_goes_on(
    whole: Path, begun: Path, mount: str, reason: str
) -> None:
    (begun / "runs").mkdir(exist_ok=True)
    ended, said = finish(mounted(begun, mount))
    assert ended == 0, said
    assert said.count(f"its state cannot be saved in {begun}/runs/state ({reason}); the training goes on") == 2
    assert results(begun) == results(whole)


def test_without_room_for_results_it_says_so_and_nothing_is_lost(whole: Path, begun: Path) -> None:
    (begun / "models/train").mkdir(parents=True)
    ended, said = finish(mounted(begun, "mount -t tmpfs -o size=8k tmpfs models/train"))
    assert ended == 1
    assert "No space left on device" in said
    assert "make room" in said
    assert "Traceback" not in said
    ended, said = finish(start(begun, *TRAIN))
    assert ended == 0
    assert f"goes on at step {N_STEPS} of {N_STEPS}" in said
    assert results(begun) == results(whole)
