"""Does a batch-size rule hold: is the rate that it gives the right one for another batch?

A rule says how the rate is to change with the batch so that the training stays the same over the examples seen: the
linear one for SGD (arXiv 1706.02677), for Adam the square root, and with betas and eps too the full one (arXiv
2205.10287). Three runs decide: the reference, the other batch at the same rate, and the other batch at the rule's.

The rule *holds* where the ruled run is no different from the reference above the noise, and the unruled one is worse
than it: the rule was needed, and did what it says. It does *not hold* where the ruled run is different beyond the
noise. Where neither differs the experiment *cannot tell*: this batch is small enough for either rate, or the noise is
too large, which is given. Beside that stands how far the training losses are apart over the examples seen, as a
measurement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pawprint.comparison import RunComparison
from pawprint.report.readings import Outcome, Reading, listed, points
from pawprint.types import RunSpec

RULES = {
    "linear": "the linear rule",
    "sqrt": "the square-root rule",
    "adam_full": "Adam's full rule (rate, betas and eps)",
}


def rules(rows: Sequence[RunComparison], specs: Mapping[str, RunSpec], steps: pd.DataFrame) -> dict[str, Reading]:
    """A reading for each rule that a run of the question follows; `specs` by the runs' labels, the reference's too.

    `steps`: of all these runs, with `training_loss_smoothed`.
    """
    found: dict[str, Reading] = {}
    for row in rows:
        spec = specs[row.label]
        if spec.lr_scaling == "none" or spec.batch_ratio == 1 or row.against not in specs:
            continue
        plain = [
            other for other in rows
            if specs[other.label].lr_scaling == "none" and specs[other.label].batch_size == spec.batch_size
            and other.against == row.against
        ]  # fmt: skip
        found[spec.lr_scaling] = _reading(row, plain[0] if plain else None, specs, steps)
    return found


def _reading(
    row: RunComparison, plain: RunComparison | None, specs: Mapping[str, RunSpec], steps: pd.DataFrame
) -> Reading:
    spec = specs[row.label]
    outcome, why = holds(row, plain)
    rule = RULES[spec.lr_scaling]
    said = {"yes": "holds here", "no": "does not hold here"}.get(outcome, "is neither borne out nor refuted here")
    batches = f"batch {spec.batch_size} against {specs[str(row.against)].batch_size}"
    head = f"{rule[0].upper()}{rule[1:]} {said} ({batches}): {why}."
    distances = [
        f"{distance(steps, other, str(row.against), specs):.3g} for {other.label}" for other in (row, plain) if other
    ]
    measured = (
        f"From {row.against}, at equal numbers of examples seen, the training loss is off by (mean over the training) "
        f"{listed(distances)}."
    )
    remedy = None
    if outcome == "cannot tell":
        remedy = "a larger batch, where the rate must matter, or more seeds, which lower the noise"
    elif outcome == "no":
        remedy = "choose the rate for this batch on val"
    return Reading(outcome, (head, measured), remedy)


def holds(row: RunComparison, plain: RunComparison | None) -> tuple[Outcome, str]:
    """By the table's verdicts on the ruled and the unruled run."""
    if row.verdict in (None, "cannot tell", "same settings") or row.noise is None:
        return "cannot tell", f"{row.label} cannot be held against {row.against}"
    size = _size(row)
    if row.verdict == "worse":
        return "no", f"{row.label} is worse than {row.against} ({size})"
    if row.verdict == "better":
        return "no", f"{row.label} is not the same as {row.against} but better ({size})"
    if plain is None or plain.noise is None or plain.verdict in (None, "cannot tell"):
        return "cannot tell", (
            f"{row.label} is within the noise of {row.against} ({size}), and there is no run at the same rate to say "
            "whether a rule was needed"
        )
    if plain.verdict == "within noise":
        return "cannot tell", (
            f"{row.label} is within the noise of {row.against} ({size}), and so is {plain.label}, which keeps the rate "
            f"({_size(plain)})"
        )
    return "yes", (
        f"{row.label} is within the noise of {row.against} ({size}), and {plain.label}, which keeps the rate, is "
        f"{plain.verdict} ({_size(plain)})"
    )


def distance(steps: pd.DataFrame, row: RunComparison, against: str, specs: Mapping[str, RunSpec]) -> float:
    """Mean absolute difference of the smoothed training losses, mean over seeds, at equal numbers of examples seen."""
    means = []
    for name in (row.label, against):
        spec = specs[name]
        own = steps[(steps["variant"] == spec.variant) & (steps["run"] == spec.run)]
        means.append(own.groupby("examples_seen")["training_loss_smoothed"].mean().dropna())
    ours, theirs = means
    if ours.empty or theirs.empty:
        return float("nan")
    start, end = (pick(float(m.index[side]) for m in means) for pick, side in ((max, 0), (min, -1)))
    at = np.linspace(start, end, 200)
    lines = [np.interp(at, mean.index.to_numpy(dtype=float), mean.to_numpy()) for mean in (ours, theirs)]
    return float(np.abs(lines[0] - lines[1]).mean())


def _size(row: RunComparison) -> str:
    return f"{points(row.change or 0)} ± {100 * (row.noise or 0):.1f} points"
