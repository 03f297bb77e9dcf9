"""What did pretraining bring, in accuracy and in epochs?

In accuracy: the table's verdict. In epochs: after how many the pretrained run's validation accuracy, mean over seeds,
had reached the best that the run from random weights ever had; both choose their weights on val, so that is the point
from which more epochs from scratch had nothing to offer.
"""

from __future__ import annotations

import pandas as pd

from pawprint.comparison import RunComparison
from pawprint.report.readings import Reading
from pawprint.report.readings.verdicts import helps


def pretraining(row: RunComparison, ours: pd.DataFrame, theirs: pd.DataFrame) -> Reading:
    """`ours`, `theirs`: the epochs of the pretrained run and of its reference."""
    outcome, verdict = helps(row)
    pretrained, scratch = (frame.groupby("epoch")["val_accuracy"].mean() for frame in (ours, theirs))
    best, at = float(scratch.max()), int(scratch.idxmax())
    reached = pretrained.index[pretrained >= best]
    there = f"{100 * best:.1f} %, the best val accuracy of {row.against} (epoch {at} of {int(scratch.index.max())})"
    if at == 0:
        epochs = f"{row.against} never got above its start, so that there are no epochs to count."
    elif len(reached):
        epochs = f"{row.label} has {there} after {int(reached[0])} epoch{'s' * (int(reached[0]) != 1)}."
    else:
        epochs = f"{row.label} never has {there}; its own best is {100 * float(pretrained.max()):.1f} %."
    remedy = "weights that were trained on pictures more like these" if outcome == "no" else None
    return Reading(outcome, (verdict, epochs), remedy)
