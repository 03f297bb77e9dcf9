"""How symptoms are told: words for how sure, numbers for programs, one line of alarms, and what was not measured."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from pawprint.symptoms import Curves, Facts, Remedy, Symptom
from pawprint.symptoms.told import alarms, as_json, facts_of, not_measured, sureness
from pawprint.types import RunSpec

NOTHING = pd.DataFrame()
STEPS = pd.DataFrame({"seed": [0], "step": [1], "training_loss": [2.0]})


@pytest.mark.parametrize(("confidence", "word"), [
    (1.0, "almost certain"), (0.7, "likely"), (0.5, "possible"), (0.1, "a hint"), (0.0, "a hint"),
])  # fmt: skip
def test_how_sure_is_said_in_a_word(confidence: float, word: str) -> None:
    assert sureness(confidence) == word


def test_programs_get_six_digits_and_no_infinity() -> None:
    numbers = {"leap": 1.23456789, "growth": math.inf}
    found = as_json(Symptom("exploding", 0.987, "it leaps", numbers, (Remedy("lower it", {"lr": 0.1}),), step=3))
    assert found["numbers"] == {"leap": 1.23457}
    assert (found["confidence"], found["is_alarm"], found["step"]) == (0.99, True, 3)
    assert found["remedies"] == [{"says": "lower it", "settings": {"lr": 0.1}}]


def test_the_line_of_alarms_names_ill_runs_alone_and_not_too_many() -> None:
    ill, well = Symptom("leak", 0.9, "", {}), Symptom("converged", 0.9, "", {})
    assert alarms({"a": [well], "b": []}) == ""
    assert alarms({"a": [well], "b": [ill, well]}) == "symptoms: b (leak between train and validation)"
    assert alarms({str(n): [ill] for n in range(10)}).endswith("and 2 more")


def test_what_was_not_measured_is_named_with_the_setting_of_our_own_runs(spec: RunSpec) -> None:
    bare = Curves(STEPS, NOTHING, NOTHING)
    assert "which layer is ill: no `diagnostics: [layer_gradients]`" in not_measured(bare, Facts(spec))
    of_file = not_measured(bare, Facts())
    assert "over-fitting, noisy labels, leaks: no validation losses" in of_file
    assert not any("`diagnostics" in line for line in of_file)
    epochs = pd.DataFrame({"seed": [0], "epoch": [1], "val_loss": [1.0]})
    assert not any("validation" in line for line in not_measured(Curves(STEPS, epochs, NOTHING), Facts()))


def test_facts_count_the_pictures_of_an_epoch_that_goes_through_all_once(spec: RunSpec) -> None:
    epochs = pd.DataFrame({"seed": [0, 0], "epoch": [0, 1], "examples_seen": [0, 50]})
    assert facts_of(spec, 3, epochs) == Facts(spec, 3, 50, has_batch_norm=False)
    for other in (replace(spec, sampling="oversample"), replace(spec, steps_per_epoch=3)):
        assert facts_of(other, 3, epochs).n_train is None
