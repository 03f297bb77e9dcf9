"""How does the learning rate act, which is best, and by how much above the noise?

For runs that differ in nothing but their rate. Each rate's state is that of `convergence`. Val chooses the best; its
lead on test over each other run has the table's noise (`pawprint.comparison.contest`). *Yes*, one is best: its lead
over every other one is larger than the noise. *No*: there is another from which it cannot be told apart. *Cannot
tell*: there is no noise to measure a lead by (one seed, or too few runs that learned).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from pawprint.comparison import Contest, RunComparison, Verdict
from pawprint.report.readings import Outcome, Reading, listed, points
from pawprint.symptoms.trends import Convergence, State
from pawprint.types import short_number


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
    one_seed = min(row.n_seeds for row in rows) == 1
    said, lead, remedy = _lead(contest, rates, one_seed)
    edge = _edge(contest.best, ordered, rates) if said != "cannot tell" else []
    return Reading(said, (*sentences, lead, *edge[:1]), remedy or (edge[1] if edge else None))


def _levels(ordered: Sequence[RunComparison], rates: Mapping[str, float]) -> str:
    found = [f"{_accuracy(row)} at {_rate(rates[row.label])}" for row in ordered]
    return f"Test accuracy, mean over seeds, is {listed(found)}."


def _acts(ordered: Sequence[RunComparison], rates: Mapping[str, float], states: Mapping[str, Convergence]) -> str:
    """The states at the end of training, from the smallest rate up."""
    groups: dict[State, list[str]] = {}
    for row in ordered:
        groups.setdefault(states[row.label].state, []).append(_rate(rates[row.label]))
    told = "; ".join(f"{'not known' if state == 'cannot tell' else state} at {listed(found)}"
                     for state, found in groups.items())  # fmt: skip
    return f"How the runs stand when their epochs end: {told}."


def _lead(contest: Contest, rates: Mapping[str, float], one_seed: bool) -> tuple[Outcome, str, str | None]:
    best = f"{contest.best} ({_rate(rates[contest.best])})"
    held = [lead for lead in contest.leads if lead.verdict != "same settings"]
    if not held:
        return "cannot tell", f"{best} is the only rate.", "try other rates: `-S '+variants.lr_3e-3.lr=3e-3'`"
    of_verdict = {verdict: [lead.over for lead in held if lead.verdict == verdict] for verdict in get_args(Verdict)}
    if unknown := of_verdict["cannot tell"]:
        why = "with one seed" if one_seed else "as too few runs learned"
        lead = f"Val chooses {best}; of its lead over {listed(unknown)} the noise is not known, {why}."
        return "cannot tell", lead, "more seeds (`seeds: [0, 1, 2]`)" if one_seed else None
    leads = listed([f"{points(one.change or 0)} ± {100 * (one.noise or 0):.1f} over {one.over}" for one in held])
    told = f"Val chooses {best}; on test its lead in points is {leads}"
    if behind := of_verdict["worse"]:
        return "no", f"{told}: test does not bear the choice out, {listed(behind)} is better above the noise.", None
    if close := of_verdict["within noise"]:
        return "no", f"{told}: not told apart from {listed(close)} above the noise.", None
    return "yes", f"{told}: larger than the noise{' each time' * (len(held) > 1)}.", None


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
