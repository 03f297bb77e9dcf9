"""Each rule says yes, no, and that it cannot tell, from numbers that show it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pawprint.comparison import Contest, Lead
from pawprint.report.readings.batch_size import distance, holds, rules
from pawprint.report.readings.gradients import gradients
from pawprint.report.readings.learning_rate import best_rate
from pawprint.report.readings.pretraining import pretraining
from pawprint.report.readings.schedule import scheduled, shape
from pawprint.report.readings.verdicts import helps
from pawprint.symptoms.signs import signs
from pawprint.symptoms.trends import Convergence
from tests.report.readings.made import epochs, held, layers, row, spec, steps

RATES = {"slow": 1e-5, "baseline": 1e-3, "fast": 1e-1}
ROWS = [row("slow", accuracy=0.2), row("baseline", accuracy=0.7, is_baseline=True), row("fast", accuracy=0.1)]
STATES = {
    name: Convergence(state, 5, 10, 2.3, 1.0, 1.0, 0.5, {})
    for name, state in {"slow": "still improving", "baseline": "converged", "fast": "learned nothing"}.items()
}  # fmt: skip


# ---- the learning rate ----


def contest(best: str = "baseline", **verdicts: Any) -> Contest:
    leads = {"slow": ("better", 0.5, 0.1), "fast": ("better", 0.6, 0.1), "baseline": ("better", 0.1, 0.05)} | verdicts
    return Contest(best, [Lead(name, lead[1], lead[2], lead[0]) for name, lead in leads.items() if name != best])


def test_a_rate_above_every_other_one_is_best() -> None:
    said = best_rate(ROWS, RATES, STATES, contest())
    assert said.outcome == "yes"
    assert said.sentences[0] == "Test accuracy, mean over seeds, is 20.0 % at 1e-5, 70.0 % at 1e-3 and 10.0 % at 1e-1."
    assert said.sentences[1].endswith("still improving at 1e-5; converged at 1e-3; learned nothing at 1e-1.")
    assert "+50.0 ± 10.0 over slow" in said.sentences[2]


def test_a_rate_within_the_noise_of_another_is_not_told_apart() -> None:
    said = best_rate(ROWS, RATES, STATES, contest(slow=("within noise", 0.05, 0.1)))
    assert said.outcome == "no"
    assert "not told apart from slow" in said.sentences[2]


@pytest.mark.parametrize("found", [contest(slow=("cannot tell", 0.5, None)), None])
def test_without_noise_or_a_run_that_finished_no_rate_is_called_best(found: Contest | None) -> None:
    assert best_rate(ROWS, RATES, STATES, found).outcome == "cannot tell"


def test_a_best_rate_at_the_edge_of_those_tried_is_told() -> None:
    said = best_rate(ROWS, RATES, STATES, contest("slow"))
    assert "smallest rate tried" in said.sentences[-1]
    assert "lr_3e-6" in str(said.remedy)
    assert "tried" not in " ".join(best_rate(ROWS, RATES, STATES, contest()).sentences)


# ---- gradients ----


def sound(x: np.ndarray) -> np.ndarray:
    return 10 * np.exp(-x / 60) + 2


def learned(x: np.ndarray) -> np.ndarray:
    return 2.3 * np.exp(-x / 20)


def stuck(x: np.ndarray) -> np.ndarray:
    return np.full_like(x, 2.3)


LAYERS = {"first": sound, "middle": sound, "last": sound}


def kinds(loss: Any, norm: Any, of_layers: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(sign.kind, sign.layer) for sign in signs(steps(loss, norm), layers(of_layers))]


def test_sound_gradients_are_left_alone() -> None:
    assert kinds(learned, sound, LAYERS) == []
    assert kinds(learned, lambda x: 10 * np.exp(-x / 10), LAYERS) == []  # small, because it has learned
    assert gradients(row(), steps(learned, sound), layers(LAYERS)).outcome == "no"


def test_gradients_that_grow_are_exploding_and_the_first_layer_is_named() -> None:
    def grown(x: np.ndarray) -> np.ndarray:
        return 10 * np.exp(np.maximum(x - 40, 0) / 10)

    def earlier(x: np.ndarray) -> np.ndarray:
        return 10 * np.exp(np.maximum(x - 20, 0) / 10)

    assert kinds(learned, grown, LAYERS | {"middle": earlier}) == [("exploding", "middle")]
    said = gradients(row(), steps(learned, grown), layers(LAYERS | {"middle": earlier}))
    assert said.outcome == "yes"
    assert "first in middle, at step" in said.sentences[0]
    assert "clip" in str(said.remedy)


def test_a_gradient_that_is_not_finite_is_exploding() -> None:
    def broken(x: np.ndarray) -> np.ndarray:
        return np.where(x > 50, np.nan, 10.0)

    ((kind, layer),) = kinds(learned, broken, LAYERS | {"last": lambda x: np.where(x > 49, np.inf, 10.0)})
    assert (kind, layer) == ("exploding", "last")


def test_small_gradients_of_a_network_that_learned_nothing_are_vanishing() -> None:
    def gone(x: np.ndarray) -> np.ndarray:
        return 10 * np.exp(-x / 10)

    assert kinds(stuck, gone, LAYERS | {"last": gone}) == [("vanishing", "last")]


def test_a_first_layer_far_below_the_last_is_vanishing_over_depth() -> None:
    assert kinds(stuck, sound, LAYERS | {"first": lambda x: 1e-4 * sound(x)}) == [("vanishing over depth", "first")]


def test_without_layers_the_step_is_told_and_the_layer_is_not() -> None:
    def grown(x: np.ndarray) -> np.ndarray:
        return 10 * np.exp(x / 10)

    said = gradients(row(), steps(learned, grown), layers(LAYERS).iloc[:0])
    assert "which layer first is not known" in said.sentences[0]


def test_a_loss_that_leaps_is_told_apart_from_an_explosion() -> None:
    def leaping(x: np.ndarray) -> np.ndarray:
        return np.where(x == 2, 40.0, 2.3)

    said = gradients(row(), steps(leaping, sound), layers(LAYERS))
    assert said.outcome == "no"
    assert "leaps from 2.3 to 40 at step 2" in said.sentences[-1]


# ---- the schedule ----


def onecycle(x: np.ndarray) -> np.ndarray:
    up = 1e-3 * (0.04 + 0.96 * x / 10)
    return np.where(x <= 10, up, 4e-6 + (1e-3 - 4e-6) * (100 - x) / 90)


def test_one_cycle_rises_and_falls_and_its_help_is_the_tables() -> None:
    asked = spec(scheduler="onecycle", lr=1e-3, onecycle_final_div_factor=34.0)
    for verdict, change, outcome in (
        ("better", 0.1, "yes"),
        ("worse", -0.1, "no"),
        ("within noise", 0.01, "cannot tell"),
    ):
        said = scheduled(held("run", verdict, change), asked, steps(learned, rate=onecycle))
        assert said.outcome == outcome
        assert said.sentences[0].startswith("The rate of run rises from 1.36e-4 to 1e-3 at step 10 of 100, then falls")
    assert (
        scheduled(held("run", "cannot tell", 0.1, None), asked, steps(learned, rate=onecycle)).outcome == "cannot tell"
    )


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (lambda x: np.full_like(x, 1e-3), "One-cycle was asked for, and this is none"),
        (lambda x: 1e-3 * (1 - np.abs(x - 60) / 61), "The peak was asked for after 10 %"),
        (lambda x: 0.5 * onecycle(x), "A peak of 1e-3 was asked for"),
        (lambda x: onecycle(x) + 1e-4, "was asked for"),
    ],
)
def test_a_one_cycle_that_is_none_is_caught(rate: Any, said: str) -> None:
    found = scheduled(held("run", "better", 0.1), spec(scheduler="onecycle", lr=1e-3), steps(learned, rate=rate))
    assert found.outcome == "no"
    assert said in found.sentences[1]


def test_shapes() -> None:
    assert shape(np.full(5, 0.1)).is_constant
    assert not shape(np.array([0.3, 0.2, 0.1])).rises_then_falls
    assert shape(np.array([0.1, 0.3, 0.2])).rises_then_falls
    assert not shape(np.array([0.1, 0.3, 0.2, 0.25])).rises_then_falls


# ---- the batch-size rules ----


def test_a_rule_holds_where_it_was_needed_and_did_what_it_says() -> None:
    ruled, plain = held("ruled", "within noise", -0.01), held("plain", "worse", -0.1)
    assert holds(ruled, plain)[0] == "yes"
    assert holds(held("ruled", "worse", -0.1), plain)[0] == "no"
    assert holds(held("ruled", "better", 0.1), plain)[0] == "no"
    assert holds(ruled, held("plain", "within noise", 0.0))[0] == "cannot tell"
    assert holds(ruled, None)[0] == "cannot tell"
    assert holds(held("ruled", "cannot tell", -0.1, None), plain)[0] == "cannot tell"


def test_each_rule_of_a_question_is_read_with_its_distance() -> None:
    specs = {
        "baseline": spec("baseline"), "plain": spec("plain", batch_size=64),
        "ruled": spec("ruled", batch_size=64, lr_scaling="sqrt"),
    }  # fmt: skip
    curves = {"baseline": learned, "plain": lambda x: learned(x) + 0.2, "ruled": lambda x: learned(x) + 0.05}
    table = pd.concat([steps(curve).assign(variant=name, run=name) for name, curve in curves.items()])
    rows = [row("baseline", against=None), held("plain", "worse", -0.1), held("ruled", "within noise", 0.0)]
    ((name, said),) = rules(rows, specs, table).items()
    assert (name, said.outcome) == ("sqrt", "yes")
    assert distance(table, rows[1], "baseline", specs) == pytest.approx(0.2)
    assert "0.05 for ruled and 0.2 for plain" in said.sentences[1]


# ---- pretraining ----


def test_pretraining_is_counted_in_points_and_in_epochs() -> None:
    ours = epochs(learned, learned, lambda x: 0.5 + 0.04 * x, jitter=0)
    theirs = epochs(learned, learned, lambda x: 0.06 * x, jitter=0)
    said = pretraining(held("run", "better", 0.3), ours, theirs)
    assert said.outcome == "yes"
    assert "60.0 %, the best val accuracy of baseline (epoch 10 of 10) after 3 epochs" in said.sentences[1]
    never = pretraining(held("run", "worse", -0.3), theirs.assign(val_accuracy=0.1), theirs)
    assert never.outcome == "no"
    assert "never has 60.0 %" in never.sentences[1]
    flat = theirs.assign(val_accuracy=0.1)
    assert "never got above its start" in pretraining(held("run", "within noise", 0.0), ours, flat).sentences[1]


def test_why_it_cannot_be_told_is_said() -> None:
    assert "has the settings of baseline" in helps(held("run", "same settings", 0.0, None))[1]
    assert "diverged with 1 of 2 seeds" in helps(row(verdict="cannot tell", noise=None, n_diverged=1))[1]
    assert "no noise" in helps(held("run", "cannot tell", 0.1, None))[1]
