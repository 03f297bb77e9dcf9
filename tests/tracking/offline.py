"""W&B's offline files, read back with W&B's own reader."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

OWN = ("_timestamp", "_runtime")  # W&B's clock: when it was told, not what


def offline_records(runs: Path, run_id: str = "*") -> list[dict[str, Any]]:
    """All records of the one offline run (of this id) below `runs`."""
    (file,) = runs.glob(f"wandb/wandb/offline-run-*-{run_id}/*.wandb")
    wandb = Path(sys.executable).with_name("wandb")
    shown = subprocess.run([wandb, "leet", "inspect", "--json", file], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in shown.stdout.splitlines()]


def history(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The logged values, a dict for each step."""
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    return [{name: value for name, value in row.items() if name not in OWN} for row in rows]
