"""States of a run: each from curves that show it, and from real trainings that have it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pawprint.report.readings.convergence import converged, sentence
from pawprint.symptoms.trends import Convergence, trend
from pawprint.training import loop, variant
from pawprint.types import Data, RunSpec
from tests.report.readings.made import epochs, row, steps

FIRST = 2.3


def falling(to: float, by: float = 2.0):
    return lambda x: to + (FIRST - to) * np.exp(-x / by)


def flat(at: float):
    return lambda x: np.full_like(x, at)


def state(table: pd.DataFrame, **fields: Any) -> str:
    return converged(row(**fields), steps(lambda x: FIRST * np.exp(-x / 50)), table).state


def test_a_curve_that_has_leveled_off_has_converged() -> None:
    assert state(epochs(falling(0.5, 1), falling(0.6, 1), lambda x: 0.8 * (1 - np.exp(-x)))) == "converged"


def test_a_curve_that_goes_on_falling_has_not() -> None:
    improving = epochs(falling(0.1, 8), falling(0.3, 8), lambda x: 0.09 * x)
    assert state(improving) == "still improving"


def test_validation_that_rises_while_training_falls_is_over_fitting() -> None:
    over = epochs(falling(0.01, 2), lambda x: 0.8 + 0.08 * x, flat(0.7))
    assert state(over) == "over-fits"


def test_a_loss_that_stays_high_is_under_fitting() -> None:
    assert state(epochs(flat(1.9), flat(1.95), flat(0.3))) == "under-fits"
    going_on = epochs(lambda x: 2.2 - 0.08 * x, flat(1.95), flat(0.3))
    assert state(going_on) == "converged"  # what more it learns of train, val does not reward
    said = sentence("run", converged(row(), steps(lambda x: FIRST * np.exp(-x / 50)), going_on))
    assert "more epochs would widen the gap" in said


def test_validation_that_jumps_is_unsteady() -> None:
    jumping = epochs(falling(0.5, 1), falling(0.6, 1), flat(0.6), jitter=0.3)
    assert state(jumping) == "unsteady"


def test_no_better_than_a_guess_is_nothing_learned_or_learned_by_heart() -> None:
    at_chance = {"n_at_chance": 2}
    assert state(epochs(flat(2.3), flat(2.3), flat(0.1)), **at_chance) == "learned nothing"
    assert state(epochs(falling(0.05), lambda x: 2.3 + x, flat(0.1)), **at_chance) == "learned by heart"


def test_what_was_learned_and_lost_again_has_collapsed() -> None:
    lost = epochs(flat(2.3), flat(2.3), lambda x: np.where((x > 0) & (x < 4), 0.8, 0.1))
    assert state(lost) == "collapsed"
    assert state(lost, n_at_chance=2) == "learned nothing"  # the weights of its best epoch are no better


def test_one_seed_above_chance_by_luck_is_no_learning() -> None:
    assert state(epochs(flat(2.3), flat(2.3), flat(0.11)), n_at_chance=1) == "learned nothing"


def test_a_loss_that_is_not_finite_is_divergence() -> None:
    assert state(epochs(falling(0.5), falling(0.6), flat(0.6)), n_diverged=1) == "diverged"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_epochs_tell_nothing(n: int) -> None:
    assert state(epochs(falling(0.5), falling(0.6), flat(0.6), n=n)) == "cannot tell"


def test_one_seed_is_enough_for_its_own_curve() -> None:
    one = epochs(falling(0.1, 8), falling(0.3, 8), lambda x: 0.09 * x, seeds=[0])
    assert state(one, n_seeds=1) == "still improving"


def test_the_slope_is_that_of_least_squares_with_a_level_for_each_seed() -> None:
    """Against the textbook's formulas for a fit of all columns at once."""
    half = epochs(falling(0.1, 8), falling(0.3, 8), lambda x: 0.09 * x, jitter=0.1)
    half = half[half["epoch"] >= 5]
    design = np.column_stack([half["epoch"], half["seed"] == 0, half["seed"] == 1]).astype(float)
    y = half["val_accuracy"].to_numpy()
    inverse = np.linalg.inv(design.T @ design)
    fit = inverse @ design.T @ y
    variance = ((y - design @ fit) ** 2).sum() / (len(y) - 3) * inverse[0, 0]
    found = trend(half, "val_accuracy", 0.0)
    assert found.change == pytest.approx(5 * fit[0])
    assert found.half_width == pytest.approx(5 * stats.t.ppf(0.975, len(y) - 3) * variance**0.5)


def trained(spec: RunSpec, data: Data) -> Convergence:
    """A real training's state."""
    parts: dict[str, list[pd.DataFrame]] = {"steps": [], "epochs": []}
    for seed in (0, 1):
        training = variant.set_up(replace(spec, seed=seed), data)
        loop.run(training, lambda *_: None, lambda *_: None, save=lambda: None, save_every_seconds=1e9)
        for name, table in zip(parts, training.history.tables(), strict=True):
            parts[name].append(table.assign(seed=seed))
    tables = {name: pd.concat(part) for name, part in parts.items()}
    last = tables["epochs"].groupby("seed")["val_accuracy"].last()
    at_chance = int((last < 1 / 3 + 3 * (2 / 9 / len(data.val)) ** 0.5).sum())
    return converged(row(n_at_chance=at_chance), tables["steps"], tables["epochs"])


def shuffled(data: Data) -> Data:
    labels = np.random.default_rng(1).permutation(data.train.labels)
    return replace(data, train=replace(data.train, labels=labels))


PLAIN = {"epochs": 40, "lr": 1e-2, "random_flip": False, "random_crop_percent": 0.0, "mlp_widths": (64,)}


def test_real_trainings_that_learn_do_nothing_or_learn_by_heart_are_told_apart(data: Data, spec: RunSpec) -> None:
    sound = replace(spec, **PLAIN)
    assert trained(sound, data).state in ("converged", "still improving")
    assert trained(replace(sound, lr=0.0), data).state == "learned nothing"
    assert trained(replace(sound, epochs=1), data).state == "cannot tell"
    noisy = trained(replace(sound, epochs=150), shuffled(data)).state
    assert noisy in ("over-fits", "learned by heart")


def test_the_sentence_gives_the_numbers() -> None:
    found = converged(
        row(), steps(lambda x: FIRST * np.exp(-x / 50)), epochs(falling(0.1, 8), falling(0.3, 8), lambda x: 0.09 * x)
    )
    said = sentence("run", found)
    assert said.startswith("run had not converged: ")
    assert "epochs 5 to 10" in said
    assert "validation accuracy +4" in said
