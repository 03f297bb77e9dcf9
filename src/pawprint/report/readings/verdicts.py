"""A question's answer in sentences, by rule, from the rows of the table: no more than the noise allows."""

from __future__ import annotations

from collections.abc import Sequence

from pawprint.comparison import RunComparison
from pawprint.report.readings import Outcome, points

SAID = {"better": "better", "worse": "worse", "within noise": "no different above the noise"}


def answer(rows: Sequence[RunComparison]) -> list[str]:
    """For each reference that runs of the question are held against a sentence, then what went wrong."""
    lines = []
    for against in dict.fromkeys(row.against for row in rows if row.against is not None):
        held = [row for row in rows if row.against == against]
        parts = [part for verdict, words in SAID.items() if (part := _part(held, verdict, words))]
        lines += [f"Against {against}: {'; '.join(parts)}."] if parts else []
    equal = [row for row in rows if row.verdict == "same settings"]
    lines += [f"{row.label} has the settings of {row.against}: nothing to tell." for row in equal]
    lines += [f"{_names(unknown)}: cannot be told." for unknown in [[r for r in rows if r.verdict == "cannot tell"]]
              if unknown]  # fmt: skip
    lines += [f"{row.label} diverged with {row.n_diverged} of {_seeds(row)}." for row in rows if row.n_diverged]
    lines += [
        f"{row.label} did not learn with {row.n_at_chance} of {_seeds(row)} (a guess is right {_percent(row.chance)})."
        for row in rows
        if row.n_at_chance
    ]
    return lines


def helps(row: RunComparison) -> tuple[Outcome, str]:
    """The table's verdict on a run, as an answer to `does it help?`."""
    if row.noise is None or row.change is None:
        return "cannot tell", f"Whether it helps cannot be told: {_why(row)}."
    size = f"{points(row.change)} ± {100 * row.noise:.1f} points of test accuracy against {row.against}"
    if row.verdict == "better":
        return "yes", f"It helps: {size}."
    if row.verdict == "worse":
        return "no", f"It does harm: {size}."
    if row.verdict == "within noise":
        return "cannot tell", f"That it helps or harms is not shown: {size}, which is within the noise."
    return "cannot tell", f"Whether it helps cannot be told: {_why(row)}."


def _why(row: RunComparison) -> str:
    if row.verdict == "same settings":
        return f"{row.label} has the settings of {row.against}"
    if row.n_diverged:
        return f"{row.label} diverged with {row.n_diverged} of {row.n_seeds} seeds"
    return "there is no noise to hold the change against (one seed each, or a reference that diverged)"


def _part(rows: Sequence[RunComparison], verdict: str, words: str) -> str:
    """`better: nesterov (+0.6 ± 0.4 points)`, the largest change first; empty where no run has the verdict."""
    found = sorted((row for row in rows if row.verdict == verdict), key=lambda row: -abs(row.change or 0.0))
    if not found:
        return ""
    if verdict == "within noise":
        return f"{words}: {', '.join(row.label for row in found)}"
    return f"{words}: " + ", ".join(
        f"{row.label} ({100 * (row.change or 0):+.1f} ± {100 * (row.noise or 0):.1f} points)" for row in found
    )


def _names(rows: Sequence[RunComparison]) -> str:
    return ", ".join(row.label for row in rows)


def _seeds(row: RunComparison) -> str:
    return f"{row.n_seeds} seed{'s' * (row.n_seeds > 1)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
