"""`dvc repro` killed at moments drawn at random: dvc itself, its whole group, or the training below it."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from tests.clone import Repository, clone
from tests.guarantees.row import Row

STAGE = "train@baseline"
SETTINGS = {"epochs": 240, "save_every_seconds": 0.02, "trackers": ["dvclive", "wandb"], "seeds": [0, 1]}
# Who is sent what. A lone dvc is deaf to SIGINT while its command runs: Ctrl-C goes to the group.
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLS = [(whom, by) for whom in ("dvc", "its group", "the training") for by in SIGNALS]
KILLS.remove(("dvc", signal.SIGINT))
OUTPUTS = ("models/train", "plots/train", "metrics/train")
METRICS = "metrics/train/baseline.json"  # what a training writes last
GONE_WITHIN_SECONDS = 10  # W&B's own process outlives a killed training by up to 4 s where nothing else runs
LONGEST_SECONDS = 180


def killed_repros(folder: Path, n: int, seed: int) -> list[Row]:
    """`n` kills of `dvc repro train@baseline`, a handful in each; the last goes on to the end."""
    draws, rows = random.Random(seed), {whom: [0, 0] for whom, _ in KILLS}
    whole = clone(folder / "whole", **SETTINGS)
    whole.run("dvc", "repro", "check")
    shutil.copytree(folder / "whole", folder / "begun", symlinks=True)
    whole.run("dvc", "repro", STAGE)
    expected = _results(whole)
    while n > 0:
        shutil.rmtree(folder / "killed", ignore_errors=True)
        shutil.copytree(folder / "begun", folder / "killed", symlinks=True)
        killed = Repository(folder / "killed")
        series = list(_killed(killed, draws, min(n, 6)))
        killed.run("dvc", "repro", STAGE)
        same = _results(killed) == expected and not list((killed.folder / "runs/state").iterdir())
        if not same or not all(gone for _, gone in series):
            print(f"not held: {series}; the same bytes: {same}", file=sys.stderr)
        for whom, gone in series:
            rows[whom][0] += 1
            rows[whom][1] += gone and same
        n -= len(series)
    how = (
        "SIGKILL, SIGTERM or SIGINT at a random moment of start-up or training, up to six in a row; no descendant was "
        f"alive after {GONE_WITHIN_SECONDS} s, and the next `dvc repro` ended in the same weights, curves, metrics and "
        "dvc.lock"
    )
    return [Row(f"`dvc repro`, {whom} killed, leaves no orphan and goes on to the same bytes", tried, held, how)
            for whom, (tried, held) in rows.items() if tried]  # fmt: skip


def _results(repository: Repository) -> dict[str, bytes]:
    files = [file for place in OUTPUTS for file in (repository.folder / place).rglob("*") if file.is_file()]
    named = {str(file.relative_to(repository.folder)): file.read_bytes() for file in files}
    return named | {"dvc.lock": (repository.folder / "dvc.lock").read_bytes()}


def _killed(repository: Repository, draws: random.Random, n: int) -> Iterator[tuple[str, bool]]:
    """Up to `n` kills one after the other, fewer where the training comes to its end before one: whom, all gone."""
    for _ in range(n):
        whom, by = draws.choice(KILLS)
        gone = _kill(repository, whom, by, draws)
        if gone is None:
            return
        yield whom, gone


def _kill(repository: Repository, whom: str, by: signal.Signals, draws: random.Random) -> bool | None:
    """Start `dvc repro`, send the signal, and say whether all that it had started was gone in time.

    None: the signal came too late, when the training had written its results, and dvc ended well. One that ends well
    although it was to stop before has not heard the signal, and is not held.
    """
    log = (repository.folder.parent / "log").open("ab")
    dvc = subprocess.Popen(["dvc", "repro", STAGE], cwd=repository.folder, env=repository.environment,
                           stdout=log, stderr=log, start_new_session=True)  # fmt: skip
    training = _training(dvc)
    wait_for_steps = draws.random() < 0.7  # the others are killed while they start up
    states, deadline = repository.folder / "runs/state", time.monotonic() + LONGEST_SECONDS
    before = _newest(states)
    while wait_for_steps and dvc.poll() is None and _newest(states) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(draws.uniform(0, 0.5 if wait_for_steps else 3))
    if training is None or not training.is_running() or dvc.poll() is not None:
        dvc.wait(timeout=LONGEST_SECONDS)
        return None
    started, sent = psutil.Process(dvc.pid).children(recursive=True), time.time()
    if whom == "its group":
        os.killpg(dvc.pid, by)
    else:
        os.kill(dvc.pid if whom == "dvc" else training.pid, by)
    _, alive = psutil.wait_procs(started, timeout=GONE_WITHIN_SECONDS)
    ended_well = dvc.wait(timeout=LONGEST_SECONDS) == 0
    if ended_well and (repository.folder / METRICS).stat().st_mtime <= sent:
        return None
    return not alive and not ended_well


def _training(dvc: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The training that dvc starts, once it has; None: there was nothing left to train."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while dvc.poll() is None:
        for process in psutil.Process(dvc.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.cmdline()[1:3] == ["-m", "pawprint.stages.train"]:
                    return process
        time.sleep(0.02)
        if time.monotonic() > deadline:
            raise TimeoutError("dvc has not started the training")
    return None


def _newest(folder: Path) -> float:
    """When the newest state was written; 0 where there is none, or the one seen was just taken away."""
    newest = 0.0
    for file in folder.glob("*.safetensors"):
        with suppress(FileNotFoundError):
            newest = max(newest, file.stat().st_mtime)
    return newest
