"""What somebody said, held against a study's numbers: confirmed, refuted or not decidable.

A claim of params.yaml (`claims:`) says which numbers would bear it out and which would speak against it; what it
expects is settled before the runs, not after them. An expectation is met where the difference between two runs is
larger than the luck of their seeds:

    {measure: test_accuracy, of: adam, above: sgd}   the mean over seeds of one run stands above that of the other
    {of: adamw_wd_0, same_as: adam}                  the same training, step by step, with every seed

The rule: *refuted* where an expectation of `refuted_by` is met (each is written so that it suffices alone), or one of
`confirmed_by` that two are the same training is not (there is no luck in that); else *confirmed* where all of
`confirmed_by` are met, else *not decidable*.

Measures, of one training:

    test_accuracy   of the weights that val chose
    overfitting     accuracy on train less that on test, after the last epoch
    swing           mean absolute change of val accuracy from an epoch to the next, over the second half of the epochs
    weight_norm     L2 norm of the weight matrices when they were last measured (`diagnostics: [weight_norm]`)

The noise of a test accuracy is that of the table (`pawprint.comparison`). That of another measure is t · √(φ (1/n +
1/m)) for n and m seeds, φ being the scatter between seeds, pooled over the runs of both variants that finished and
learned; trainings that are equal to the last digit count once. Of `overfitting` the luck of the test pictures is part,
as it is of accuracy. Holm's step-down over all expectations keeps the chance of any false one at 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from pawprint.comparison import TRAINING, Answers, Difference, accuracy_difference, holm, pictures_variance, pooled
from pawprint.labels import RunName, coinciding, differences, label
from pawprint.params import runs_named
from pawprint.types import Claim, Expectation, Measure, RunSpec

SAME = ["training_loss", "learning_rate"]  # of each step: what tells two trainings apart
OF_TEST = ("test_accuracy", "overfitting")  # measures that the luck of the test pictures is part of
SECOND_HALF = 0.5
WORDS: dict[Measure, str] = {
    "test_accuracy": "test accuracy",
    "overfitting": "over-fitting (train less test accuracy)",
    "swing": "the swing of val accuracy between epochs",
    "weight_norm": "the weights' norm",
}

Outcome = Literal["confirmed", "refuted", "not decidable"]
Speaks = Literal["for", "against"]


@dataclass(frozen=True)
class Numbers:
    """All that the trainings of a study left, a row or more for each (variant, run, seed)."""

    scores: pd.DataFrame  # outcome, test_accuracy
    answers: Answers
    steps: pd.DataFrame  # step, training_loss, learning_rate
    epochs: pd.DataFrame  # epoch, val_accuracy and, where asked for, train_accuracy and test_accuracy
    diagnostics: pd.DataFrame  # step, quantity, value


@dataclass(frozen=True)
class _Asked:
    """An expectation of a claim, its runs found."""

    claim: str
    speaks: Speaks
    measure: Measure | None
    of: RunName
    beside: RunName


@dataclass(frozen=True)
class Evidence:
    """An expectation and what came of it. None: not measured, or nothing to measure the noise by."""

    speaks: Speaks
    measure: Measure | None  # None: whether both are the same training
    of: str
    beside: str  # the run it is held against
    settings: str  # what differs between the two
    change: float | None
    noise: float | None
    met: bool | None

    @property
    def decides_against(self) -> bool:
        """Whether the claim cannot hold."""
        if self.speaks == "against":
            return bool(self.met)
        return self.measure is None and self.met is False


@dataclass(frozen=True)
class Judged:
    """A claim, and what the numbers say of it."""

    name: str
    says: str
    outcome: Outcome
    evidence: list[Evidence]


def judge(claims: Mapping[str, Claim], specs: Sequence[RunSpec], numbers: Numbers) -> list[Judged]:
    """Each claim with its evidence, in their order."""
    of_run = {(spec.variant, spec.run): spec for spec in reversed(specs)}
    measured, same = measures(numbers), coinciding(specs)
    asked = [asked for name, claim in claims.items() for asked in _asked(name, claim, list(of_run))]
    changes = [difference(a.measure, a.of, a.beside, measured, numbers, same) if a.measure else None for a in asked]
    found: dict[str, list[Evidence]] = {name: [] for name in claims}
    for one, change, noise in zip(asked, changes, _noises(changes), strict=True):
        settings = differences(of_run[one.of], of_run[one.beside])
        found[one.claim].append(_evidence(one, settings, change, noise, numbers))
    return [Judged(name, claim.says, outcome(found[name]), found[name]) for name, claim in claims.items()]


def outcome(evidence: Sequence[Evidence]) -> Outcome:
    """The rule over what was met."""
    if any(e.decides_against for e in evidence):
        return "refuted"
    supports = [e.met for e in evidence if e.speaks == "for"]
    return "confirmed" if supports and all(supports) else "not decidable"


def reading(judged: Judged) -> list[str]:
    """A sentence for each piece of evidence, what is decisive first; of two runs both ways round, one."""
    ordered = sorted(judged.evidence, key=lambda e: (not e.decides_against, not e.met))
    once = {(e.measure, frozenset({e.of, e.beside})): e for e in reversed(ordered)}
    return [_sentence(e) for e in ordered if e in once.values()]


def as_json(claims: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """name → what is said of it, with the evidence in numbers and the readings in words."""
    return {
        claim.name: {
            "says": claim.says,
            "outcome": claim.outcome,
            "reading": reading(claim),
            "evidence": [asdict(e) for e in claim.evidence],
        }
        for claim in claims
    }


def run_of(name: str, runs: Sequence[RunName]) -> RunName:
    """The first run that `variant` or `variant/run` names."""
    return runs_named(name, runs)[0]


def measures(numbers: Numbers) -> pd.DataFrame:
    """A row for each training that finished and learned, a column for each measure; NaN where it was not measured."""
    table = numbers.scores.assign(**numbers.answers.learned().reset_index(drop=True))
    sound = (table["outcome"] == "finished") & ~table["at_chance"]
    result = table.set_index(TRAINING)[["test_accuracy"]]
    epochs = numbers.epochs.sort_values("epoch", kind="stable")
    last = epochs.groupby(TRAINING, sort=False).tail(1).set_index(TRAINING)
    accuracies = last.reindex(columns=["train_accuracy", "test_accuracy"])
    result["overfitting"] = accuracies["train_accuracy"] - accuracies["test_accuracy"]
    result["swing"] = epochs.groupby(TRAINING, sort=False)["val_accuracy"].agg(swing)
    norms = numbers.diagnostics[numbers.diagnostics["quantity"] == "weight_norm"]
    result["weight_norm"] = norms.sort_values("step", kind="stable").groupby(TRAINING, sort=False)["value"].last()
    return result[sound.to_numpy()]


def swing(accuracies: pd.Series) -> float:
    """Mean absolute change from an epoch to the next over the second half of the epochs."""
    second = accuracies.to_numpy(dtype=float)[int(len(accuracies) * SECOND_HALF) :]
    return float(np.abs(np.diff(second)).mean()) if len(second) > 1 else math.nan


def difference(
    measure: Measure,
    of: RunName,
    other: RunName,
    measured: pd.DataFrame,
    numbers: Numbers,
    same: dict[RunName, list[str]],
) -> Difference:
    """Mean over seeds of `of` less that of `other`, with the variances of its luck."""
    if measure == "test_accuracy":
        return accuracy_difference(of, other, numbers.scores, numbers.answers, same)
    values = measured[measure].dropna()
    parts = [values[[index[:2] == name for index in values.index]].to_numpy() for name in (of, other)]
    if not all(map(len, parts)):
        return Difference(math.nan, 0, math.nan, 0, 0.0)
    pool = values[[index[0] in (of[0], other[0]) for index in values.index]].reset_index()
    pool = pool.drop_duplicates(["seed", measure])
    runs = (pool["variant"] + "/" + pool["run"]).to_numpy(dtype=str)
    scatter = pooled(pool[measure].to_numpy(), runs, pool["seed"].to_numpy(), np.ones(len(pool)), paired=False)
    return Difference(
        change=float(parts[0].mean() - parts[1].mean()),
        n_paired_seeds=0,
        seeds_variance=scatter.dispersion * sum(1 / len(part) for part in parts),
        degrees_of_freedom=scatter.degrees_of_freedom,
        pictures_variance=_pictures(of, other, numbers.answers) if measure in OF_TEST else 0.0,
    )


def same_training(of: RunName, other: RunName, steps: pd.DataFrame) -> bool | None:
    """Whether both have the same losses and rates at every step, with every seed that both have; None without one."""
    own, others = (steps[(steps["variant"] == name[0]) & (steps["run"] == name[1])] for name in (of, other))
    shared = set(own["seed"]) & set(others["seed"])
    own, others = (
        part[part["seed"].isin(shared)].sort_values(["seed", "step"])[["seed", "step", *SAME]].reset_index(drop=True)
        for part in (own, others)
    )
    return own.equals(others) if shared else None


def _pictures(of: RunName, other: RunName, answers: Answers) -> float:
    by_run = answers.correct.groupby(level=TRAINING[:2], sort=False)
    shares = [by_run.get_group(name).to_numpy(dtype=float).mean(axis=0) for name in (of, other)]
    return pictures_variance(shares[0] - shares[1])


def _noises(found: Sequence[Difference | None]) -> list[float | None]:
    """The half-width that each difference is held to; None where there is none, or nothing to measure it by."""
    tested = [i for i, one in enumerate(found) if one is not None and one.is_testable]
    testable = [one for one in found if one is not None and one.is_testable]
    levels, _ = holm(np.array([one.p_value() for one in testable]))
    noises: list[float | None] = [None] * len(found)
    for place, one, level in zip(tested, testable, levels, strict=True):
        noises[place] = one.half_width(float(level))
    return noises


def _asked(name: str, claim: Claim, runs: Sequence[RunName]) -> list[_Asked]:
    sides: dict[Speaks, tuple[Expectation, ...]] = {"for": claim.confirmed_by, "against": claim.refuted_by}
    return [
        _Asked(name, speaks, e.measure, run_of(e.of, runs), run_of(e.above or e.same_as or "", runs))
        for speaks, expectations in sides.items()
        for e in expectations
    ]


def _evidence(
    asked: _Asked, settings: str, found: Difference | None, noise: float | None, numbers: Numbers
) -> Evidence:
    change = found.change if found and math.isfinite(found.change) else None
    if found is None:
        met = same_training(asked.of, asked.beside, numbers.steps)
    else:
        met = None if noise is None or change is None else change > noise
    of, beside = label(*asked.of), label(*asked.beside)
    return Evidence(asked.speaks, asked.measure, of, beside, settings, change, noise, met)


def _sentence(e: Evidence) -> str:
    apart = f" ({e.of} has {e.settings})" if e.settings else ""
    if e.measure is None and e.met is None:
        return f"{e.of} and {e.beside} have no seed in common, so that nothing can be told{apart}"
    if e.measure is None:
        same = "is the same training as" if e.met else "is another training than"
        return f"{e.of} {same} {e.beside}{', step by step, with every seed' * bool(e.met)}{apart}"
    what = WORDS[e.measure]
    if e.change is None or e.noise is None:
        return f"{what} of {e.of} and {e.beside} cannot be compared: one was not measured, or did not learn{apart}"
    side = "above" if e.change >= 0 else "below"
    size, noise = (_amount(abs(value), e.measure) for value in (e.change, e.noise))
    beyond = "beyond" if abs(e.change) > e.noise else "within"
    return f"{what} of {e.of} is {size} {side} that of {e.beside}, {beyond} the noise of {noise}{apart}"


def _amount(value: float, measure: Measure) -> str:
    return f"{value:.3g}" if measure == "weight_norm" else f"{100 * value:.2f} points"
