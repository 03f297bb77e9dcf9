"""W&B's service in bad states, and a sound one, beside what tells it of a training."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pawprint import paths
from pawprint.errors import PawprintError
from pawprint.tracking import Trackers
from pawprint.tracking.rows import Head, merged
from pawprint.tracking.spool import Spooled, read_spool, settle
from pawprint.types import RunSpec
from tests.guarantees import trackers as harness
from tests.tracking.service import FAULTS, Service, serve

SOURCE = str(Path(__file__).parents[2] / "src")
HEAD = Head("an_id", "a name", "a study", {"lr": 0.1})
TELL = """
import sys, time
from pawprint.tracking.rows import Head
from pawprint.tracking.spool import Spooled
spooled = Spooled(Head("an_id", "a name", "a study", {"lr": 0.1}))
for step in range(1, 41):
    spooled.log_step({"step": step, "training_loss": 1 / step}, step)
time.sleep(600)
"""


@pytest.fixture
def service_with(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Service]]:
    """A service with a fault, to which this test's couriers speak."""
    services = []

    def start(fault: str) -> Service:
        services.append(serve(fault))
        service = services[-1].__enter__()
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PAWPRINT_WANDB_WAIT_SECONDS", "30")
        monkeypatch.setenv("WANDB__FILE_STREAM_TRANSMIT_INTERVAL", "1")
        return service

    yield start
    settle()
    for one in services:
        one.__exit__(None, None, None)


def within(seconds: float, done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    return done()


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def tell(spooled: Spooled, n_steps: int) -> None:
    for step in range(1, n_steps + 1):
        spooled.log_step({"step": step, "training_loss": 1 / step}, step)


def test_whatever_the_service_does_a_training_ends_in_the_same_bytes_and_nothing_is_lost(tmp_path: Path) -> None:
    rows = harness.trackers(tmp_path, 2, seed=31, alone=False)  # unreachable, refuses the rows
    assert [(row.tried, row.held) for row in rows] == [(2, 2), (4, 4)], rows


@pytest.mark.long
def test_all_services_and_kills(tmp_path: Path) -> None:
    rows = harness.trackers(tmp_path, len(FAULTS), seed=0)
    assert len(rows) == 4
    assert [row for row in rows if row.tried != row.held] == []


def test_of_a_killed_training_no_process_stays_and_resumed_its_rows_arrive_once(
    service_with: Callable[[str], Service],
) -> None:
    service = service_with("")
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    training = subprocess.Popen([sys.executable, "-c", TELL], env=environment)
    assert within(60, lambda: len(service.history.get(HEAD.run_id, ())) == 38), "two may get more values"
    started = psutil.Process(training.pid).children(recursive=True)
    assert len(started) >= 2, "the courier, and W&B's own"
    training.kill()
    training.wait()
    assert within(5, lambda: not any(map(alive, started)))

    spooled = Spooled(HEAD)
    tell(spooled, 60)
    spooled.log_epoch({"epoch": 1, "step": 60, "val_loss": 0.5, "training_loss": 9.0}, 60)
    spooled.finish({"test_loss": 0.25}, 59)  # as after a loss that was not finite
    settle()
    rows = service.history[HEAD.run_id]
    assert [row["_step"] for row in rows] == list(range(1, 61))
    assert [row["training_loss"] for row in rows] == [1 / step for step in range(1, 61)]
    assert (rows[-1]["val_loss"], rows[-1]["test_loss"]) == (0.5, 0.25)
    assert service.opened[HEAD.run_id]["displayName"] == "a name"
    assert service.opened[HEAD.run_id]["groupName"] == "a study"
    assert service.config[HEAD.run_id]["lr"] == {"value": 0.1}
    assert service.unknown == []
    assert not list(spooled.file.parent.iterdir()), "delivered, and done with"


def test_ctrl_c_is_the_trainings_to_answer(service_with: Callable[[str], Service]) -> None:
    service_with("black hole")
    spooled = Spooled(HEAD)
    courier = psutil.Process(spooled.courier.pid)
    assert within(30, lambda: bool(courier.children())), "W&B's own process"
    courier.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert alive(courier)
    started = time.monotonic()
    settle()
    assert time.monotonic() - started < 5, "a training that did not finish is not waited for"
    assert not alive(courier)


@pytest.mark.parametrize(
    ("fault", "reason"), [("refuses the key", "returned error 401"), ("refuses the rows", "has 0 of 3 rows")]
)
def test_what_is_refused_is_said_once_and_kept(
    fault: str, reason: str, service_with: Callable[[str], Service], capsys: pytest.CaptureFixture[str]
) -> None:
    service_with(fault)
    spooled = Spooled(HEAD)
    if fault == "refuses the key":
        assert within(60, lambda: spooled.courier.poll() is not None), "while the training goes on"
    tell(spooled, 3)
    for epoch in (1, 2):
        spooled.log_epoch({"epoch": epoch, "val_loss": 0.5}, 3)
    spooled.finish({"test_loss": 0.25}, 3)
    settle()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert reason in said
    assert "unsent/an_id.jsonl` sends it" in said
    head, rows = read_spool(spooled.file)
    assert head == HEAD
    last = {"training_loss": 1 / 3, "epoch": 2, "val_loss": 0.5, "test_loss": 0.25}
    assert list(merged(rows)) == [(1, {"training_loss": 1.0}), (2, {"training_loss": 0.5}), (3, last)]


def test_rows_that_a_kill_cut_end_before_it_and_other_files_are_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"run_id": "i", "name": "n", "group": "g", "config": {}}\n[1, {"a": 0.5}]\n[2, {"a": 0.2')
    head, rows = read_spool(file)
    assert (head.run_id, list(rows)) == ("i", [(1, {"a": 0.5})])
    for other in ("", "step,loss\n1,2\n", '{"study": "x"}\n'):
        file.write_text(other)
        with pytest.raises(PawprintError, match=r"rows\.jsonl: expected rows that wait for W&B"):
            read_spool(file)


@pytest.mark.parametrize("found", ["soon", "-1", "nan"])
def test_a_wait_that_is_no_number_is_said_at_the_start(
    found: str, spec: RunSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("PAWPRINT_WANDB_WAIT_SECONDS", found)
    assert Trackers(("wandb",), spec, "an_id", {}).trackers == {}
    assert f"PAWPRINT_WANDB_WAIT_SECONDS: expected seconds, found '{found}'" in capsys.readouterr().err
    assert not paths.unsent("an_id").exists()
