"""What `dvc plots` draws: a long table for each chart, a row for each point.

A table of a study's charts has columns variant, run, seed and pretrained_on, then values; the first row of a question's
says besides what is asked (`study`, `question`), in which `place` of the page, and in what its training loss is counted
(`loss`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pawprint.charts import GRADIENT_NORMS, X_LABELS, Curves, evenly, smoothed_norm
from pawprint.comparison import TRAINING, RunComparison
from pawprint.figures.rates import Rates
from pawprint.types import SCORES

IDENTITY = [*TRAINING, "pretrained_on"]
MAX_POINTS = 100  # of a training in a chart: more are not seen, and the files stay small
MAX_ROWS = 1_200  # of all trainings in a chart
LOSSES = ["training_loss", "training_loss_smoothed"]
VALIDATION = [f"val_{score}" for score in SCORES]
TEST = ["test_accuracy", "noise", "against_accuracy"]


def question(
    place: int, study: str, words: str, loss: str, rows: Sequence[RunComparison], curves: Curves
) -> pd.DataFrame:
    """How the runs of one question were trained, and what came of it.

    `kind` of a row: run and seed (of `scores`), step (what was logged then), epoch (val's scores after it).
    """
    own = curves.of(rows)
    norms = {f"{norm}_smoothed": smoothed_norm(own.steps, norm) for norm in GRADIENT_NORMS}
    measured = [*IDENTITY, *X_LABELS, "learning_rate", *LOSSES, *GRADIENT_NORMS, *norms]
    parts = {
        "step": thinned(own.steps.assign(**norms))[measured],
        "epoch": own.epochs[[*IDENTITY, *X_LABELS, *VALIDATION]],
    }
    table = pd.concat([scores(rows, curves.scores), *(part.assign(kind=kind) for kind, part in parts.items())])
    return _asked(table, place=place, study=study, question=words, loss=loss)


def scores(rows: Sequence[RunComparison], table: pd.DataFrame) -> pd.DataFrame:
    """Each run's accuracy on test, `kind` run: mean, the noise of its change, where what it is held against is.

    And that of each of its seeds, `kind` seed. What a run is held against is taken over the seeds that both have.
    """
    entries = []
    for row in rows:
        mean = row.scores["test_accuracy"]
        against = None if mean is None or row.change is None else mean - row.change
        entries.append([row.variant, row.run, row.pretrained_on, mean, row.noise, against])
    runs = pd.DataFrame(entries, columns=["variant", "run", "pretrained_on", *TEST]).assign(kind="run")
    own = [(row.variant, row.run) for row in rows]
    of_seeds = table[[pair in own for pair in zip(table["variant"], table["run"], strict=True)]]
    seeds = of_seeds[[*IDENTITY, "test_accuracy"]].assign(kind="seed")
    return pd.concat([runs, seeds])[[*IDENTITY, "kind", *TEST]]


def rates(place: int, study: str, words: str, lines: Sequence[Rates]) -> pd.DataFrame:
    """Val's error (a share) at each learning rate of runs that differ in nothing else, `label`."""
    parts = [
        pd.DataFrame({"label": group.label, "lr": group.line.x, "val_error": group.line.y / 100}) for group in lines
    ]
    return _asked(pd.concat(parts), place=place, study=study, question=words)


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """How often pictures of a class were taken for which, over all seeds: `share` of the class's, where it is not 0."""
    run = ["variant", "run"]
    counted = predictions.groupby([*run, "actual", "predicted"], sort=False).size()
    shares = counted / counted.groupby([*run, "actual"]).transform("sum")
    return shares.rename("share").reset_index()


def thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """Of each training MAX_POINTS rows at even distances, the first and the last among them; fewer of very many."""
    trainings = frame.groupby(TRAINING, sort=False)
    n_points = max(2, min(MAX_POINTS, MAX_ROWS // max(1, trainings.ngroups)))
    return pd.concat([part.iloc[evenly(len(part), n_points)] for _, part in trainings])


def _asked(table: pd.DataFrame, **told: object) -> pd.DataFrame:
    """With columns that only the first row fills, as one is enough and the table is in git."""
    first = np.arange(len(table)) == 0
    return table.assign(**{name: np.where(first, str(value), "") for name, value in told.items()})
