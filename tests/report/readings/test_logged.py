"""Logs that agree, and each way in which they may not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pawprint.params import spec_as_dict
from pawprint.report.readings.logged import Logged, logged_as_asked
from tests.report.readings.made import epochs, spec, steps

OTHER_RATE = spec_as_dict(spec(lr=1e-2, epochs=10))


def sound() -> Logged:
    """A training of ten epochs of ten steps, chosen by its val loss."""
    asked = spec(lr=1e-3, epochs=10)
    curves = epochs(np.ones_like, lambda x: 2.0 - 0.1 * x, lambda x: 0.05 * x, seeds=[0], jitter=0)
    trained = {
        "steps": 100,
        "selected_epoch": 10,
        "val_loss": 1.0,
        "val_accuracy": 0.5,
        "test_loss": 1.1,
        "test_accuracy": 0.5,
    }
    recorded = {"outcome": "finished", "spec": spec_as_dict(asked)}
    return Logged(asked, recorded, trained, {"loss": 1.1, "accuracy": 0.5}, steps(np.ones_like, seeds=[0]), curves)


def test_logs_that_agree_are_said_to() -> None:
    said = logged_as_asked([sound()])
    assert said.outcome == "yes"
    assert said.table[0]["agrees"] == "yes"
    assert logged_as_asked([]).outcome == "cannot tell"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recorded": {"outcome": "finished", "spec": OTHER_RATE}}, "lr: asked for 0.001, logged 0.01"),
        ({"steps": sound().steps.assign(learning_rate=2e-3)}, "learning rate: asked for 0.001, logged 0.002"),
        ({"steps": sound().steps.iloc[:-1]}, "steps: metrics say 100, the curve has 99"),
        ({"epochs": sound().epochs.iloc[:-1]}, "epochs: asked for 10, the curve has 9"),
        ({"epochs": sound().epochs.assign(val_loss=sound().epochs["val_loss"] + 0.5)}, "val_loss of epoch 10"),
        ({"trained": {**sound().trained, "selected_epoch": 4, "val_loss": 1.6}}, "best after epoch 10"),
        ({"tested": {"loss": 1.1, "accuracy": 0.6}}, "test accuracy: train says 0.5, test 0.6"),
    ],
)  # fmt: skip
def test_what_does_not_agree_is_named(change: dict[str, Any], said: str) -> None:
    found = logged_as_asked([sound(), replace(sound(), **change)])
    assert found.outcome == "no"
    assert said in " ".join(found.sentences)
    assert "again" in str(found.remedy)


def test_a_training_that_diverged_is_not_held_to_its_epochs() -> None:
    whole = sound()
    chosen = {"steps": 54, "selected_epoch": 5, "val_loss": 1.5, "val_accuracy": 0.25}
    ended = replace(
        whole,
        recorded={**whole.recorded, "outcome": "diverged"},
        epochs=whole.epochs.iloc[:6],
        steps=whole.steps.iloc[:55],
        trained={**whole.trained, **chosen},
    )
    assert logged_as_asked([ended]).outcome == "yes"
