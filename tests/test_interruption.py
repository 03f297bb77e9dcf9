"""Signals: answered at once, or at the end of what must not be cut; and a stage that outlives its dvc."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pawprint.interruption import GRACE_SECONDS, Interrupted, stoppable, uninterrupted

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_raised_where_it_finds_the_work(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"stopped by {number.name}") as raised, stoppable():
        os.kill(os.getpid(), number)
    assert raised.value.exit_code == code
    assert signal.getsignal(number) == before


def test_inside_uninterrupted_it_waits_for_the_outermost_end() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            with uninterrupted():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("inner")
            done.append("outer")
        done.append("never")

    with pytest.raises(Interrupted), stoppable():
        work()
    assert done == ["inner", "outer"]


def test_a_second_signal_does_not_cut_the_answer_to_the_first() -> None:
    saved = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            saved.append(True)
            raise

    with pytest.raises(Interrupted, match="SIGTERM"), stoppable():
        work()
    assert saved


STAGE = """
import sys, time
import pawprint.stages
print("started", flush=True)
time.sleep(60)
"""
DVC = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
time.sleep(60)
"""


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_stage_ends_with_its_dvc_also_while_it_starts(tmp_path: Path, by: signal.Signals) -> None:
    (tmp_path / "dvc").write_text(DVC)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "DVC_STAGE": "train@baseline"}
    command = [sys.executable, str(tmp_path / "dvc"), STAGE]
    dvc = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert dvc.stdout is not None
    assert dvc.stdout.readline() == "started\n"
    stage = psutil.Process(dvc.pid).children()
    dvc.send_signal(by)
    dvc.wait()
    _, alive = psutil.wait_procs(stage, timeout=GRACE_SECONDS + 1)
    assert alive == []


SWALLOWS = """
import time
import pawprint.stages
try:
    print("started", flush=True)
    time.sleep(60)
except BaseException:
    print("went on", flush=True)
"""


def test_a_ctrl_c_amid_the_imports_ends_the_stage_though_a_library_catches_all() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "DVC_STAGE": "train@baseline"}
    command = [sys.executable, "-c", SWALLOWS]
    stage = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert stage.stdout is not None
    assert stage.stdout.readline() == "started\n"
    stage.send_signal(signal.SIGINT)
    said, error = stage.communicate(timeout=30)
    assert (said, stage.returncode) == ("", 130)
    assert error == "train@baseline: interrupted while no work was under way\n"


def test_a_stage_without_a_dvc_above_it_is_left_alone() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "DVC_STAGE": "train@baseline"}
    command = [sys.executable, "-c", "import pawprint.stages, threading; print(threading.active_count())"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "1\n"
