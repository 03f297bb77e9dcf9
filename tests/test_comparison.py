"""The verdicts: parts by hand, who is compared with whom, and how often luck is called better."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from sklearn.metrics import cohen_kappa_score

from pawprint import comparison
from pawprint.comparison import (
    FAMILY_LEVEL,
    MEASURES,
    SMALLEST_P,
    TRAINING,
    Answers,
    Difference,
    RunComparison,
    as_json,
    binomial_weight,
    compare,
    from_json,
    guess,
    holm,
    judged,
    pictures_variance,
    pooled,
    reference,
    verdict,
)
from pawprint.types import RunSpec

N_TEST = 400
N_STUDIES = 150
Scores = Mapping[str, Mapping[int, float]]  # variant → seed → test accuracy


def answers_of(accuracies: Scores, n_test: int = N_TEST, n_classes: int = 10) -> Answers:
    """The first pictures are right, as many as the accuracy says."""
    rows = {(v, v, seed): np.arange(n_test) < round(a * n_test) for v, seeds in accuracies.items()
            for seed, a in seeds.items()}  # fmt: skip
    correct = pd.DataFrame(np.array(list(rows.values()), dtype=float))
    correct.index = pd.MultiIndex.from_tuples(rows, names=TRAINING)
    return Answers(correct, guesses_of(correct, n_classes))


def guesses_of(correct: pd.DataFrame, n_classes: int) -> pd.DataFrame:
    """Of classes that are equally frequent, each guessed as often."""
    chance = 1 / n_classes
    deviation = math.sqrt(chance * (1 - chance) / correct.shape[1])
    return pd.DataFrame({"share": chance, "deviation": deviation}, index=correct.index)


def table_of(answers: Answers, diverged: Mapping[str, int]) -> pd.DataFrame:
    """Every measure is the test accuracy; `diverged`: variant → seed."""
    table = answers.correct.index.to_frame(index=False)
    pairs = zip(table["variant"], table["seed"], strict=True)
    table["outcome"] = ["diverged" if diverged.get(variant) == seed else "finished" for variant, seed in pairs]
    accuracies = answers.correct.mean(axis=1).to_numpy()
    return table.assign(**dict.fromkeys(MEASURES, accuracies))


def rows_of(
    accuracies: Scores,
    settings: Mapping[str, dict] | None = None,
    against: Mapping[str, str] | None = None,
    **diverged: int,
) -> dict[str, RunComparison]:
    """The comparison of variants of one run each; without `settings` each has a rate of its own."""
    rates = {variant: {"lr": 0.1 / (index + 1)} for index, variant in enumerate(accuracies)}
    specs = [RunSpec("s", v, v, seed, **(settings or rates)[v]) for v, seeds in accuracies.items() for seed in seeds]
    answers = answers_of(accuracies)
    return {row.variant: row for row in compare(specs, table_of(answers, diverged), answers, against)}


CALM = {"baseline": {0: 0.70, 1: 0.71, 2: 0.70}, "a": {0: 0.71, 1: 0.70}, "b": {0: 0.70, 1: 0.70}}


def test_means_and_deviations_by_hand():
    row = rows_of({"baseline": {0: 0.5, 1: 0.6}, "a": {0: 0.7}})["baseline"]
    assert (row.n_seeds, row.scores["test_accuracy"]) == (2, pytest.approx(0.55))
    assert row.deviations["test_accuracy"] == pytest.approx(0.1 / math.sqrt(2))
    assert rows_of({"baseline": {0: 0.5}, "a": {0: 0.7}})["a"].deviations["val_loss"] is None
    assert (row.is_baseline, row.verdict, row.change, row.against) == (True, None, None, None)


# ---- the parts ------------------------------------------------------------------------------------------


def test_half_width_by_hand():
    difference = Difference(0.1, 2, seeds_variance=4e-4, degrees_of_freedom=3, pictures_variance=9e-4)
    by_hand = math.hypot(stats.t.ppf(0.995, 3) * 0.02, stats.norm.ppf(0.995) * 0.03)
    assert difference.half_width(0.01) == pytest.approx(by_hand)


@pytest.mark.parametrize("change", [0.001, -0.02, 0.05, 0.5])
def test_p_is_the_level_at_which_the_noise_is_the_change(change: float):
    difference = Difference(change, 2, 4e-4, 3, 9e-4)
    assert difference.half_width(difference.p_value()) == pytest.approx(abs(change), rel=1e-6)


def test_p_of_nothing_is_one_and_never_zero():
    assert Difference(0.0, 2, 4e-4, 3, 9e-4).p_value() == 1.0
    assert Difference(1.0, 2, 1e-8, 9, 1e-8).p_value() == SMALLEST_P


def test_p_without_scatter_of_seeds_is_that_of_the_normal_distribution():
    assert Difference(0.05, 2, 0.0, 3, 9e-4).p_value() == pytest.approx(2 * stats.norm.sf(0.05 / 0.03))


def test_holm_by_hand():
    """0.005 and 0.01 pass 0.05/4 and 0.05/3; 0.03 fails 0.05/2, so 0.04 is not asked for 0.05/1."""
    levels, adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert levels == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_grows_milder_while_all_pass_and_takes_none_and_one():
    assert holm(np.array([1e-6, 1e-5, 1e-4]))[0] == pytest.approx([0.05 / 3, 0.05 / 2, 0.05])
    assert [list(part) for part in holm(np.array([]))] == [[], []]
    assert holm(np.array([0.04]))[0] == pytest.approx([FAMILY_LEVEL])


def test_pool_by_hand_paired_and_not():
    """Paired differences 0.10 and 0.12 leave ±0.005; unpaired ±0.05 and ±0.06. Degrees: 4 - 3 and 4 - 2."""
    scores, runs, seeds = np.array([0.5, 0.6, 0.6, 0.72]), np.array(["a", "a", "b", "b"]), np.array([0, 1, 0, 1])
    paired = pooled(scores, runs, seeds, np.ones(4), paired=True)
    assert (paired.degrees_of_freedom, paired.dispersion) == (1, pytest.approx(4 * 0.005**2))
    alone = pooled(scores, runs, seeds, np.ones(4), paired=False)
    assert (alone.degrees_of_freedom, alone.dispersion) == (2, pytest.approx((0.1**2 + 0.12**2) / 4))


def test_pool_weighs_each_run_by_its_level():
    scores, runs, seeds = np.array([0.5, 0.6, 0.98, 0.99]), np.array(["a", "a", "b", "b"]), np.arange(4)
    weights = np.array([0.25, 0.25, 0.0025, 0.0025])
    pool = pooled(scores, runs, seeds, weights, paired=False)
    assert pool.dispersion == pytest.approx((0.1**2 / 2 / 0.25 + 0.01**2 / 2 / 0.0025) / 2)


def test_binomial_weight_of_all_right_is_not_zero():
    assert binomial_weight(0.5, 100) == pytest.approx(0.25)
    assert 0 < binomial_weight(1.0, 100) < 0.03


def test_pictures_variance_is_agresti_and_mins_for_one_seed():
    """Of 20 matched pairs 3 are right in one alone and 1 in the other: each cell of the table gains 1/2."""
    d = np.array([1.0] * 3 + [-1.0] + [0.0] * 16)
    b, c, n = 3.5, 1.5, 22
    assert pictures_variance(d) == pytest.approx(((b + c) - (b - c) ** 2 / n) / n**2)


@pytest.mark.parametrize("d", [np.zeros(50), np.ones(50)])
def test_pictures_variance_is_never_zero(d: np.ndarray):
    assert pictures_variance(d) > 0


def test_common_luck_with_the_pictures_cancels():
    """Both runs err on the same hard pictures: far less noise than two binomials would add up to."""
    two_binomials = 2 * 0.7 * 0.3 / N_TEST
    same_pictures = answers_of(CALM).correct.loc["a"].mean() - answers_of(CALM).correct.loc["b"].mean()
    assert pictures_variance(same_pictures.to_numpy()) < 0.1 * two_binomials


@pytest.mark.parametrize(
    ("change", "noise", "diverged", "expected"),
    [
        (0.02, 0.01, False, "better"),
        (-0.02, 0.01, False, "worse"),
        (0.01, 0.01, False, "within noise"),
        (0.02, 0.01, True, "cannot tell"),
        (-0.02, 0.01, True, "worse"),
    ],
)
def test_verdict_by_hand(change: float, noise: float, diverged: bool, expected: str):
    assert verdict(change, noise, diverged) == expected


# ---- who is held against whom --------------------------------------------------------------------------


def test_references():
    names = [("sgd", "sgd"), ("baseline", "baseline"), ("q", "x"), ("q", "y"), ("p", "y"), ("p", "z")]
    against = {"p": "q", "q": "sgd"}
    held = {name: reference(name, names, against) for name in names}
    assert held == {
        ("sgd", "sgd"): ("baseline", "baseline"),
        ("baseline", "baseline"): None,
        ("q", "x"): ("sgd", "sgd"),
        ("q", "y"): ("sgd", "sgd"),
        ("p", "y"): ("q", "y"),  # the run of the same name
        ("p", "z"): ("q", "x"),  # else the first
    }


def test_first_variant_and_run_stand_in_for_a_missing_baseline():
    names = [("a", "one"), ("a", "two"), ("b", "two")]
    assert [reference(name, names, {}) for name in names] == [None, ("a", "one"), ("a", "two")]


def test_rows_say_against_what_and_by_which_settings():
    settings = {"baseline": {}, "sgd": {"optimizer": "sgd"}, "sgd_64": {"optimizer": "sgd", "batch_size": 64}}
    scores = {"baseline": {0: 0.7, 1: 0.7}, "sgd": {0: 0.6, 1: 0.6}, "sgd_64": {0: 0.5, 1: 0.5}}
    rows = rows_of(scores, settings, {"sgd_64": "sgd"})
    assert [row.against for row in rows.values()] == [None, "baseline", "sgd"]
    assert rows["sgd_64"].change == pytest.approx(-0.1)
    assert rows["sgd_64"].description == "as sgd, but batch_size 64"
    assert rows["sgd"].settings == "sgd"
    assert rows["baseline"].description.startswith("adam, lr 1e-3")


def test_change_is_over_the_seeds_that_both_have():
    row = rows_of({"baseline": {0: 0.5, 1: 0.6, 2: 0.9}, "a": {0: 0.6, 1: 0.72}})["a"]
    assert (row.n_paired_seeds, row.change) == (2, pytest.approx(0.11))


def test_unpaired_where_no_seed_is_shared():
    row = rows_of({"baseline": {0: 0.5, 1: 0.6}, "a": {2: 0.5, 3: 0.62}})["a"]
    assert (row.n_paired_seeds, row.degrees_of_freedom, row.change) == (0, 2, pytest.approx(0.01))


def test_seed_effect_cancels_in_pairs():
    scores = {"baseline": {0: 0.50, 1: 0.70}, "a": {0: 0.60, 1: 0.80}, "b": {0: 0.50, 1: 0.70}}
    shared = rows_of(scores)["a"]
    alone = rows_of({**scores, "a": {2: 0.60, 3: 0.80}})["a"]
    assert shared.verdict == "better"
    assert (alone.change, alone.verdict) == (pytest.approx(shared.change), "within noise")


def test_one_seed_everywhere_cannot_tell():
    row = rows_of({"baseline": {0: 0.4}, "a": {0: 0.9}})["a"]
    assert (row.verdict, row.noise, row.p, row.degrees_of_freedom) == ("cannot tell", None, None, 0)
    assert row.change == pytest.approx(0.5)


def test_one_seed_uses_the_scatter_of_others():
    row = rows_of({"baseline": {0: 0.50, 1: 0.51, 2: 0.49}, "a": {0: 0.9}})["a"]
    assert (row.n_paired_seeds, row.degrees_of_freedom, row.verdict) == (0, 2, "better")


def test_against_a_diverged_reference_cannot_tell():
    assert rows_of(CALM, baseline=2)["a"].verdict == "cannot tell"
    assert rows_of(CALM)["a"].verdict == "within noise"


# ---- equal settings ------------------------------------------------------------------------------------

EQUAL = {"baseline": {"lr": 0.01}, "a": {"lr": 0.01}, "b": {"lr": 0.1}}


def test_equal_settings_are_said_and_not_tested():
    rows = rows_of({**CALM, "a": CALM["baseline"]}, EQUAL)
    assert rows["a"].verdict == "same settings"
    assert (rows["a"].same_settings_as, rows["a"].p) == (["baseline"], None)
    assert rows["a"].description == "same settings as baseline"
    assert rows["b"].level == FAMILY_LEVEL  # the only one in the family


def test_equal_settings_count_once_in_the_pool():
    assert rows_of({**CALM, "a": CALM["baseline"]}, EQUAL)["b"].degrees_of_freedom == 1
    assert rows_of(CALM)["b"].degrees_of_freedom == 2


# ---- like behavior -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "diverged"),
    [
        ({0: 0.10, 1: 0.10}, {}),  # stuck at chance: no scatter at all
        ({0: 0.70, 1: 0.10}, {}),  # one of its seeds is
        ({0: 0.35, 1: 0.25}, {}),  # learned less than half of what the baseline did
        ({0: 0.70, 1: 0.60}, {"odd": 1}),
    ],
)
def test_runs_of_another_behavior_do_not_tell_of_the_scatter(odd: dict[int, float], diverged: dict[str, int]):
    without, with_odd = rows_of(CALM)["a"], rows_of({**CALM, "odd": odd}, **diverged)["a"]
    assert with_odd.degrees_of_freedom == without.degrees_of_freedom


def test_a_run_that_learned_tells_of_the_scatter():
    row = rows_of({**CALM, "like": {0: 0.60, 1: 0.55}})["a"]
    assert row.degrees_of_freedom == rows_of(CALM)["a"].degrees_of_freedom + 1


def test_seeds_at_chance_are_counted():
    rows = rows_of({**CALM, "half": {0: 0.7, 1: 0.1}, "stuck": {0: 0.1, 1: 0.12}})
    assert {variant: row.n_at_chance for variant, row in rows.items()} == {
        "baseline": 0, "a": 0, "b": 0, "half": 1, "stuck": 2,
    }  # fmt: skip
    assert rows["stuck"].verdict == "worse"


UNBALANCED = ["a"] * 170 + ["b"] * 60 + list("cdefg") * 3


def test_a_guess_is_what_dealing_the_answers_at_random_gives():
    rng = np.random.default_rng(0)
    predicted = rng.choice(list("abcdefg"), len(UNBALANCED), p=[0.5, 0.3, 0.05, 0.05, 0.05, 0.03, 0.02])
    share, deviation = guess(UNBALANCED, list(predicted))
    dealt = [np.mean(np.array(UNBALANCED) == rng.permutation(predicted)) for _ in range(4000)]
    assert share == pytest.approx(np.mean(dealt), abs=0.002)
    assert deviation == pytest.approx(np.std(dealt), rel=0.05)


@pytest.mark.parametrize(("n_known", "at_chance"), [(0, True), (30, False)])
def test_always_the_largest_class_has_learned_nothing_however_often_it_is_right(n_known: int, at_chance: bool):
    """170 of 245 right without a look at the pictures; 30 of another class known beside that are something."""
    predicted = ["a"] * 170 + ["b"] * n_known + ["a"] * (75 - n_known)
    correct = pd.DataFrame([np.array(predicted) == np.array(UNBALANCED)], dtype=float)
    guesses = pd.DataFrame([guess(UNBALANCED, predicted)], columns=["share", "deviation"])
    learned = Answers(correct, guesses).learned()
    assert bool(learned["at_chance"].iloc[0]) == at_chance
    assert (learned["kappa"].iloc[0] == pytest.approx(0, abs=1e-9)) == at_chance
    if not at_chance:
        assert learned["kappa"].iloc[0] == pytest.approx(cohen_kappa_score(UNBALANCED, predicted))


# ---- the file ------------------------------------------------------------------------------------------


def test_unknown_scores_are_null():
    answers = answers_of(CALM)
    table = table_of(answers, {}).assign(test_loss=math.nan)
    specs = [RunSpec("s", v, v, seed) for v, seeds in CALM.items() for seed in seeds]
    row = compare(specs, table, answers)[1]
    assert (row.scores["test_loss"], row.deviations["test_loss"]) == (None, None)


def test_json_holds_every_row():
    rows = list(rows_of(CALM).values())
    again = from_json(as_json(rows))
    assert [(r.label, r.verdict, r.settings) for r in again] == [(r.label, r.verdict, r.settings) for r in rows]
    assert again[1].noise == pytest.approx(rows[1].noise, abs=1e-6)
    assert again[1].scores["val_macro_f1"] == pytest.approx(0.705)


# ---- how often luck is called better: simulated studies ------------------------------------------------


def simulated(
    rng: np.random.Generator, shifts: list[float], of_training: float, of_variant: float, stuck: int = 0
) -> tuple[pd.DataFrame, Answers]:
    """A study of a baseline with 3 seeds and variants with 2, on 333 pictures of 37 classes; `shifts` are in logits.

    Luck of each picture (how hard it is), of each variant with each picture, of each seed, of each training, and
    of each answer. The last `stuck` variants always answer one class.
    """
    n = 333
    hardness, of_seed = rng.normal(0, 1.5, n), rng.normal(0, 0.05, 3)
    correct = {}
    for variant, shift in enumerate(shifts):
        taste = rng.normal(0, of_variant, n) if of_variant else 0.0
        for seed in range(3 if variant == 0 else 2):
            logits = 1.3 + shift + hardness + taste + of_seed[seed] + rng.normal(0, of_training)
            right = rng.random(n) < special.expit(logits)
            correct[str(variant), str(variant), seed] = right if variant < len(shifts) - stuck else np.arange(n) < 9
    frame = pd.DataFrame(np.array(list(correct.values()), dtype=float))
    frame.index = pd.MultiIndex.from_tuples(correct, names=TRAINING)
    answers = Answers(frame, guesses_of(frame, 37))
    return table_of(answers, {}).assign(**answers.learned().reset_index(drop=True)), answers


def verdicts(rng: np.random.Generator, shifts: list[float], *luck: float, stuck: int = 0) -> list[str]:
    """Of every variant against the first."""
    table, answers = simulated(rng, shifts, *luck, stuck=stuck)
    names = [(str(variant), str(variant)) for variant in range(len(shifts))]
    references = {name: None if name == names[0] else names[0] for name in names}
    found = judged(table, answers, references, {name: [] for name in names})
    return [found[name]["verdict"] for name in names[1:]]


def false_alarms(n_variants: int, *luck: float, stuck: int = 0) -> float:
    """Share of studies without any true difference in which some variant is called better or worse."""
    rng = np.random.default_rng(0)
    shifts = [0.0] * (n_variants + stuck)
    tables = [verdicts(rng, shifts, *luck, stuck=stuck)[: n_variants - 1] for _ in range(N_STUDIES)]
    return sum(bool({"better", "worse"} & set(table)) for table in tables) / N_STUDIES


LIMIT = FAMILY_LEVEL + 2 * math.sqrt(FAMILY_LEVEL * (1 - FAMILY_LEVEL) / N_STUDIES)  # two standard errors
SEEDS_DOMINATE, PICTURES_DOMINATE, BOTH = (0.6, 0.0), (0.0, 1.0), (0.1, 0.7)


@pytest.mark.parametrize("luck", [SEEDS_DOMINATE, PICTURES_DOMINATE, BOTH])
def test_no_difference_is_called_one_in_at_most_5_percent_of_studies(luck: tuple[float, float]):
    assert false_alarms(8, *luck) <= LIMIT


def test_without_holm_many_comparisons_raise_false_alarms(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparison, "holm", lambda p: (np.full(len(p), FAMILY_LEVEL), p))
    assert false_alarms(8, *SEEDS_DOMINATE) > LIMIT


def test_stuck_runs_in_the_pool_would_raise_false_alarms(monkeypatch: pytest.MonkeyPatch):
    assert false_alarms(4, *SEEDS_DOMINATE, stuck=4) <= LIMIT
    monkeypatch.setattr(comparison, "LIKE_SHARE", -1.0)
    monkeypatch.setattr(comparison, "CHANCE_DEVIATIONS", -math.inf)
    assert false_alarms(4, *SEEDS_DOMINATE, stuck=4) > LIMIT


@pytest.mark.parametrize(("shift", "expected"), [(1.5, "better"), (-1.5, "worse")])
def test_large_differences_are_found_among_many(shift: float, expected: str):
    """1.5 logits are about 20 points of accuracy here."""
    rng = np.random.default_rng(1)
    found = [verdicts(rng, [0.0] * 7 + [shift], *BOTH)[-1] for _ in range(40)]
    assert found.count(expected) >= 38


# ---- a run as reference ----------------------------------------------------------------------------------


def test_a_variant_may_be_held_against_one_run_of_another():
    names = [("baseline", "baseline"), ("optimizer", "sgd"), ("optimizer", "adam"), ("betas", "low"), ("betas", "adam")]
    against = {"betas": "optimizer/adam"}
    assert reference(("betas", "low"), names, against) == ("optimizer", "adam")
    assert reference(("betas", "adam"), names, against) == ("optimizer", "adam")
    assert reference(("optimizer", "adam"), names, against) == ("baseline", "baseline")


def test_a_contest_says_what_the_table_says_and_is_no_more_generous_elsewhere() -> None:
    accuracies = {"baseline": {0: 0.6, 1: 0.62}, "a": {0: 0.9, 1: 0.91}, "b": {0: 0.7, 1: 0.73}, "c": {0: 0.5, 1: 0.52}}
    answers = answers_of(accuracies)
    specs = [RunSpec("s", v, v, seed, lr=1e-3 * (1 + i)) for i, v in enumerate(accuracies) for seed in accuracies[v]]
    table = table_of(answers, {})
    table = table.assign(**dict.fromkeys(MEASURES, table["test_accuracy"]))
    rows = compare(specs, table, answers)
    of_row = {row.variant: row for row in rows}
    same = {(row.variant, row.run): row.same_settings_as for row in rows}
    found = comparison.contest(rows, rows, table, answers, same)
    assert found is not None
    assert found.best == "a"
    leads = {lead.over: lead for lead in found.leads}
    assert list(leads) == ["baseline", "b", "c"]
    assert (leads["baseline"].change, leads["baseline"].noise) == (of_row["a"].change, of_row["a"].noise)
    assert leads["baseline"].verdict == of_row["a"].verdict
    against = comparison.contest([of_row["baseline"], of_row["c"]], rows, table, answers, same)
    assert against is not None
    assert against.best == "baseline"
    assert against.leads[0].change == -(of_row["c"].change or 0.0)
    apart = comparison.accuracy_difference(("a", "a"), ("b", "b"), table, answers, same)
    assert leads["b"].noise == apart.half_width(FAMILY_LEVEL / 3)


def test_a_contest_of_runs_that_diverged_has_no_winner_and_one_seed_no_noise() -> None:
    answers = answers_of({"baseline": {0: 0.6}, "a": {0: 0.9}})
    specs = [RunSpec("s", v, v, 0, lr=lr) for v, lr in (("baseline", 1e-3), ("a", 1e-2))]
    for diverged, best in (({"baseline": 0, "a": 0}, None), ({}, "a"), ({"a": 0}, "baseline")):
        table = table_of(answers, diverged)
        table = table.assign(**dict.fromkeys(MEASURES, table["test_accuracy"]))
        rows = compare(specs, table, answers)
        same = {(row.variant, row.run): row.same_settings_as for row in rows}
        found = comparison.contest(rows, rows, table, answers, same)
        assert (found and found.best) == best
        assert found is None or found.leads[0].verdict == "cannot tell"
