"""What the model tests catch and what they accuse wrongly, as tables in docs/model-tests.md.

    python -m tests.faults [FAULT …]

Each planted fault and each healthy work (three networks, five seeds) is audited with every test. Without names the
tables in the document are written anew; with names, those faults are audited and told.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.faults.planted import FAULTS, Fault
from tests.faults.works import MODELS, SEEDS, Outcome, Works

DOCUMENT = Path(__file__).parents[2] / "docs/model-tests.md"
BEGIN, END = "<!-- faults: written by `make faults` -->", "<!-- end of faults -->"


def main(names: list[str]) -> None:
    """Audit, tell each outcome on stderr, and write the tables."""
    chosen = [fault for fault in FAULTS if fault.name in names] if names else list(FAULTS)
    with tempfile.TemporaryDirectory() as folder:
        works = Works(Path(folder))
        planted = [(fault, _told(fault.name, works.audit_with(fault))) for fault in chosen]
        if names:
            return
        healthy = {
            (model, seed): _told(f"healthy {model} {seed}", works.audit_healthy(model, seed))
            for model in MODELS
            for seed in SEEDS
        }
    _write(planted_table(planted) + "\n" + summary(planted, healthy))


def _told(name: str, outcome: Outcome) -> Outcome:
    print(f"{name}: failed {sorted(outcome.failed)}, could not run {sorted(outcome.stopped)}", file=sys.stderr)
    for test in sorted(outcome.failed | outcome.stopped):
        print(f"    {test}: {outcome.readings[test]}", file=sys.stderr)
    return outcome


def planted_table(planted: list[tuple[Fault, Outcome]]) -> str:
    """A row for each fault."""
    rows = ["| planted | in a | caught by | also failed | could not run |", "| --- | --- | --- | --- | --- |"]
    for fault, outcome in planted:
        caught = f"`{fault.caught_by}`" if fault.caught_by in outcome.failed else "**missed**"
        others = [", ".join(f"`{name}`" for name in sorted(names)) or "–" for names in
                  (outcome.failed - {fault.caught_by}, outcome.stopped)]  # fmt: skip
        rows.append(f"| {fault.name} | {fault.model} | {caught} | {others[0]} | {others[1]} |")
    return "\n".join(rows) + "\n"


def summary(planted: list[tuple[Fault, Outcome]], healthy: dict[tuple[str, int], Outcome]) -> str:
    """Recall and false alarms of each test."""
    of_test = Counter(fault.caught_by for fault, _ in planted)
    caught = Counter(fault.caught_by for fault, outcome in planted if fault.caught_by in outcome.failed)
    by_consequence = Counter(n for fault, o in planted for n in o.failed & set(fault.also))
    elsewhere = Counter(n for fault, o in planted for n in o.failed - {fault.caught_by, *fault.also})
    on_healthy = Counter(name for outcome in healthy.values() for name in outcome.failed | outcome.stopped)
    header = ["test", "its faults caught", "other tests' faults, failed by consequence", "false alarms on these"]
    header.append(f"false alarms on {len(healthy)} healthy works")
    rows = [" | ".join(header), " | ".join(["---"] * len(header))]
    rows += [
        f"`{name}` | {caught[name]} of {n} | {by_consequence[name]} | {elsewhere[name]} | {on_healthy[name]}"
        for name, n in of_test.items()
    ]
    sums = [sum(counts.values()) for counts in (caught, by_consequence, elsewhere, on_healthy)]
    rows.append(f"all | {sums[0]} of {len(planted)} | {sums[1]} | {sums[2]} | {sums[3]}")
    return "".join(f"| {row} |\n" for row in rows)


def _write(tables: str) -> None:
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
