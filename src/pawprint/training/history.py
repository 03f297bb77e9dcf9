"""What a training logs: rows by step, by epoch and by diagnosed quantity.

Kept in memory, saved with the state.
"""

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import pandas as pd
import torch

from pawprint.types import SCORES

STEP_COLUMNS = (
    "step",
    "epoch",
    "examples_seen",
    "training_loss",
    "learning_rate",
    "gradient_norm_mean",
    "gradient_norm_total",
)
EPOCH_COLUMNS = ("epoch", "step", "examples_seen", "training_loss", *(f"val_{name}" for name in SCORES))
DIAGNOSTIC_COLUMNS = ("step", "examples_seen", "quantity", "value")
COUNTS = ("step", "epoch", "examples_seen")


class History:
    """Rows of numbers in the order of STEP_COLUMNS and `epoch_columns`; NaN where there is none.

    What the diagnostics measured is kept by quantity: step, examples seen, value.

    `epoch_curves` are splits whose accuracy an epoch's row has beside val's scores.
    """

    def __init__(self, epoch_curves: Sequence[str] = ()) -> None:
        self.epoch_columns = (*EPOCH_COLUMNS, *(f"{split}_accuracy" for split in epoch_curves))
        self.steps: list[list[float]] = []
        self.epochs: list[list[float]] = []
        self.diagnostics: dict[str, list[list[float]]] = {}

    def add_step(self, **values: float) -> dict[str, float]:
        """Add a row, and return it by name."""
        self.steps.append([values[column] for column in STEP_COLUMNS])
        return values

    def add_epoch(self, **values: float) -> dict[str, float]:
        """Add a row, its training loss the mean over the epoch's steps, and return it by name."""
        of_epoch = takewhile(lambda row: row[1] == values["epoch"], reversed(self.steps))
        losses = [row[3] for row in of_epoch]
        values["training_loss"] = math.fsum(losses) / len(losses) if losses else math.nan
        self.epochs.append([values[column] for column in self.epoch_columns])
        return {column: values[column] for column in self.epoch_columns}

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The steps and the epochs; counts as integers."""
        steps = pd.DataFrame(np.array(self.steps).reshape(-1, len(STEP_COLUMNS)), columns=STEP_COLUMNS)
        epochs = pd.DataFrame(
            np.array(self.epochs).reshape(-1, len(self.epoch_columns)), columns=list(self.epoch_columns)
        )
        return steps.astype(dict.fromkeys(COUNTS, int)), epochs.astype(dict.fromkeys(COUNTS, int))

    def add_diagnostics(self, step: int, examples_seen: int, values: dict[str, float]) -> None:
        """Add a row for each quantity."""
        for quantity, value in values.items():
            self.diagnostics.setdefault(quantity, []).append([step, examples_seen, value])

    def diagnostics_table(self) -> pd.DataFrame:
        """A row for each step and quantity, in the order in which they were measured."""
        rows = [(step, seen, quantity, value) for quantity, measured in self.diagnostics.items()
                for step, seen, value in measured]  # fmt: skip
        table = pd.DataFrame(rows, columns=DIAGNOSTIC_COLUMNS).astype({"step": int, "examples_seen": int})
        return table.sort_values("step", kind="stable", ignore_index=True)

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": torch.tensor(self.steps, dtype=torch.float64),
            "epochs": torch.tensor(self.epochs, dtype=torch.float64),
            "diagnostics": {
                quantity: torch.tensor(rows, dtype=torch.float64) for quantity, rows in self.diagnostics.items()
            },
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.steps, self.epochs = saved["steps"].tolist(), saved["epochs"].tolist()
        self.diagnostics = {quantity: rows.tolist() for quantity, rows in saved["diagnostics"].items()}
