"""Claims: what is planted is found, luck is not, and what cannot be known is said to be so."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from pawprint import claims
from pawprint.claims import Evidence, Judged, Numbers, judge, outcome, reading
from pawprint.comparison import TRAINING
from pawprint.types import Claim, Expectation, Measure, RunSpec
from tests.test_comparison import answers_of

SEEDS = (0, 1, 2)
N_TEST = 4000


@dataclass(frozen=True)
class Run:
    """What the trainings of one run left, seed by seed."""

    test: tuple[float, ...] = (0.80, 0.81, 0.79)
    train: tuple[float, ...] = (0.90, 0.905, 0.895)
    swing: float = 0.01
    norms: tuple[float, ...] = (5.0, 5.1, 4.9)
    lr: float = 0.1
    diverged: bool = False


def study(runs: Mapping[str, Run]) -> tuple[list[RunSpec], Numbers]:
    """Of each run a variant of its name."""
    base = RunSpec(study="s", variant="v", run="v", seed=0)
    specs = [replace(base, variant=v, run=v, seed=s, lr=run.lr) for v, run in runs.items() for s in SEEDS]
    answers = answers_of({v: dict(zip(SEEDS, run.test, strict=True)) for v, run in runs.items()}, N_TEST)
    scores = answers.correct.index.to_frame(index=False)
    scores["test_accuracy"] = answers.correct.mean(axis=1).to_numpy()
    scores["outcome"] = ["diverged" if runs[v].diverged else "finished" for v in scores["variant"]]
    steps, epochs, norms = [], [], []
    for v, run in runs.items():
        for place, seed in enumerate(SEEDS):
            name = (v, v, seed)
            steps += [(*name, step, 2.0 / step + seed + run.test[0], run.lr) for step in (1, 2, 3)]
            for epoch in range(11):
                val = 0.7 + run.swing * (1 + 0.1 * seed) * (epoch % 2)
                epochs.append((*name, epoch, val, run.train[place], run.test[place]))
            norms += [(*name, step, "weight_norm", run.norms[place] * step) for step in (1, 0.5, 2)]
    return specs, Numbers(
        scores=scores,
        answers=answers,
        steps=pd.DataFrame(steps, columns=[*TRAINING, "step", "training_loss", "learning_rate"]),
        epochs=pd.DataFrame(epochs, columns=[*TRAINING, "epoch", "val_accuracy", "train_accuracy", "test_accuracy"]),
        diagnostics=pd.DataFrame(norms, columns=[*TRAINING, "step", "quantity", "value"]),
    )


def said(expectation: Expectation, runs: Mapping[str, Run]) -> Evidence:
    (judged,) = judge({"c": Claim(says="so", confirmed_by=(expectation,))}, *study(runs))
    return judged.evidence[0]


APART: dict[Measure, Run] = {
    "test_accuracy": Run(test=(0.86, 0.87, 0.85)),
    "overfitting": Run(train=(0.99, 0.985, 0.995)),
    "swing": Run(swing=0.05),
    "weight_norm": Run(norms=(8.0, 8.1, 7.9)),
}


@pytest.mark.parametrize("measure", list(APART))
def test_a_planted_difference_is_found_and_its_opposite_is_not(measure: Measure) -> None:
    runs = {"baseline": Run(), "other": APART[measure]}
    found = said(Expectation(of="other", measure=measure, above="baseline"), runs)
    assert found.met is True
    assert found.change is not None
    assert found.noise is not None
    assert found.change > found.noise > 0
    assert said(Expectation(of="baseline", measure=measure, above="other"), runs).met is False


@pytest.mark.parametrize("measure", list(APART))
def test_luck_is_not_a_difference(measure: Measure) -> None:
    lucky = Run(test=(0.803, 0.81, 0.80), train=(0.905, 0.90, 0.91), swing=0.0105, norms=(5.05, 5.1, 5.0))
    expectation = Expectation(of="lucky", measure=measure, above="baseline")
    assert said(expectation, {"baseline": Run(), "lucky": lucky}).met is False


def test_few_of_many_lucky_studies_confirm_a_claim() -> None:
    """Two runs of one law: with a bound of 5 % the number of false ones in 300 stays below 27 (99.9 %)."""
    draws = np.random.default_rng(0)
    false = 0
    for _ in range(300):
        norms = draws.normal(5, 0.2, (2, 3))
        runs = {"baseline": Run(norms=tuple(norms[0])), "other": Run(norms=tuple(norms[1]))}
        pair = (("other", "baseline"), ("baseline", "other"))
        expected = tuple(Expectation(of=a, measure="weight_norm", above=b) for a, b in pair)
        (judged,) = judge({"c": Claim(says="so", confirmed_by=expected)}, *study(runs))
        false += any(e.met for e in judged.evidence)
    assert false < 27


def test_over_fitting_is_train_less_test_after_the_last_epoch_and_swing_is_of_the_second_half() -> None:
    _, numbers = study({"baseline": Run()})
    measured = claims.measures(numbers)
    assert measured["overfitting"].to_numpy() == pytest.approx([0.1, 0.095, 0.105])
    assert measured["swing"].to_numpy() == pytest.approx([0.01, 0.011, 0.012])
    assert measured["weight_norm"].to_numpy() == pytest.approx([10.0, 10.2, 9.8])  # of the last step
    assert claims.swing(pd.Series([0.0, 0.9, 0.5, 0.6, 0.4])) == pytest.approx(0.15)


@pytest.mark.parametrize(("other", "same"), [(Run(), True), (Run(lr=0.2), False), (Run(test=(0.9, 0.8, 0.8)), False)])
def test_the_same_training_is_told_step_by_step(other: Run, same: bool) -> None:
    found = said(Expectation(of="other", same_as="baseline"), {"baseline": Run(), "other": other})
    assert found.met is same
    assert (found.measure, found.change, found.noise) == (None, None, None)


def test_without_a_seed_in_common_sameness_is_not_known() -> None:
    _, numbers = study({"baseline": Run(), "other": Run()})
    steps = numbers.steps
    apart = steps[(steps["variant"] == "baseline") ^ (steps["seed"] == 0)]
    assert claims.same_training(("other", "other"), ("baseline", "baseline"), apart) is None
    unknown = Evidence("for", None, "other", "baseline", "", None, None, None)
    assert outcome([unknown]) == "not decidable"
    assert "no seed in common" in reading(Judged("c", "so", "not decidable", [unknown]))[0]


def test_what_was_not_measured_or_did_not_learn_is_not_known() -> None:
    runs = {"baseline": Run(), "other": Run(diverged=True), "guess": Run(test=(0.1, 0.1, 0.1))}
    for name in ("other", "guess"):
        found = said(Expectation(of="baseline", measure="overfitting", above=name), runs)
        assert (found.met, found.noise) == (None, None)
        assert "cannot be compared" in reading(Judged("c", "so", "not decidable", [found]))[0]


def test_equal_trainings_count_once() -> None:
    """A copy of a run brings no degrees of freedom."""
    _, numbers = study({"baseline": Run(), "copy": Run(), "other": Run(norms=(5.5, 5.6, 5.4))})
    measured = claims.measures(numbers)
    of_variant = {"baseline": "v", "copy": "v", "other": "v"}
    renamed = measured.rename(index=of_variant, level="variant")
    found = claims.difference("weight_norm", ("v", "other"), ("v", "baseline"), renamed, numbers, {})
    assert found.degrees_of_freedom == 4  # six different trainings of two runs


@pytest.mark.parametrize(
    ("supports", "objections", "expected"),
    [
        ([True], [], "confirmed"),
        ([True, False], [], "not decidable"),
        ([True, None], [], "not decidable"),
        ([True], [True], "refuted"),
        ([False], [False, True], "refuted"),
        ([False], [False], "not decidable"),
        ([], [False], "not decidable"),
        ([], [None], "not decidable"),
    ],
)
def test_the_rule(supports: list[bool | None], objections: list[bool | None], expected: str) -> None:
    evidence = [Evidence("for", "swing", "a", "b", "", 0.1, 0.05, met) for met in supports]
    evidence += [Evidence("against", "swing", "b", "a", "", 0.1, 0.05, met) for met in objections]
    assert outcome(evidence) == expected


@pytest.mark.parametrize(("met", "expected"), [(True, "confirmed"), (False, "refuted"), (None, "not decidable")])
def test_a_claim_of_sameness_falls_with_it(met: bool | None, expected: str) -> None:
    assert outcome([Evidence("for", None, "a", "b", "", None, None, met)]) == expected


def test_a_reading_begins_with_what_decides_and_names_the_setting() -> None:
    runs = {"baseline": Run(), "other": Run(test=(0.86, 0.87, 0.85), lr=0.001)}
    claim = Claim(
        says="Other is bad",
        confirmed_by=(Expectation(of="baseline", measure="test_accuracy", above="other"),),
        refuted_by=(Expectation(of="other", measure="test_accuracy", above="baseline"),),
    )
    (judged,) = judge({"c": claim}, *study(runs))
    assert judged.outcome == "refuted"
    (only,) = reading(judged)  # what was expected the other way round is the same comparison
    assert only.startswith("test accuracy of other is 6.00 points above that of baseline, beyond the noise of ")
    assert only.endswith("(other has lr 1e-3)")
