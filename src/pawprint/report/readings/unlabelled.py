"""Did learning from unlabelled pictures help, and could it have?

Whether it helped is the table's verdict on test accuracy. But an objective with a threshold learns from a picture only
when it is sure of it: where few pictures counted, a result that is no better says nothing of the method, only that it
was not tried. So *no* is said only where, over the LAST fifth of the steps and all seeds, more than half the pictures
counted (ENOUGH); a *no* or a result within the noise with fewer is `cannot tell`.

Numbers beside it, over the same steps: how many of the pseudo-labels were right, where the hidden labels are known; how
often the two views agreed; and the class that was given most pseudo-labels against an even share, as a model that
believes itself drifts to the classes it prefers (confirmation bias: Arazo et al., arXiv 1908.02983).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pawprint.comparison import RunComparison
from pawprint.report.readings import Outcome, Reading
from pawprint.report.readings.verdicts import helps

LAST = 5  # the last one of so many equal parts of the steps
ENOUGH = 0.5
UNEVEN = 2.0  # times an even share
OFTEN_WRONG = 0.8  # of the pseudo-labels that count are right, or fewer


def of_last_part(steps: pd.DataFrame, columns: Sequence[str]) -> dict[str, float]:
    """Means over the last fifth of the steps and all seeds; NaN where there is no number."""
    last = steps[steps["step"] > steps["step"].max() * (LAST - 1) / LAST]
    return {column: float(last[column].mean()) for column in columns}


def unlabelled(row: RunComparison, steps: pd.DataFrame, classes: pd.DataFrame) -> Reading:
    """`steps` and `classes`: one run's, all seeds; `classes` has a row for each epoch and class."""
    outcome, verdict = helps(row)
    shares = of_last_part(steps, ["mask_rate", "pseudo_label_accuracy", "agreement"])
    counted = f"In the last fifth of the steps {100 * shares['mask_rate']:.0f} % of the unlabelled pictures counted"
    counted += _right(shares["pseudo_label_accuracy"]) if shares["mask_rate"] else ""
    differs = shares["agreement"] < 1  # self-training learns from the view that it labels
    counted += f"; the two views agreed on {100 * shares['agreement']:.0f} %." if differs else "."
    preferred, times = _preferred(classes)
    sentences = [f"{row.label}: {verdict[0].lower()}{verdict[1:]}", counted]
    if times > UNEVEN:
        sentences.append(f"{preferred} was given {times:.1f} times an even share of the pseudo-labels.")
    if outcome != "yes" and shares["mask_rate"] <= ENOUGH:
        sentences.append("That was too few to say that the method does not help: it was hardly tried.")
        return Reading("cannot tell", tuple(sentences), "more steps, or a lower threshold (`-S threshold=0.8`)")
    return Reading(outcome, tuple(sentences), _remedy(outcome, shares["pseudo_label_accuracy"], times))


def _right(accuracy: float) -> str:
    if pd.isna(accuracy):
        return ", whose labels nobody knows"
    return f", and {100 * accuracy:.0f} % of their pseudo-labels were right"


def shares_of_classes(classes: pd.DataFrame) -> pd.DataFrame:
    """Over the last fifth of the epochs and all seeds: class, its share of the pseudo-labels that count, and the
    accuracy of these, NaN where nobody knows."""
    last = classes[classes["epoch"] > classes["epoch"].max() * (LAST - 1) / LAST]
    counts = last.groupby("class", sort=False)[["n_confident", "n_known", "n_right"]].sum()
    share = counts["n_confident"] / max(counts["n_confident"].sum(), 1)
    known = counts["n_known"].where(counts["n_known"] > 0)
    return pd.DataFrame({"share": share, "accuracy": counts["n_right"] / known}).reset_index()


def _preferred(classes: pd.DataFrame) -> tuple[str, float]:
    """The class with most of the pseudo-labels that count, and its part of an even share."""
    shares = shares_of_classes(classes).set_index("class")["share"]
    return str(shares.idxmax()), float(shares.max() * len(shares))


def _remedy(outcome: Outcome, accuracy: float, times: float) -> str | None:
    if outcome == "yes":
        return None
    if accuracy <= OFTEN_WRONG:
        return "more labels, or a higher threshold: what is learned is often wrong"
    if times > UNEVEN:
        return "fewer steps between the classes' first sure pictures: a lower rate, or more labels of the others"
    return "stronger views (`-S randaugment_ops=3`), or more unlabelled pictures: what counts is right, and adds little"
