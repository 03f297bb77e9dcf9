"""Trackers: DVCLive, W&B and TensorBoard behind one small interface, chosen by `trackers:` in params.yaml.

A tracker watches; it must not decide. One that fails is reported once and dropped, and the training goes on
to the same bytes: what it would have shown stands in the CSVs.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pawprint import paths
from pawprint.tracking.account import speaks_to_the_service
from pawprint.tracking.rows import Head
from pawprint.types import RunSpec

if TYPE_CHECKING:  # the process that delivers to W&B does without torch, which takes seconds
    from torch import nn

    from pawprint.diagnostics.histograms import Histograms


class Tracker(Protocol):
    """What a tracker is told; `step` counts optimizer steps from 1."""

    def log_step(self, values: dict[str, float], step: int) -> None: ...
    def log_epoch(self, values: dict[str, float], step: int) -> None: ...
    def finish(self, values: dict[str, float], step: int) -> None: ...


@runtime_checkable
class LooksInside(Protocol):
    """A tracker that also shows the network: how its layers' numbers are spread, and what it computes."""

    def log_histograms(self, histograms: Histograms, step: int) -> None: ...
    def log_graph(self, model: nn.Module, image_shape: tuple[int, int, int]) -> None: ...


def _dvclive(folder: Path, spec: RunSpec, run_id: str, config: dict[str, Any]) -> Tracker:
    from pawprint.tracking.dvclive import DvcLive

    return DvcLive(folder, spec)


def _wandb(folder: Path, spec: RunSpec, run_id: str, config: dict[str, Any]) -> Tracker:
    head = Head(run_id, spec.name, spec.study, config)
    if speaks_to_the_service():
        from pawprint.tracking.spool import Spooled

        return Spooled(head)
    from pawprint.tracking.wandb import Wandb

    return Wandb(folder, head)


def _tensorboard(folder: Path, spec: RunSpec, run_id: str, config: dict[str, Any]) -> Tracker:
    from pawprint.tracking.tensorboard import TensorBoard

    return TensorBoard(folder, spec)


# Imported when chosen: each costs a second or more of start-up.
TRACKERS: dict[str, Callable[[Path, RunSpec, str, dict[str, Any]], Tracker]] = {
    "dvclive": _dvclive,
    "wandb": _wandb,
    "tensorboard": _tensorboard,
}


class Trackers:
    """The chosen trackers as one. Values that are not finite are left out: a chart cannot show them."""

    def __init__(self, names: tuple[str, ...], spec: RunSpec, run_id: str, config: dict[str, Any]) -> None:
        self.trackers: dict[str, Tracker] = {}
        for name in names:
            with self._guarded(name):
                self.trackers[name] = TRACKERS[name](paths.tracker_files(name), spec, run_id, config)

    def log_step(self, values: dict[str, float], step: int) -> None:
        for name, tracker in list(self.trackers.items()):
            with self._guarded(name):
                tracker.log_step(finite(values), step)

    def log_epoch(self, values: dict[str, float], step: int) -> None:
        for name, tracker in list(self.trackers.items()):
            with self._guarded(name):
                tracker.log_epoch(finite(values), step)

    def log_histograms(self, histograms: Histograms, step: int) -> None:
        for name, tracker in list(self.trackers.items()):
            with self._guarded(name):
                if isinstance(tracker, LooksInside):
                    tracker.log_histograms(histograms, step)

    def log_graph(self, model: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """`image_shape`: (C, H, W). A copy is looked at, so that the model stays as it is, and the generators do."""
        from pawprint.seeding import preserve_rng

        for name, tracker in list(self.trackers.items()):
            with self._guarded(name), preserve_rng():
                if isinstance(tracker, LooksInside):
                    tracker.log_graph(copy.deepcopy(model).cpu(), image_shape)

    def finish(self, values: dict[str, float], step: int) -> None:
        """Log the last values (the scores on test) into the same run, and close it."""
        for name, tracker in list(self.trackers.items()):
            with self._guarded(name):
                tracker.finish(finite(values), step)

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 whatever a service's client raises: it must not stop a training
            self.trackers.pop(name, None)
            print(f"tracker {name} failed and is left out: {type(error).__name__}: {error}", file=sys.stderr)


def retell(tracker: Tracker, steps: list[dict[str, float]], epochs: list[dict[str, float]]) -> None:
    """Tell a training's rows again, in the order in which it told them: an epoch's after that of its last step."""
    told = [(int(row["step"]), tracker.log_step, row) for row in steps]
    told += [(int(row["step"]), tracker.log_epoch, row) for row in epochs]
    for step, log, row in sorted(told, key=lambda one: one[0]):
        log(row, step)


def finite(values: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}
