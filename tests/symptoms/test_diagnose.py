"""Every kind of symptom is told where it is planted in curves, and not of the healthy run beside it."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from pawprint.symptoms import ACTIVATION, DEAD, GRADIENT, UPDATE, Curves, Facts, Kind, Remedy, Symptom
from pawprint.symptoms.diagnose import diagnose, in_order
from pawprint.symptoms.early import warnings_of
from pawprint.types import RunSpec
from tests.symptoms.made import FIRST, N_STEPS, facts, falling, flat, made

RUNS = Path(__file__).with_name("runs")
LAYERS = {GRADIENT + "0": flat(0.01), GRADIENT + "4": flat(0.02), UPDATE + "0": flat(1e-3), UPDATE + "4": flat(2e-3),
          ACTIVATION + "0": flat(0.6), ACTIVATION + "4": flat(0.5), DEAD + "0": flat(0.1)}  # fmt: skip


def leaping(x: np.ndarray) -> np.ndarray:
    return np.where((x > 0.2) & (x < 2), 30.0, 2.0)


def rough(x: np.ndarray) -> np.ndarray:
    return falling(0.5, 2.0)(x) * np.where(np.floor(x) % 2 == 0, 0.7, 1.4)


def late(x: np.ndarray) -> np.ndarray:
    return np.where(x < 8, FIRST, 0.3 + (FIRST - 0.3) * np.exp(-(x - 8) / 2))


def dying(x: np.ndarray) -> np.ndarray:
    return np.minimum(0.95, 0.1 + x / 200)


def exploding_norm(x: np.ndarray) -> np.ndarray:
    return np.exp(np.maximum(x - 200, 0) / 20)


LEARNED_BY_HEART: dict[str, Any] = {
    "loss": falling(0.005, 3.0),
    "val_loss": lambda x: 0.5 + (FIRST - 0.5) * np.exp(-x) + 0.06 * x,
}
FELL: dict[str, Any] = {
    "rate": lambda x: np.where(x < 60, 1e-3, 1e-5),
    "loss": lambda x: np.maximum(1.5, FIRST - 0.27 * x),
    "val_loss": lambda x: np.maximum(1.5, FIRST - 0.27 * x),
    "accuracy": flat(0.5),
}
PLANTED: dict[Kind, tuple[dict[str, Any], Facts]] = {
    "over_fitting": (LEARNED_BY_HEART, facts()),
    "under_fitting": ({"loss": falling(1.6, 2.0), "val_loss": falling(1.6, 2.0), "accuracy": flat(0.35)}, facts()),
    "rate_too_small": ({"loss": lambda x: FIRST - 0.01 * x, "val_loss": lambda x: FIRST - 0.01 * x}, facts(lr=1e-6)),
    "rate_too_large": ({"loss": leaping, "val_loss": flat(2.2), "accuracy": flat(0.2)}, facts(lr=0.1)),
    "updates_too_fast": ({"layers": LAYERS | {UPDATE + "0": flat(0.04), UPDATE + "4": flat(0.04)}}, facts(lr=0.03)),
    "not_smooth": ({"loss": rough, "val_loss": rough}, facts()),
    "exploding": (
        {"norm": exploding_norm, "loss": flat(2.2), "layers": LAYERS | {GRADIENT + "4": exploding_norm}},
        facts(),
    ),
    "vanishing": (
        {
            "loss": flat(FIRST),
            "val_loss": flat(FIRST),
            "accuracy": flat(0.1),
            "layers": LAYERS | {GRADIENT + "0": flat(1e-8)},
        },
        facts(mlp_activation="sigmoid"),
    ),
    "dead_units": ({"layers": LAYERS | {DEAD + "0": dying}}, facts()),
    "plateau": ({"loss": late, "val_loss": late}, facts()),
    "rate_fell_too_early": (FELL, facts(scheduler="piecewise")),
    "label_noise": (
        {
            "loss": lambda x: np.maximum(0.05, FIRST - 0.12 * x),
            "val_loss": lambda x: 1.9 + 0.02 * (x - 4) ** 2,
            "accuracy": lambda x: 0.5 - 0.01 * np.maximum(x - 4, 0),
        },
        facts(),
    ),
    "leak": ({"loss": falling(0.01, 2.0), "val_loss": falling(0.008, 2.0)}, facts()),
    "tiny_batch_norm": ({}, facts(model="cnn", batch_size=2)),
    "not_converged": ({"loss": falling(0.1, 15.0), "val_loss": falling(0.2, 15.0)}, facts()),
    "converged": ({}, facts()),
}


def kinds(found: list[Symptom]) -> list[Kind]:
    return [symptom.kind for symptom in found]


def test_there_is_a_plant_for_every_kind() -> None:
    assert {*PLANTED} == {*get_args(Kind)}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_named_first(kind: Kind) -> None:
    curves, known = PLANTED[kind]
    found = diagnose(made(**curves), known)
    assert kinds(found)[:1] == [kind], [(symptom.kind, symptom.evidence) for symptom in found]
    assert 0.5 <= found[0].confidence <= 1
    assert any(character.isdigit() for character in found[0].evidence)
    assert found[0].remedies or kind == "converged"


@pytest.mark.parametrize("known", [Facts(), facts(), facts(model="cnn", batch_size=32)], ids=["csv", "mlp", "cnn"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_healthy_run_raises_no_alarm(known: Facts, seeds: tuple[int, ...]) -> None:
    assert kinds(diagnose(made(layers=LAYERS, seeds=seeds), known)) == ["converged"]
    assert warnings_of(made(layers=LAYERS, seeds=seeds), known) == []


@pytest.mark.parametrize("kind", PLANTED)
def test_every_remedy_is_one_that_the_settings_take(kind: Kind) -> None:
    curves, known = PLANTED[kind]
    assert known.spec is not None
    for symptom in diagnose(made(**curves), known):
        for remedy in symptom.remedies:
            changed = replace(known.spec, **remedy.settings)  # raises where a setting is none, or out of its range
            assert isinstance(changed, RunSpec)
            assert not remedy.settings or changed != known.spec
            assert remedy.options.count("-S ") == len(remedy.settings)


@pytest.mark.parametrize(("kind", "name"), [("vanishing", "0"), ("exploding", "4"), ("dead_units", "0")])
def test_the_layer_and_the_step_are_named(kind: Kind, name: str) -> None:
    curves, known = PLANTED[kind]
    found = diagnose(made(**curves), known)[0]
    assert found.layer == name
    assert found.step is not None
    if kind == "exploding":
        assert 200 < found.step < 300
    if kind == "dead_units":
        assert 100 < found.step < 160


OF_A_CSV = ("over_fitting", "under_fitting", "rate_too_small", "rate_too_large", "not_smooth", "plateau",
            "rate_fell_too_early", "not_converged", "converged")  # fmt: skip


@pytest.mark.parametrize("kind", OF_A_CSV)
def test_a_csv_alone_is_enough_for_the_rules_of_the_curves(kind: Kind) -> None:
    whole = made(**PLANTED[kind][0])
    steps = whole.steps[["seed", "step", "training_loss", "learning_rate", "gradient_norm_total"]]
    assert kinds(diagnose(Curves(steps, whole.epochs, whole.layers)))[:1] == [kind]


def test_a_loss_alone_is_enough_for_some() -> None:
    def alone(**curves: Any) -> list[Kind]:
        whole = made(**curves)
        return kinds(
            diagnose(Curves(whole.steps[["seed", "step", "training_loss"]], whole.epochs.iloc[:0], whole.layers))
        )

    assert alone() == ["converged"]
    assert alone(**PLANTED["rate_too_large"][0])[:1] == ["rate_too_large"]
    assert alone(**PLANTED["plateau"][0])[:1] == ["plateau"]
    assert alone(loss=falling(0.1, 15.0)) == ["not_converged"]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_an_explosion_and_hides_its_consequences(broken: float) -> None:
    curves = made(**LEARNED_BY_HEART)
    steps = curves.steps[curves.steps["step"] <= 220].copy()
    steps.loc[steps["step"] == 220, ["training_loss", "gradient_norm_total"]] = broken
    epochs = curves.epochs[curves.epochs["epoch"] <= 11].copy()
    epochs.loc[epochs["epoch"] == 11, ["val_loss"]] = broken
    found = diagnose(Curves(steps, epochs, curves.layers), facts())
    assert kinds(found)[0] == "exploding"
    assert found[0].step == 220
    assert "over_fitting" not in kinds(found)
    assert not {"converged", "not_converged"} & {*kinds(found)}
    assert kinds(warnings_of(Curves(steps.iloc[:0], epochs, curves.layers), facts())) == []
    assert kinds(warnings_of(Curves(steps, epochs, curves.layers), facts()))[0] == "exploding"


@pytest.mark.parametrize("n", [0, 1, 2, 5, 25])
def test_a_run_that_has_hardly_begun_is_not_judged(n: int) -> None:
    whole = made(layers=LAYERS)
    steps, layers = (table[table["step"] <= n] for table in (whole.steps, whole.layers))
    for epochs in (whole.epochs[whole.epochs["epoch"] <= n // 20], whole.epochs.iloc[:0]):
        assert not [symptom for symptom in diagnose(Curves(steps, epochs, layers)) if symptom.is_alarm]


def test_a_leak_shows_beside_a_test_set() -> None:
    curves = made(test_accuracy=flat(0.4))
    assert kinds(diagnose(curves, facts()))[0] == "leak"
    assert "leak" not in kinds(diagnose(made(test_accuracy=lambda x: 0.1 + 0.78 * (1 - np.exp(-x / 1.2))), facts()))


def test_weights_that_are_too_large_and_pictures_that_are_have_their_own_cures() -> None:
    def first(*deviations: float) -> Remedy:
        layers = LAYERS | {ACTIVATION + str(i): flat(size) for i, size in zip((0, 4), deviations, strict=True)}
        begun = falling(0.5, 2.0, start=20.0)
        return diagnose(made(loss=begun, val_loss=begun, layers=layers), facts())[0].remedies[0]

    assert first(8.0, 300.0).settings == {"mlp_init": "he"}
    assert "standardize" in first(70.0, 10.0).says


def test_a_warm_up_is_no_plateau_and_a_restart_no_roughness() -> None:
    warm = {**PLANTED["plateau"][0], "rate": lambda x: np.where(x < 160, 1e-5, 1e-3)}
    assert "plateau" not in kinds(diagnose(made(**warm), facts()))
    restarts = {"loss": rough, "rate": lambda x: np.where(((x - 1) // 20) % 2 == 1, 1e-3, 1e-4)}
    assert "not_smooth" not in kinds(diagnose(made(**restarts), facts()))


def test_a_cause_comes_before_what_it_explains() -> None:
    def said(kind: Kind, confidence: float) -> Symptom:
        return Symptom(kind, confidence, "", {})

    found = in_order(
        [said("vanishing", 1.0), said("rate_too_large", 0.7), said("label_noise", 0.9), said("converged", 0.9)]
    )
    assert kinds(found) == ["rate_too_large", "vanishing"]
    assert kinds(in_order([said("converged", 0.9), said("plateau", 0.5)])) == ["plateau", "converged"]


def read(name: str) -> Curves:
    tables = [pd.read_csv(RUNS / f"{name}-{kind}.csv").assign(seed=0) for kind in ("steps", "epochs")]
    return Curves(*tables, pd.DataFrame(columns=["seed", "step", "quantity", "value"]))


def test_the_problem_run_is_diagnosed_from_its_csv_alone() -> None:
    """The root study's lr_1e-1: its report says that the loss leapt, and that gradients vanish from step 22 on."""
    curves = read("lr_1e-1")
    found = diagnose(curves)
    assert kinds(found)[:2] == ["rate_too_large", "vanishing"]
    assert found[0].remedies[0].settings == {"lr": 0.01}
    assert found[1].step is not None
    assert 10 < found[1].step < 60
    without_epochs = Curves(curves.steps, curves.epochs.iloc[:0], curves.layers)
    assert kinds(diagnose(without_epochs))[0] == "rate_too_large"
    assert kinds(warnings_of(curves, Facts()))[0] == "rate_too_large"


def test_the_baseline_raises_no_alarm() -> None:
    assert not [symptom for symptom in diagnose(read("baseline")) if symptom.is_alarm]
    assert warnings_of(read("baseline"), Facts()) == []


def test_over_fitting_is_seen_while_it_goes_on() -> None:
    curves = made(**LEARNED_BY_HEART)
    so_far = Curves(curves.steps[curves.steps["step"] <= 0.7 * N_STEPS], curves.epochs[curves.epochs["epoch"] <= 14],
                    curves.layers)  # fmt: skip
    assert kinds(warnings_of(so_far, facts())) == ["over_fitting"]
