"""W&B's service neither stops, slows nor changes a training, and nothing that was logged is lost."""

import contextlib
import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from pawprint.tracking.rows import Head
from pawprint.tracking.spool import Spooled, settle
from tests.guarantees.row import Row
from tests.in_process import pawprint
from tests.tracking.offline import OWN, history, offline_records
from tests.tracking.service import FAULTS, Service, serve

ROOT = Path(__file__).parents[2]
PARAMS = """
study: trackers
data: {{source: digits, image_size: 8}}
model: mlp
mlp_widths: {widths}
epochs: {epochs}
seeds: [0]
trackers: [wandb]
variants:
  baseline: {{}}
checks: {{output_shape: {{}}}}
save_every_seconds: {save_every_seconds}
"""
WAIT_SECONDS = 2.0  # what is documented is more; this is quicker
GONE_SECONDS = 5.0
SLACK_SECONDS = 20.0  # of a loaded machine
TRAINING = "PAWPRINT_TEST_TRAINING"
RESULTS = ("models/train", "plots/train", "metrics/train")


def trackers(scratch: Path, n: int, seed: int, alone: bool = True) -> list[Row]:
    """`n` trainings beside a faulty service each and, where they have processes of their own (`alone`), `n` kills."""
    study = _study(scratch / "study", [16], epochs=16) if alone else _study(scratch / "study", [16], 2, 1e9)
    draws = random.Random(seed)
    faults = [fault for _ in range(-(-n // len(FAULTS))) for fault in draws.sample(FAULTS, len(FAULTS))][:n]
    rows = _beside_faulty_services(study, faults, alone)
    if alone:
        rows.append(_killed_beside_faulty_services(study, faults, draws))
        # Steps that take longer, as the process that delivers needs two seconds to begin.
        rows.append(_killed_and_resumed(_study(scratch / "slow", [512, 512], epochs=8 * n + 8), n, draws))
    return rows


def _study(folder: Path, widths: list[int], epochs: int, save_every_seconds: float = 0) -> Path:
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(
        PARAMS.format(widths=widths, epochs=epochs, save_every_seconds=save_every_seconds)
    )
    for stage in ("fetch", "prepare", "resolve", "pretrain", "start", "check"):
        done = pawprint(folder, module=f"pawprint.stages.{stage}")
        assert done.returncode == 0, done.stderr
    return folder


def _environment(study: Path, **more: str) -> dict[str, str]:
    """Of a process; `TRAINING` is another each time, and inherited: it tells whose a process is."""
    return {
        **os.environ, "PYTHONPATH": str(ROOT / "src"), "PAWPRINT_RUNS": str(study / "runs"), TRAINING: uuid.uuid4().hex,
        "PAWPRINT_WANDB_WAIT_SECONDS": str(WAIT_SECONDS), "PAWPRINT_PROGRESS": "quiet", **more,
    }  # fmt: skip


def _start(study: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pawprint.stages.train", "baseline"]
    return subprocess.Popen(command, cwd=study, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


def _train(study: Path, environment: dict[str, str], alone: bool) -> tuple[int, str, float]:
    """Exit code, stderr and seconds, the wait at the end included."""
    started = time.monotonic()
    if alone:
        process = _start(study, environment)
        stderr = process.communicate()[1]
        return process.returncode, stderr, time.monotonic() - started
    with mock.patch.dict(os.environ, environment), contextlib.redirect_stderr(io.StringIO()) as at_exit:
        done = pawprint(study, "baseline", module="pawprint.stages.train")
        settle()
    return done.returncode, done.stderr + at_exit.getvalue(), time.monotonic() - started


def _afresh(study: Path) -> None:
    for name in (*RESULTS, "runs"):
        shutil.rmtree(study / name, ignore_errors=True)


def _results(study: Path) -> dict[str, bytes]:
    files = [file for name in RESULTS for file in (study / name).rglob("*") if file.is_file()]
    return {str(file.relative_to(study)): file.read_bytes() for file in files}


def _run_id(study: Path) -> str:
    return str(json.loads((study / "models/train/baseline/baseline-s0/run.json").read_text())["id"])


def _expected(study: Path) -> list[dict[str, Any]]:
    """The rows that W&B is to have, from the files that the training wrote."""
    rows: dict[int, dict[str, Any]] = {}
    for table in ("steps", "epochs"):
        with (study / f"plots/train/baseline/baseline-s0-{table}.csv").open(newline="") as file:
            for line in csv.DictReader(file):
                shown = [name for name in line if table == "steps" or name == "epoch" or name.startswith("val_")]
                row = rows.setdefault(int(line["step"]), {"_step": int(line["step"])})
                row.update({name: float(line[name]) for name in shown if name != "step"})
    test = json.loads((study / "models/train/baseline/baseline-s0/run.json").read_text())["test"]
    rows[max(rows)].update({f"test_{name}": value for name, value in test.items()})
    return [rows[step] for step in sorted(rows)]


def _beside_faulty_services(study: Path, faults: list[str], alone: bool) -> list[Row]:
    disabled = _environment(study, WANDB_MODE="disabled")
    undisturbed_seconds = min(_train(study, disabled, alone)[2] for _ in range(2))  # the first may import
    whole, expected = _results(study), _expected(study)
    n_equal, n_replayed, longest = 0, 0, 0.0
    for fault in faults:
        _afresh(study)
        with serve(fault) as service:
            environment = _environment(study, **service.environment())
            code, stderr, seconds = _train(study, environment, alone)
        extra = seconds - undisturbed_seconds
        longest = max(longest, extra)
        said = stderr.count("W&B: ") == 1 and "nothing is lost" in stderr
        in_time = extra < WAIT_SECONDS + SLACK_SECONDS
        n_equal += code == 0 and said and in_time and _results(study) == whole and not _alive(environment)
        for run in (f"runs/wandb/unsent/{_run_id(study)}.jsonl", "baseline"):
            n_replayed += _replayed(study, run) == expected
    each = "a process" if alone else "a call"
    return [
        Row("whatever W&B's service does, a training ends, in the same bytes", len(faults), n_equal,
            f"{each} beside each of: {', '.join(faults)}. Held: exit code 0, every file as without trackers, one "
            f"line that says what to do, no process left; at most {longest:.1f} s longer, of which {WAIT_SECONDS:g} s "
            f"are the wait at the end (10 s if not set). A row costs the training {_row_microseconds(study):.0f} µs"),
        Row("nothing logged is lost: `pawprint track` tells it later", 2 * len(faults), n_replayed,
            f"after each, from the rows that wait and from the CSVs. Held: all {len(expected)} rows, every value"),
    ]  # fmt: skip


def _alive(environment: dict[str, str]) -> list[psutil.Process]:
    """The processes that a training of this environment started, and itself."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(TRAINING) == environment[TRAINING] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _replayed(study: Path, run: str) -> list[dict[str, Any]]:
    with mock.patch.dict(os.environ, _environment(study, WANDB_MODE="offline")):
        done = pawprint(study, "track", run)
    assert done.returncode == 0, done.stderr
    return history(offline_records(study / "runs", _run_id(study)))


def _row_microseconds(study: Path, n_rows: int = 5000) -> float:
    """What `log_step` costs while nothing answers."""
    row = dict.fromkeys(("epoch", "examples_seen", "training_loss", "learning_rate", "gradient_norm_mean"), 1 / 3)
    with serve("unreachable") as service, mock.patch.dict(os.environ, _environment(study, **service.environment())):
        spooled = Spooled(Head("cost", "cost", "trackers", {}))
        started = time.perf_counter()
        for step in range(1, n_rows + 1):
            spooled.log_step(row, step)
        seconds = time.perf_counter() - started
        settle()
    return seconds / n_rows * 1e6


def _killed_beside_faulty_services(study: Path, faults: list[str], draws: random.Random) -> Row:
    longest, n_gone, n_rows = 0.0, 0, len(_expected(study))
    for fault in faults:
        _afresh(study)
        at = draws.randrange(1, n_rows)
        with serve(fault) as service:
            environment = _environment(study, **service.environment())
            killed = _killed(study, environment, lambda at=at: _n_told(study) >= at)
            seconds = _gone_after_seconds(environment)
        longest = max(longest, seconds)
        n_gone += killed and seconds < GONE_SECONDS
    return Row("a killed training leaves no process", len(faults), n_gone,
               f"SIGKILL to the training at a random moment beside each of the services. Held: all that it started was "
               f"gone within {GONE_SECONDS:g} s; the longest took {longest:.1f} s")  # fmt: skip


def _killed(study: Path, environment: dict[str, str], when: Callable[[], bool]) -> bool:
    """SIGKILL to a training; False if it ended before."""
    process = _start(study, environment)
    while process.poll() is None and not when():
        time.sleep(0.005)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def _n_told(study: Path) -> int:
    return sum(len(file.read_bytes().splitlines()) - 1 for file in (study / "runs/wandb/unsent").glob("*.jsonl"))


def _gone_after_seconds(environment: dict[str, str]) -> float:
    started = time.monotonic()
    while _alive(environment) and time.monotonic() - started < 2 * GONE_SECONDS:
        time.sleep(0.05)
    return time.monotonic() - started


def _killed_and_resumed(study: Path, n_kills: int, draws: random.Random) -> Row:
    arrived = [0]
    with serve() as service:
        often = {**service.environment(), "WANDB__FILE_STREAM_TRANSMIT_INTERVAL": "1"}  # else 15 s
        for _ in range(n_kills):
            more = arrived[-1] + draws.randrange(1, 40)
            if _killed(study, _environment(study, **often), lambda more=more: _n_arrived(service) >= more):
                arrived.append(_n_arrived(service))
        slack = {"PAWPRINT_WANDB_WAIT_SECONDS": str(WAIT_SECONDS + SLACK_SECONDS)}
        code, stderr, _ = _train(study, _environment(study, **often, **slack), alone=True)
    expected = _expected(study)
    rows = [{k: v for k, v in row.items() if k not in OWN} for row in service.history[_run_id(study)]]
    ended = code == 0 and not stderr and len(rows) == len(expected) and len(arrived) > 1
    n_once = sum(rows.count(row) == 1 for row in expected) if ended else 0
    return Row("killed and resumed, a run has each row once", len(expected), n_once,
               f"one training beside a sound service, killed when {', '.join(map(str, arrived[1:]))} rows were there. "
               "Held: rows that the service has once, with every value, and none besides")  # fmt: skip


def _n_arrived(service: Service) -> int:
    return sum(map(len, service.history.values()))
