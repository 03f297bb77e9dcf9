"""Planted illnesses and healthy trainings, diagnosed; and each first remedy applied. Tables in docs/diagnostics.md.

    python -m tests.illnesses [PART | WORD …]

Without arguments all are trained, in two processes, and the tables are written anew. With `calibration` or `held back`,
or words of their names, those trainings are run and told.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

from tests.illnesses.outcomes import Outcome, outcome_of
from tests.illnesses.plants import HEALTHY, PLANTS, Plant, Training
from tests.illnesses.tables import write

ALL: tuple[Training, ...] = (*PLANTS, *HEALTHY)


def main(words: Sequence[str]) -> None:
    """Train, tell each outcome on stderr, and write the tables."""
    chosen = [i for i, t in enumerate(ALL) if not words or any(word == t.part or word in t.name for word in words)]
    with ProcessPoolExecutor(2) as pool:
        found = zip(chosen, pool.map(_number, chosen), strict=True)
        outcomes = [(ALL[i], _told(ALL[i], outcome)) for i, outcome in found]
    if not words:
        plants = [(t, outcome) for t, outcome in outcomes if isinstance(t, Plant)]
        write(plants, [(t, outcome) for t, outcome in outcomes if not isinstance(t, Plant)])


def _number(number: int) -> Outcome:
    """The outcome of a training by its number: trainings hold functions, which do not travel to another process."""
    warnings.filterwarnings("ignore", module="lightning|torch")
    return outcome_of(ALL[number])


def _told(training: Training, outcome: Outcome) -> Outcome:
    is_right = outcome.names(training) if isinstance(training, Plant) else not outcome.alarms
    cure = outcome.cure
    helped = f"; {cure.says}: {cure.before:.3g} to {cure.after:.3g}{'' if cure.is_better else ' WORSE'}" if cure else ""
    planted = f" ({training.kind})" if isinstance(training, Plant) else ""
    named = ", ".join(f"{symptom.kind} {symptom.confidence:.2f}" for symptom in outcome.symptoms)
    print(f"{'right' if is_right else 'WRONG'} {training.name}{planted}: {named}{helped}", file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    main(sys.argv[1:])
