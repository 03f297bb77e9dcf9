"""Weights & Biases: a run a training, offline below runs/wandb unless an account is set up.

An account is set up by WANDB_API_KEY or `wandb login`; WANDB_MODE overrides. Nothing else leaves the machine:
error reports, system metrics, code and git state are off. `wandb sync` uploads offline runs later.
"""

import netrc
import os
import shutil
from pathlib import Path
from typing import Any, Literal, cast

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported
os.environ.setdefault("WANDB_SILENT", "true")

import wandb

from pawprint.types import RunSpec


class Wandb:
    def __init__(self, folder: Path, spec: RunSpec, run_id: str, config: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for half_told in (folder / "wandb").glob(f"offline-run-*-{run_id}"):
            shutil.rmtree(half_told)  # of a training that was killed: it is told again from its start
        settings = wandb.Settings(
            x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False, console="off"
        )
        self.run = wandb.init(
            project="pawprint",
            group=spec.study,
            name=spec.name,
            id=run_id,
            resume="allow" if mode() == "online" else None,  # offline, W&B knows nothing to resume
            config=config,
            dir=str(folder),
            mode=mode(),
            settings=settings,
        )

    def log_step(self, values: dict[str, float], step: int) -> None:
        self.run.log({name: value for name, value in values.items() if name != "step"}, step=step)

    def log_epoch(self, values: dict[str, float], step: int) -> None:
        kept = {name: value for name, value in values.items() if name == "epoch" or name.startswith("val_")}
        self.run.log(kept, step=step)

    def finish(self, values: dict[str, float], step: int) -> None:
        self.run.log(values, step=step)
        self.run.finish()


def mode() -> Literal["online", "offline", "disabled", "shared"]:
    """`online` with an account, else `offline`; WANDB_MODE wins."""
    if "WANDB_MODE" in os.environ:
        return cast("Any", os.environ["WANDB_MODE"])  # W&B says which are valid
    try:
        logged_in = any("wandb" in host for host in netrc.netrc().hosts)
    except (FileNotFoundError, netrc.NetrcParseError):
        logged_in = False
    return "online" if logged_in or "WANDB_API_KEY" in os.environ else "offline"
