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

from pawprint.diagnostics.histograms import BINS, KINDS, Histograms, Kind
from pawprint.types import CLASS_COUNTS, SCORES

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
HISTOGRAM_COLUMNS = ("step", "examples_seen", "kind", "layer", "not_finite", *BINS)
COUNTS = ("step", "epoch", "examples_seen")
CLASS_COLUMNS = ("epoch", "class", *CLASS_COUNTS)  # of what an objective counts, class by class


class History:
    """Rows of numbers in the order of `step_columns` and `epoch_columns`; NaN where there is none.

    What the diagnostics measured is kept by quantity: step, examples seen, value; histograms by kind and layer: step,
    examples seen, counts.

    `epoch_curves` are splits whose accuracy an epoch's row has beside val's scores, `parts` what a step's row has
    beside the loss. What an objective counts by class is added up over each epoch.
    """

    def __init__(self, epoch_curves: Sequence[str] = (), parts: Sequence[str] = ()) -> None:
        self.step_columns = (*STEP_COLUMNS, *parts)
        self.epoch_columns = (*EPOCH_COLUMNS, *(f"{split}_accuracy" for split in epoch_curves))
        self.steps: list[list[float]] = []
        self.epochs: list[list[float]] = []
        self.diagnostics: dict[str, list[list[float]]] = {}
        self.histograms: dict[tuple[Kind, str], list[list[int]]] = {}
        self.of_classes: dict[int, torch.Tensor] = {}  # epoch → counts (CLASS_COUNTS, K)

    def add_step(self, **values: float) -> dict[str, float]:
        """Add a row, and return it by name."""
        self.steps.append([values[column] for column in self.step_columns])
        return values

    def add_counts(self, epoch: int, counts: dict[str, torch.Tensor]) -> None:
        """Add what a step of the epoch counted by class, (K,) each; nothing where it counted nothing."""
        if counts:
            of_step = torch.stack([counts[name].cpu() for name in CLASS_COUNTS])
            self.of_classes[epoch] = self.of_classes.get(epoch, 0) + of_step

    def add_epoch(self, **values: float) -> dict[str, float]:
        """Add a row, its training loss the mean over the epoch's steps, and return it by name."""
        of_epoch = takewhile(lambda row: row[1] == values["epoch"], reversed(self.steps))
        losses = [row[3] for row in of_epoch]
        values["training_loss"] = math.fsum(losses) / len(losses) if losses else math.nan
        self.epochs.append([values[column] for column in self.epoch_columns])
        return {column: values[column] for column in self.epoch_columns}

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The steps and the epochs; counts as integers."""
        steps = pd.DataFrame(np.array(self.steps).reshape(-1, len(self.step_columns)), columns=self.step_columns)
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

    def add_histograms(self, step: int, examples_seen: int, histograms: Histograms) -> None:
        """Add a row for each kind and layer."""
        for of, counts in histograms.items():
            self.histograms.setdefault(of, []).append([step, examples_seen, *counts])

    def histograms_table(self) -> pd.DataFrame:
        """A row for each step, kind and layer, in the order in which they were measured; a bin by its lower edge."""
        rows = [(step, seen, kind, layer, *counts) for (kind, layer), measured in self.histograms.items()
                for step, seen, *counts in measured]  # fmt: skip
        table = pd.DataFrame(rows, columns=list(HISTOGRAM_COLUMNS))
        return table.sort_values("step", kind="stable", ignore_index=True)

    def histograms_by_step(self) -> dict[int, Histograms]:
        """As they were added."""
        found: dict[int, Histograms] = {}
        for of, measured in self.histograms.items():
            for step, _, *counts in measured:
                found.setdefault(step, {})[of] = counts
        return found

    def classes_table(self, class_names: Sequence[str]) -> pd.DataFrame:
        """A row for each epoch and class."""
        rows = [(epoch, name, *counts[:, place].tolist()) for epoch, counts in self.of_classes.items()
                for place, name in enumerate(class_names)]  # fmt: skip
        return pd.DataFrame(rows, columns=list(CLASS_COLUMNS))

    def state_dict(self) -> dict[str, Any]:
        return {
            "of_classes": {str(epoch): counts for epoch, counts in self.of_classes.items()},
            "steps": torch.tensor(self.steps, dtype=torch.float64),
            "epochs": torch.tensor(self.epochs, dtype=torch.float64),
            "diagnostics": {
                quantity: torch.tensor(rows, dtype=torch.float64) for quantity, rows in self.diagnostics.items()
            },
            "histograms": {
                kind: {layer: torch.tensor(rows) for (of, layer), rows in self.histograms.items() if of == kind}
                for kind in KINDS
            },
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.steps, self.epochs = saved["steps"].tolist(), saved["epochs"].tolist()
        self.diagnostics = {quantity: rows.tolist() for quantity, rows in saved["diagnostics"].items()}
        self.histograms = {
            (kind, layer): rows.tolist() for kind in KINDS for layer, rows in saved["histograms"][kind].items()
        }
        self.of_classes = {int(epoch): counts for epoch, counts in saved["of_classes"].items()}
