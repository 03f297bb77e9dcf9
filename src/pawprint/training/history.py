"""What a training logs: a row each optimizer step, a row each epoch. Kept in memory, saved with the state."""

import math
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
COUNTS = ("step", "epoch", "examples_seen")


class History:
    """Rows of numbers in the order of STEP_COLUMNS and EPOCH_COLUMNS; NaN where there is none."""

    def __init__(self) -> None:
        self.steps: list[list[float]] = []
        self.epochs: list[list[float]] = []

    def add_step(self, **values: float) -> dict[str, float]:
        """Add a row, and return it by name."""
        self.steps.append([values[column] for column in STEP_COLUMNS])
        return values

    def add_epoch(self, **values: float) -> dict[str, float]:
        """Add a row, its training loss the mean over the epoch's steps, and return it by name."""
        of_epoch = takewhile(lambda row: row[1] == values["epoch"], reversed(self.steps))
        losses = [row[3] for row in of_epoch]
        values["training_loss"] = math.fsum(losses) / len(losses) if losses else math.nan
        self.epochs.append([values[column] for column in EPOCH_COLUMNS])
        return {column: values[column] for column in EPOCH_COLUMNS}

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The steps and the epochs; counts as integers."""
        steps = pd.DataFrame(np.array(self.steps).reshape(-1, len(STEP_COLUMNS)), columns=STEP_COLUMNS)
        epochs = pd.DataFrame(np.array(self.epochs).reshape(-1, len(EPOCH_COLUMNS)), columns=EPOCH_COLUMNS)
        return steps.astype(dict.fromkeys(COUNTS, int)), epochs.astype(dict.fromkeys(COUNTS, int))

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": torch.tensor(self.steps, dtype=torch.float64),
            "epochs": torch.tensor(self.epochs, dtype=torch.float64),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.steps, self.epochs = saved["steps"].tolist(), saved["epochs"].tolist()
