"""Trainings killed at points drawn at random, gone on with, and held against one that was never stopped.

A fork server has the imports behind it, so that a point costs about a second. The signals are real; one is sent from
inside the phase it is meant for, by a timer that starts with the phase.
"""

import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from tests.guarantees.forks import fork_server
from tests.guarantees.row import Row
from tests.in_process import pawprint

PARAMS = """
study: killed
data: {{source: digits, image_size: 8}}
model: mlp
mlp_widths: [64]
scheduler: onecycle
epochs: 6
seeds: [0, 1]
variants:
  baseline: {{}}
checks: {{output_shape: {{}}}}
save_every_seconds: 0.02
workers: {workers}
"""
TWICE = "two steps of one epoch"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# What is wrapped, how often it is called in one training of PARAMS, how long a call takes (seconds, at most).
STEPS_PER_EPOCH = 34
STEP = "pawprint.training.loop.train_step"
PHASES = {
    "a step": (STEP, 2 * 6 * STEPS_PER_EPOCH, 0.002),
    TWICE: (STEP, 2 * 6 * STEPS_PER_EPOCH, 0.002),
    "a save": ("pawprint.training.checkpoint.save_state", 12, 0.01),
    "an evaluation": ("pawprint.training.loop.evaluate", 2 * 7, 0.02),
    "the end of an epoch": ("pawprint.training.loop.end_epoch", 2 * 7, 0.02),
    "writing the results": ("pawprint.training.variant.write_training", 2, 0.02),
}
LONGEST_SECONDS = 120
WORKERS = (0, 1, 2)


@dataclass(frozen=True)
class Point:
    """Where a training is killed: at call `number` of `phase`, `after_seconds`."""

    by: signal.Signals
    phase: str
    number: int
    after_seconds: float


def draw(draws: random.Random, phase: str, longest: float = 1.0) -> Point:
    """A point of `phase`; `longest` is the share of its calls that it may come after."""
    _, calls, seconds = PHASES[phase]
    return Point(
        draws.choice(SIGNALS), phase, draws.randint(1, max(1, int(calls * longest))), draws.uniform(0, seconds)
    )


def draw_points(draws: random.Random, phase: str) -> list[Point]:
    """One point of the phase, or two of one training, the second after it went on."""
    if phase == "writing the results" or draws.random() >= 0.3:
        return [draw(draws, phase)]
    return [draw(draws, phase, 0.5), draw(draws, phase, 0.5)]


def draw_twice(draws: random.Random) -> list[Point]:
    """A point in the second half of an epoch, and another a few steps after the training went on: both in that epoch.

    A state is saved every few steps, so that it goes on in the epoch in which it was killed.
    """
    begun = draws.randrange(2 * 6) * STEPS_PER_EPOCH
    first = Point(draws.choice(SIGNALS), TWICE, begun + draws.randint(20, 24), draws.uniform(0, 0.002))
    return [first, Point(draws.choice(SIGNALS), TWICE, draws.randint(1, 8), draws.uniform(0, 0.002))]


def prepared(folder: Path) -> Path:
    """A study's folder up to its gate."""
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(PARAMS.format(workers=0))
    for stage in ("fetch", "prepare", "resolve", "pretrain", "start", "check"):
        assert pawprint(folder, module=f"pawprint.stages.{stage}").returncode == 0
    return folder


def results(folder: Path) -> dict[str, bytes]:
    """All that `train` writes, by name."""
    places = [folder / name for name in ("models/train", "plots/train", "metrics/train")]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def train(folder: Path, point: Point | None) -> None:
    """`python -m pawprint.stages.train baseline` in `folder`, killed at `point`: what a forked process runs."""
    from pawprint.stages.entry import run_stage
    from pawprint.stages.train import main

    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(folder)
    os.environ["PAWPRINT_RUNS"] = str(folder / "runs")
    sys.argv = ["train", "baseline"]
    if point is not None:
        _arm(point)
    # After the work a signal is Python's own again: a process of its own dies of it, a fork server's child says 1.
    try:
        run_stage(main)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGINT)


def _arm(point: Point) -> None:
    place, _, _ = PHASES[point.phase]
    module, _, name = place.rpartition(".")
    inside = getattr(sys.modules[module], name)
    calls = 0

    def phase(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == point.number:
            threading.Timer(point.after_seconds, os.kill, (os.getpid(), point.by)).start()
        return inside(*arguments, **named)

    mock.patch(place, phase).start()


def run(context: Any, folder: Path, point: Point | None) -> tuple[int, bool]:
    """The exit code of a training (negative: a signal), and whether its children were gone within 5 s."""
    process: BaseProcess = context.Process(target=train, args=(folder, point))
    process.start()
    children: list[psutil.Process] = []
    deadline = time.monotonic() + LONGEST_SECONDS
    while process.is_alive() and time.monotonic() < deadline:
        children = _descendants(process.pid) or children
        process.join(0.01)
    assert process.exitcode is not None, f"{folder}: still running after {LONGEST_SECONDS} s"
    return process.exitcode, not psutil.wait_procs(children, timeout=5)[1]


def _descendants(pid: int | None) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def killed_trainings(folder: Path, n: int, seed: int) -> list[Row]:
    """`n` points in trainings that end, one or two in each, over all phases, signals and numbers of workers."""
    context, draws = fork_server(), random.Random(seed)
    whole, killed = prepared(folder / "whole"), folder / "killed"
    shutil.copytree(whole, killed)
    assert run(context, whole, None) == (0, True)
    expected = results(whole)
    tried: Counter[str] = Counter()
    held: Counter[str] = Counter()
    while tried.total() < n:
        phase = min(PHASES, key=lambda name: tried[name])
        points = draw_twice(draws) if phase == TWICE else draw_points(draws, phase)
        workers = draws.choice(WORKERS)
        (killed / "params.yaml").write_text(PARAMS.format(workers=workers))
        ends = [run(context, killed, point) for point in points]
        end = run(context, killed, None)
        codes = [code in (0, -point.by, 128 + point.by) for point, (code, _) in zip(points, ends, strict=True)]
        alone = all(gone for _, gone in [*ends, end])
        good = all(codes) and alone and end[0] == 0 and results(killed) == expected and not states(killed)
        if not good:
            print(f"not held: {points}, {workers} workers: ended {ends}, then {end}")
        for code, _ in ends:
            tried[phase] += code != 0  # 0: it came to its end before the signal
            held[phase] += code != 0 and good
        for place in ("models/train", "plots/train", "metrics/train"):
            shutil.rmtree(killed / place, ignore_errors=True)
    how = (
        "SIGKILL, SIGTERM or SIGINT drawn at random, with 0, 1 or 2 loader workers, some twice in one training; gone "
        "on with, weights, curves and metrics are byte for byte those of a training never stopped; no child lived on"
    )
    return [Row(f"a training killed during {phase} ends in the same bytes", tried[phase], held[phase], how)
            for phase in tried]  # fmt: skip


def states(folder: Path) -> list[Path]:
    """What is left to resume from."""
    return list((folder / "runs/state").iterdir())
