"""The tables of docs/diagnostics.md, from the outcomes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pawprint.symptoms import Kind
from tests.illnesses.outcomes import Outcome
from tests.illnesses.plants import PARTS, Plant, Training

DOCUMENT = Path(__file__).parents[2] / "docs/diagnostics.md"
BEGIN, END = "<!-- illnesses: written by `make illnesses` -->", "<!-- end of illnesses -->"
Plants = Sequence[tuple[Plant, Outcome]]
Healthy = Sequence[tuple[Training, Outcome]]


def write(plants: Plants, healthy: Healthy) -> None:
    """Write all tables between the marks of the document."""
    held = [(plant, outcome) for plant, outcome in plants if plant.part == "held back"]
    parts = [
        "### How many were named", score(plants, healthy),
        "### Planted (rows) and named first (columns), held back", confusion(held),
        "### Not named first or second", misses(plants),
        "### Healthy trainings that raised an alarm", false_alarms(healthy),
        "### Remedies: the first of the symptom named first, applied", cures(plants),
    ]  # fmt: skip
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}", encoding="utf-8")


def score(plants: Plants, healthy: Healthy) -> str:
    rows = [_row("trainings", "illnesses", "named first", "named first or second", "by the planted name itself",
                 "healthy", "without alarm", "better by the first remedy"), _row(*["---"] * 8)]  # fmt: skip
    for part in PARTS:
        ill = [(p, o) for p, o in plants if p.part == part]
        well = [o for t, o in healthy if t.part == part]
        cured = [o.cure for _, o in ill if o.cure]
        first = sum(bool({p.kind, *p.accepted} & {*o.kinds[:1]}) for p, o in ill)
        named, itself = sum(o.names(p) for p, o in ill), sum(p.kind in o.kinds[:2] for p, o in ill)
        share = f"{named} ({100 * named / max(1, len(ill)):.0f} %)"
        better = f"{sum(c.is_better for c in cured)} of {len(cured)}"
        rows.append(_row(part, len(ill), first, share, itself, len(well), sum(not o.alarms for o in well), better))
    return "\n".join(rows)


def confusion(plants: Plants) -> str:
    """The columns are those that were named first, in the order of the kinds; – is no symptom at all."""
    named = [o.kinds[0] if o.kinds else "–" for _, o in plants]
    columns = [kind for kind in (*get_args(Kind), "–") if kind in named]
    counts = Counter((p.kind, kind) for (p, _), kind in zip(plants, named, strict=True))
    rows = [_row("planted", *(f"`{kind}`" for kind in columns)), _row(*["---"] * (len(columns) + 1))]
    for kind in get_args(Kind):
        if any(p.kind == kind for p, _ in plants):
            rows.append(_row(f"`{kind}`", *(counts[kind, column] or "" for column in columns)))
    return "\n".join(rows)


def misses(plants: Plants) -> str:
    found = [(p, o) for p, o in plants if not o.names(p)]
    rows = [_row("part", "training", "planted", "named"), _row(*["---"] * 4)]
    rows += [_row(p.part, p.name, f"`{p.kind}`", _kinds(o)) for p, o in found]
    return "\n".join(rows) if found else "None."


def false_alarms(healthy: Healthy) -> str:
    found = [(t, o) for t, o in healthy if o.alarms]
    rows = [_row("part", "training", "alarms", "evidence of the first"), _row(*["---"] * 4)]
    rows += [_row(t.part, t.name, _kinds(o), o.symptoms[0].evidence) for t, o in found]
    return "\n".join(rows) if found else "None."


def cures(plants: Plants) -> str:
    """A row for each illness."""
    rows = [_row("part", "training", "planted", "named first", "remedy", "measure", "before", "after", "better"),
            _row(*["---"] * 9)]  # fmt: skip
    for plant, outcome in plants:
        first = f"`{outcome.kinds[0]}`" if outcome.kinds else "–"
        if outcome.cure is None:
            rows.append(_row(plant.part, plant.name, f"`{plant.kind}`", first, "none to apply", "", "", "", ""))
            continue
        cure = outcome.cure
        told = (f"{cure.before:.3g}", f"{cure.after:.3g}", "yes" if cure.is_better else "**no**")
        rows.append(_row(plant.part, plant.name, f"`{plant.kind}`", first, cure.says, plant.measure, *told))
    return "\n".join(rows)


def _kinds(outcome: Outcome) -> str:
    return ", ".join(f"`{kind}`" for kind in outcome.kinds) or "nothing"


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
