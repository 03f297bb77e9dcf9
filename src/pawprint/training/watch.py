"""Warnings while a training goes on, of what need not wait for its end (`pawprint.symptoms.early`).

They are made from the rows that the history has anyway, at the end of an epoch, and only said: nothing of the training
hangs on them, and nothing is drawn or written. Each kind is said once. The curves are looked at again when they are
half as long again as at the last look, so that a training of many short epochs is not slowed by what it is warned of;
the gradients of each layer at each step, which are most of the rows, are left to the end.
"""

from __future__ import annotations

from pawprint.symptoms import GRADIENT, Curves, Facts, Symptom
from pawprint.symptoms.early import warnings_of
from pawprint.training.history import History
from pawprint.types import Data, RunSpec

LONGER = 1.5  # times the steps of the last look


class Watch:
    """One training's warnings."""

    def __init__(self, spec: RunSpec, data: Data) -> None:
        self.seed = spec.seed
        self.facts = Facts(spec, len(data.class_names), len(data.train), spec.has_batch_norm)
        self.said: set[str] = set()
        self.n_looked = 0
        self.is_broken = False

    def news(self, history: History) -> list[str]:
        """What has to be said after an epoch that was not said before."""
        if self.is_broken:
            return []
        try:
            return self._found(history)
        except Exception as error:  # noqa: BLE001 a rule that fails must not end a training
            self.is_broken = True
            return [f"warnings are left out from here on: a rule failed: {type(error).__name__}: {error}"]

    def _found(self, history: History) -> list[str]:
        if len(history.steps) < LONGER * self.n_looked or not history.steps:
            return []
        self.n_looked = len(history.steps)
        steps, epochs = history.tables()
        measured = history.diagnostics_table()
        layers = measured[~measured["quantity"].astype(str).str.startswith(GRADIENT)]
        curves = Curves(*(table.assign(seed=self.seed) for table in (steps, epochs, layers)))
        found = [one for one in warnings_of(curves, self.facts) if one.is_alarm and one.kind not in self.said]
        self.said |= {one.kind for one in found}
        return [_line(one) for one in found]


def _line(symptom: Symptom) -> str:
    remedy = next((one for one in symptom.remedies if one.settings), None)
    tried = f"; to try: {remedy.says}, {remedy.options}" if remedy else ""
    return f"warning: {symptom.kind.replace('_', ' ')}: {symptom.evidence}{tried}"
