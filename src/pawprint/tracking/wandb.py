"""Weights & Biases: a run a training. Offline it is told in the training's process, and is files below runs/wandb.

Online nothing here is called by the training: `spool` and `courier` stand between. Error reports, system metrics,
code and git state are off. `wandb sync` uploads offline runs later.
"""

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported
os.environ.setdefault("WANDB_SILENT", "true")

import wandb
from filelock import FileLock

from pawprint import paths
from pawprint.errors import PawprintError
from pawprint.tracking.account import mode, speaks_to_the_service
from pawprint.tracking.rows import Head, Row, Rows, merged

CONFIRM_EVERY_SECONDS = 1.0
LOCK_SECONDS = 10.0


class Wandb(Rows):
    """Tells W&B by its own client. `settings`: more of wandb.Settings."""

    def __init__(self, folder: Path, head: Head, **settings: Any) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        for half_told in (folder / "wandb").glob(f"offline-run-*-{head.run_id}"):
            shutil.rmtree(half_told)  # of a training that was killed: it is told again from its start
        self.run = wandb.init(
            project="pawprint",
            group=head.group,
            name=head.name,
            id=head.run_id,
            resume="allow" if speaks_to_the_service() else None,  # offline, W&B knows nothing to resume
            config=head.config,
            dir=str(folder),
            mode=mode(),
            settings=wandb.Settings(
                x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False, console="off", **settings
            ),
        )

    def put(self, values: dict[str, float], step: int) -> None:
        self.run.log(values, step=step)

    def close(self) -> None:
        self.run.finish()


def deliver(head: Head, rows: Iterable[Row], confirm_seconds: float, **settings: Any) -> str:
    """Tell the service the rows that it lacks; returns the run's page. Raises whatever W&B's client raises.

    PawprintError unless the service then says, within `confirm_seconds`, that it has as many rows as there are: its
    client drops what the service refuses for good, and ends as if all were well.
    """
    lock = FileLock(paths.unsent(head.run_id).with_suffix(".lock"), timeout=LOCK_SECONDS)
    with lock:  # the courier of a training just killed may have half a second to live
        told = Wandb(paths.tracker_files("wandb"), head, **settings)
        n_rows = 0
        for step, values in merged(rows):
            n_rows += 1
            if step >= told.run.starting_step:  # those before it are there, of a training that was killed since
                told.put(values, step)
        told.close()
        _confirm(told.run.path, n_rows, confirm_seconds)
    return str(told.run.url)


def _confirm(run_path: str, n_rows: int, confirm_seconds: float) -> None:
    deadline = time.monotonic() + confirm_seconds
    while (arrived := wandb.Api().run(run_path).historyLineCount) < n_rows:
        if time.monotonic() > deadline:
            raise PawprintError(f"W&B's service has {arrived} of {n_rows} rows, and took no more")
        time.sleep(CONFIRM_EVERY_SECONDS)
