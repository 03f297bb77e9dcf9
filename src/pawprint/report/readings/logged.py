"""Was everything logged as it was asked for, and do a run's logs agree with each other?

For each training the settings that `resolve` wrote down (what was asked for) are held against those that the training
wrote beside its weights, which are also what its trackers are told (what was logged), and its curves against its
metrics: as many steps as epochs times steps an epoch, rates of the size that was set, the chosen epoch the best by its
own rule, its validation scores those of the curve, and the test scores of `train` those of `test`, which computes them
again from the saved weights. A training that diverged ends early: its steps and epochs are not held to the settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pawprint.params import spec_as_dict
from pawprint.report.readings import Reading, listed
from pawprint.types import RUN_SETTINGS, RunSpec

RELATIVE = 1e-6  # CSVs and JSON hold what the training had; sums over another order may end otherwise
SHOWN = ("epochs", "batch_size", "optimizer", "lr", "scheduler", "model", "pretrained")  # in the table


@dataclass(frozen=True)
class Logged:
    """One training's logs. Scores are NaN where they are not finite."""

    asked: RunSpec
    recorded: dict[str, Any]  # run.json
    trained: dict[str, Any]  # metrics/train
    tested: dict[str, Any]  # metrics/test
    steps: pd.DataFrame
    epochs: pd.DataFrame


def logged_as_asked(logs: Sequence[Logged]) -> Reading:
    """A line for each training, and what does not agree."""
    faults = {one.asked.name: [*settings_apart(one), *curves_apart(one)] for one in logs}
    table = tuple(_line(one, faults[one.asked.name]) for one in logs)
    wrong = [f"{name}: {'; '.join(found)}" for name, found in faults.items() if found]
    counted = (
        f"{len(logs)} trainings: {len(RUN_SETTINGS)} settings each, asked for and logged; steps, rates, chosen epoch "
        "and scores of their curves against their metrics; test scores computed twice"
    )
    if not logs:
        return Reading("cannot tell", ("There is no training here.",))
    if wrong:
        remedy = "train these again: `dvc repro --force train@VARIANT test@VARIANT`"
        return Reading("no", (f"{counted}. In {len(wrong)} something does not agree.", *wrong), remedy, table)
    return Reading("yes", (f"{counted}. All of it agrees.",), table=table)


def settings_apart(one: Logged) -> list[str]:
    asked, logged = spec_as_dict(one.asked), one.recorded["spec"]
    names = [name for name in RUN_SETTINGS if logged.get(name) != asked[name]]
    return [f"{name}: asked for {asked[name]!r}, logged {logged.get(name)!r}" for name in names]


def curves_apart(one: Logged) -> list[str]:
    """What the curves say otherwise than the metrics or the settings."""
    spec, epochs, steps = one.asked, one.epochs, one.steps
    faults = []
    finished = one.recorded["outcome"] == "finished"
    if finished and int(epochs["epoch"].max()) != spec.epochs:
        faults.append(f"epochs: asked for {spec.epochs}, the curve has {int(epochs['epoch'].max())}")
    if finished and len(steps) != one.trained["steps"]:
        faults.append(f"steps: metrics say {one.trained['steps']}, the curve has {len(steps)}")
    faults += _rates_apart(spec, steps)
    chosen = epochs[epochs["epoch"] == one.trained["selected_epoch"]]
    for name in ("val_loss", "val_accuracy"):
        curve = float(chosen[name].iloc[0]) if len(chosen) else math.nan
        if not _same(curve, one.trained[name]):
            faults.append(f"{name} of epoch {one.trained['selected_epoch']}: the curve has {curve:g}, metrics "
                          f"{one.trained[name]}")  # fmt: skip
    if (best := _best_epoch(spec, epochs)) is not None and best != one.trained["selected_epoch"]:
        faults.append(f"{spec.select_on} is best after epoch {best}, chosen was {one.trained['selected_epoch']}")
    faults += [
        f"test {name}: train says {one.trained[f'test_{name}']}, test {one.tested[name]}"
        for name in ("loss", "accuracy")
        if not _same(one.trained[f"test_{name}"], one.tested[name], 1e-3)
    ]
    return faults


def _rates_apart(spec: RunSpec, steps: pd.DataFrame) -> list[str]:
    """A constant rate is what was set at each step; of schedules `pawprint.report.readings.schedule` tells."""
    rates = steps["learning_rate"]
    if spec.scheduler != "none":
        return []
    off = rates[(rates - spec.scaled_lr).abs() > RELATIVE * spec.scaled_lr]
    return [f"learning rate: asked for {spec.scaled_lr:g}, logged {off.iloc[0]:g}"] if len(off) else []


def _best_epoch(spec: RunSpec, epochs: pd.DataFrame) -> int | None:
    """By the rule that chooses; the first of equals. None where no epoch after the first has a finite loss."""
    sound = epochs[(epochs["epoch"] > 0) & epochs["val_loss"].notna()]
    if sound.empty:
        return None
    scores = sound[spec.select_on]
    return int(sound.loc[scores.idxmin() if spec.select_on == "val_loss" else scores.idxmax(), "epoch"])


def _same(one: float | None, other: float | None, relative: float = RELATIVE) -> bool:
    a, b = (math.nan if value is None else float(value) for value in (one, other))
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=relative, abs_tol=relative)


def _line(one: Logged, faults: Sequence[str]) -> dict[str, str]:
    asked, logged = spec_as_dict(one.asked), one.recorded["spec"]
    values = {name: f"{asked[name]:g}" if isinstance(asked[name], float) else str(asked[name]) for name in SHOWN}
    cells = {
        name: value if logged.get(name) == asked[name] else f"{value}, logged {logged.get(name)}"
        for name, value in values.items()
    }
    return {"training": one.asked.name, **cells, "agrees": "yes" if not faults else listed(list(faults))}
