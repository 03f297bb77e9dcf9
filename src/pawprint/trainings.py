"""Trainings as a person names them: a variant, one of its runs, or a folder; and what each left in files."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pawprint import paths
from pawprint.errors import PawprintError
from pawprint.params import nearest
from pawprint.types import RunSpec

RECORD = "run.json"


@dataclass(frozen=True)
class Training:
    """One training that has ended."""

    folder: Path  # of its weights and record
    spec: RunSpec
    record: dict[str, Any]  # as run.json has it

    def curves(self, kind: str) -> Path:
        """Its CSV of `steps`, `epochs` or `diagnostics`."""
        return Path(f"{_prefix(self.folder, self.spec)}{kind}.csv")


def folders(run: str) -> list[Path]:
    """Of a variant of this study (`/run-s0`: one of its runs), or those in a folder; empty where there is none."""
    inside = (RECORD, f"*/{RECORD}", str(paths.train_outputs("*").models / "*" / RECORD))
    for place in (Path(run), paths.train_outputs(run).models):
        records = sorted(record for pattern in inside for record in place.glob(pattern))
        if records:
            return [record.parent for record in records]
    return []


def unknown(run: str, also: str) -> PawprintError:
    """That nothing of this name is there; `also`: what else it might have been."""
    trained = sorted(folder.name for folder in paths.train_outputs("x").models.parent.glob("*"))
    near = nearest(run, trained) if trained else "there is none here; `dvc pull` or `dvc repro` brings them"
    return PawprintError(f"{run}: no variant that has been trained ({near}), no folder with a {RECORD}, and no {also}")


def read_training(folder: Path) -> Training:
    """What `train` wrote; PawprintError if it is of another version."""
    file = folder / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record["spec"].items()}
        return Training(folder, RunSpec(**settings), record)
    except ValidationError as error:  # a ValueError, with a page of text
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise unreadable(file, faults) from None
    except (ValueError, TypeError, KeyError) as error:
        raise unreadable(file, repr(error)) from None


def unreadable(file: Path, found: str) -> PawprintError:
    return PawprintError(f"{file}: expected what this version of pawprint writes, found {found}")


def _prefix(folder: Path, spec: RunSpec) -> str:
    """What the names of the run's CSVs begin with: of another folder for a study's runs, beside it for pretraining."""
    within = paths.train_outputs(spec.variant).models / spec.key
    whole = folder.resolve()
    if whole.parts[-len(within.parts) :] != within.parts:
        return f"{folder}{os.sep}"
    root = whole.parents[len(within.parts) - 1]
    return os.path.relpath(paths.train_outputs(spec.variant, root).curves / f"{spec.key}-")
