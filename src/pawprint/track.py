"""`pawprint track RUN`: tell W&B a training that it was not told, or not all of.

For a run whose service did not answer, and for one that came out of DVC's cache and so was never trained here. What
is told is read from the run's record and CSVs, or from the rows that still wait; it is what the training itself
tells, in the run of the same id, and what the service has already is not told twice.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pawprint import paths, trainings
from pawprint.errors import PawprintError, SettingsError
from pawprint.tracking import finite, retell
from pawprint.tracking.account import mode, speaks_to_the_service
from pawprint.tracking.rows import Collected, Head, Row, merged
from pawprint.tracking.spool import forget, read_spool

INIT_SECONDS = 60.0  # for the service to say anything
FINISH_SECONDS = 300.0  # for it to take all rows
CONFIRM_SECONDS = 60.0  # for it to say that it has them


@dataclass(frozen=True)
class Told:
    """All that W&B is told of a run."""

    head: Head
    rows: list[Row]
    waiting: Path  # the file of rows that is done with once they have arrived


def track(runs: list[str], everything: bool) -> Iterator[str]:
    """Tell W&B each of `runs`, or all of the study, one after the other; yields a line for each."""
    if bool(runs) == everything:
        raise SettingsError(["track: expected either runs or --all; `pawprint track --help` says what a run is"])
    if mode() == "disabled":
        raise PawprintError("WANDB_MODE=disabled: W&B is told nothing; unset it, or set it to online or offline")
    found = _all() if everything else [told for run in runs for told in _find(run)]
    for told in found:
        yield f"{told.head.name}: {_send(told) if speaks_to_the_service() else _write(told)}"


def _all() -> list[Told]:
    everywhere = paths.train_outputs("*").models / "*" / trainings.RECORD
    records = sorted(Path().glob(str(everywhere))) + sorted(paths.PRETRAINED.glob(trainings.RECORD))
    if not records:
        raise PawprintError(f"{everywhere}: no training here; `dvc pull` or `dvc repro` brings them")
    return [_from_record(record.parent) for record in records]


def _find(run: str) -> list[Told]:
    """A file of rows that wait, or what `trainings.folders` finds."""
    if Path(run).is_file():
        head, rows = read_spool(Path(run))
        return [Told(head, list(rows), Path(run))]
    found = trainings.folders(run)
    if not found:
        raise trainings.unknown(run, also="file of rows that wait")
    return [_from_record(folder) for folder in found]


def _from_record(folder: Path) -> Told:
    """Read what `train` wrote; PawprintError if a part is missing or of another version."""
    training = trainings.read_training(folder)
    spec, record = training.spec, training.record
    try:
        config = {**record["spec"], "split_hash": record["split_hash"]}
        head = Head(record["id"], spec.name, spec.study, config)
        steps, test = record["steps"], {f"test_{name}": value for name, value in record["test"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise trainings.unreadable(folder / trainings.RECORD, repr(error)) from None
    rows = Collected()
    retell(rows, _table(training.curves("steps")), _table(training.curves("epochs")))
    rows.finish(finite({name: value for name, value in test.items() if value is not None}), steps)
    return Told(head, rows.rows, paths.unsent(head.run_id))


def _table(file: Path) -> list[dict[str, float]]:
    try:
        with file.open(encoding="utf-8", newline="") as table:
            return [finite({k: float(v) for k, v in row.items() if v}) for row in csv.DictReader(table)]
    except FileNotFoundError:
        raise PawprintError(f"{file}: no such file; `dvc pull {file.parent}` or `dvc repro` brings it") from None
    except (ValueError, TypeError) as error:
        raise PawprintError(f"{file}: expected a table of numbers ({error}); `dvc checkout` brings it back") from None


def _write(told: Told) -> str:
    """Into files, as a training does without an account."""
    from pawprint.tracking.wandb import Wandb

    run = Wandb(paths.tracker_files("wandb"), told.head)
    for step, values in merged(told.rows):
        run.put(values, step)
    folder = Path(run.run.dir).parent
    run.close()
    return f"{_rows(told)} in {os.path.relpath(folder)}; with an account, this command or `wandb sync` sends them"


def _send(told: Told) -> str:
    from pawprint.tracking.wandb import deliver

    limits: dict[str, Any] = {
        "init_timeout": INIT_SECONDS, "finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True,
    }  # fmt: skip
    try:
        page = deliver(told.head, told.rows, CONFIRM_SECONDS, **limits)
    except Exception as error:  # whatever W&B's client raises
        raise PawprintError(
            f"W&B did not take {told.head.name} ({type(error).__name__}: {' '.join(str(error).split())}). Nothing is "
            "lost: the same command sends what is missing. If it is the key: `wandb login`, or set WANDB_API_KEY; "
            "WANDB_MODE=offline writes files instead"
        ) from error
    forget(told.waiting)
    return f"{_rows(told)} at {page}"


def _rows(told: Told) -> str:
    return f"all {sum(1 for _ in merged(told.rows))} rows"
