"""Did a run converge, over-fit or under-fit? The state of its curves, in words.

The rule and its limits stand in `pawprint.symptoms.trends`; that a run is no better than a guess, `comparison` says.
"""

from __future__ import annotations

import math

import pandas as pd

from pawprint.comparison import RunComparison
from pawprint.symptoms.trends import Convergence, Seeds, State, Trend, convergence


def converged(row: RunComparison, steps: pd.DataFrame, epochs: pd.DataFrame) -> Convergence:
    """`steps` and `epochs`: the run's, of all its seeds (`pawprint.results.curves`)."""
    return convergence(Seeds(row.n_seeds, row.n_diverged, row.n_at_chance), steps, epochs)


WORDS: dict[State, str] = {
    "diverged": "diverged: its loss was not finite any more",
    "learned nothing": "learned nothing to speak of",
    "learned by heart": "learned its pictures by heart: the training loss came down, and on others it is but a guess",
    "collapsed": "collapsed: what it had learned it lost again",
    "over-fits": "over-fits: the training loss falls while the validation loss rises",
    "still improving": "had not converged: it was still improving when its epochs ended",
    "unsteady": "is unsteady: its validation jumps too much to say whether it has leveled off",
    "under-fits": "under-fits: it has leveled off with a training loss more than half of the first",
    "converged": "converged: validation has leveled off",
    "cannot tell": "has too few epochs, or numbers that are missing, to say whether it converged",
}


def sentence(name: str, found: Convergence) -> str:
    """The state, and what it stands on."""
    said = f"{name} {WORDS[found.state]}"
    if not found.trends or found.state in ("diverged", "cannot tell"):
        return said
    names = {column: column.replace("_", " ").replace("val ", "validation ") for column in found.trends}
    if found.state == "converged" and found.trends["training_loss"].direction < 0:
        said += ", though the training loss still falls: more epochs would widen the gap"
    parts = [f"{names[column]} {moved(column, trend)}" for column, trend in found.trends.items()]
    return f"{said} (epochs {found.first_epoch} to {found.last_epoch}: {', '.join(parts)})"


def moved(column: str, trend: Trend) -> str:
    """The change over the second half with its 95 % interval: of losses in percent, of accuracy in points."""
    if not math.isfinite(trend.half_width):
        return "unknown"
    if column == "val_accuracy":
        return f"{100 * trend.change:+.1f} ± {100 * trend.half_width:.1f} points"
    low, high = (math.expm1(trend.change + sign * trend.half_width) for sign in (-1, 1))
    return f"{100 * math.expm1(trend.change):+.0f} % ({100 * low:+.0f} to {100 * high:+.0f})"
