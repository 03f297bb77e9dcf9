"""How does the learning rate act, which is best, and by how much above the noise?

For runs that differ in nothing but their rate. Each rate's state is that of `convergence`. Val chooses the best; its
lead on test over each other run has the table's noise (`pawprint.comparison.contest`). *Yes*, one is best: its lead
over every other one is larger than the noise. *No*: there is another from which it cannot be told apart. *Cannot
tell*: there is no noise to measure a lead by (one seed, or too few runs that learned).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pawprint.comparison import Contest, RunComparison
from pawprint.report.readings import Outcome, Reading, listed, points
from pawprint.report.readings.convergence import WORDS, Convergence
from pawprint.types import short_number

TOO_LARGE = ("diverged", "learned nothing")


def best_rate(
    rows: Sequence[RunComparison],
    rates: Mapping[str, float],
    states: Mapping[str, Convergence],
    contest: Contest | None,
) -> Reading:
    """`rates` and `states` by the runs' labels; the rates after any batch-size rule."""
    ordered = sorted(rows, key=lambda row: rates[row.label])
    sentences = [_levels(ordered, rates)]
    sentences += [_acts(ordered, rates, states)]
    if contest is None:
        none = "No run finished, so that none can be chosen."
        return Reading("cannot tell", (*sentences, none), "lower rates: of these each diverged")
    said, lead, remedy = _lead(contest, rates)
    edge = _edge(contest.best, ordered, rates)
    return Reading(said, (*sentences, lead, *edge[:1]), remedy or (edge[1] if edge else None))


def _levels(ordered: Sequence[RunComparison], rates: Mapping[str, float]) -> str:
    found = [f"{_accuracy(row)} at {_rate(rates[row.label])}" for row in ordered]
    return f"Test accuracy, mean over seeds, is {listed(found)}."


def _acts(ordered: Sequence[RunComparison], rates: Mapping[str, float], states: Mapping[str, Convergence]) -> str:
    """Runs of one state are told together, from the smallest rate up."""
    groups: dict[str, list[str]] = {}
    for row in ordered:
        groups.setdefault(states[row.label].state, []).append(_rate(rates[row.label]))
    return (
        "; ".join(
            f"At {listed(found)} the run{'s' * (len(found) > 1)} {WORDS[state].split(':')[0]}"  # type: ignore[index]
            if place == 0
            else f"at {listed(found)} {'they' if len(found) > 1 else 'it'} {WORDS[state].split(':')[0]}"  # type: ignore[index]
            for place, (state, found) in enumerate(groups.items())
        )
        + "."
    )


def _lead(contest: Contest, rates: Mapping[str, float]) -> tuple[Outcome, str, str | None]:
    best = f"{contest.best} ({_rate(rates[contest.best])})"
    held = [lead for lead in contest.leads if lead.verdict != "same settings"]
    if not held:
        return "cannot tell", f"{best} is the only rate.", "try other rates: `-S '+variants.lr_3e-3.lr=3e-3'`"
    unknown = [lead for lead in held if lead.verdict == "cannot tell"]
    close = [lead for lead in held if lead.verdict in ("within noise", "worse")]
    chosen = f"Val chooses {best}"
    if unknown:
        names = listed([lead.over for lead in unknown])
        return (
            "cannot tell",
            f"{chosen}; of {names} the noise is not known, so that no lead can be told.",
            ("more seeds (`seeds: [0, 1, 2]`)"),
        )
    told = [f"{points(lead.change or 0)} ± {100 * (lead.noise or 0):.1f} over {lead.over}" for lead in held]
    if close:
        names = listed([lead.over for lead in close])
        return (
            "no",
            (f"{chosen}; on test its lead in points is {listed(told)}: not told apart from {names} above the noise."),
            None,
        )
    return "yes", f"{chosen}; on test its lead in points is {listed(told)}: larger than the noise each time.", None


def _edge(best: str, ordered: Sequence[RunComparison], rates: Mapping[str, float]) -> list[str]:
    """A sentence and a remedy, where the best is the first or the last of the rates."""
    if len(ordered) < 2 or best not in (ordered[0].label, ordered[-1].label):
        return []
    side = "smallest" if best == ordered[0].label else "largest"
    beyond = rates[best] * (0.3 if side == "smallest" else 3)
    return [
        f"It is the {side} rate tried, so that a still {side.removesuffix('est')}er one may be better.",
        f"try {_rate(beyond)} too: `-S '+variants.lr_{_rate(beyond)}.lr={_rate(beyond)}'`",
    ]


def _rate(rate: float) -> str:
    return short_number(float(f"{rate:.3g}"))


def _accuracy(row: RunComparison) -> str:
    return f"{100 * (row.scores['test_accuracy'] or 0):.1f} %"
