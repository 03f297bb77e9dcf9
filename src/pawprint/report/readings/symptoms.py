"""What is wrong with which run, by its curves: the findings of `pawprint.symptoms`, a line a run.

The rules, their lines and their sources stand there; how often they are right is counted in docs/diagnostics.md. Here
is only told which runs have an alarm, and of each run its first finding with the evidence and what to try. A run
without an alarm has its state: converged, or still improving. What was not measured was not judged: without
`diagnostics:` nothing is known of single layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pawprint.report.readings import Reading, listed
from pawprint.symptoms import Symptom
from pawprint.symptoms.told import TITLES, sureness

MOST_TRIED = 3  # remedies of a run
MOST_NAMED = 15  # runs in a sentence


def symptoms_of(found: Mapping[str, Sequence[Symptom]]) -> Reading:
    """`found`: run → findings, the surest first. `yes`: at least one run has an alarm."""
    by_kind: dict[str, list[str]] = {}
    for name, symptoms in found.items():
        for symptom in symptoms[:1]:
            if symptom.is_alarm:
                by_kind.setdefault(TITLES[symptom.kind], []).append(f"{name} ({sureness(symptom.confidence)})")
    n_ill = sum(map(len, by_kind.values()))
    sentences = [f"{n_ill or 'None'} of the {len(found)} runs {'have' if n_ill > 1 else 'has'} an alarm."]
    sentences += [f"{title.capitalize()}: {_few(names)}." for title, names in by_kind.items()]
    return Reading("yes" if n_ill else "no", tuple(sentences), table=tuple(_line(*one) for one in found.items()))


def _few(names: list[str]) -> str:
    return listed(names) if len(names) <= MOST_NAMED else f"{len(names)} runs"


def _line(name: str, symptoms: Sequence[Symptom]) -> dict[str, str]:
    """A run's first finding, and which others it has."""
    if not symptoms:
        return {"run": name, "symptom": "none", "evidence": "", "to try": "", "also": ""}
    first, *others = symptoms
    remedies = [f"{one.says} ({one.options})" if one.settings else one.says for one in first.remedies[:MOST_TRIED]]
    return {
        "run": name,
        "symptom": f"{TITLES[first.kind]}, {sureness(first.confidence)}" if first.is_alarm else TITLES[first.kind],
        "evidence": first.evidence,
        "to try": "; ".join(remedies),
        "also": ", ".join(TITLES[other.kind] for other in others),
    }
