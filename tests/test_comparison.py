"""The verdicts: small cases by hand, no false alarms beyond 5 %, large differences found."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pawprint.comparison import (
    as_json,
    coinciding,
    compare,
    from_json,
    pooled_variance,
    sampling_variance,
    verdict,
)
from pawprint.types import RunSpec

HUGE_TEST_SET = 10**9  # its sampling error vanishes, so that hand-made numbers come out
N_TABLES = 500


def tidy(accuracies: dict[str, dict[int, float]], n_test: int = HUGE_TEST_SET, **diverged: int) -> pd.DataFrame:
    """A table of variants of one run each: variant → seed → test accuracy; `diverged`: variant → seed."""
    return pd.DataFrame(
        {
            "variant": variant,
            "run": variant,
            "seed": seed,
            "outcome": "diverged" if diverged.get(variant) == seed else "finished",
            "val_accuracy": accuracy,
            "val_loss": 1.0,
            "test_accuracy": accuracy,
            "test_loss": 2.0,
            "n_test": n_test,
        }
        for variant, seeds in accuracies.items()
        for seed, accuracy in seeds.items()
    )


def row_of(table: pd.DataFrame, variant: str, **options):
    return next(row for row in compare(table, **options) if row.variant == variant)


def test_means_and_deviations_by_hand():
    row = row_of(tidy({"baseline": {0: 0.5, 1: 0.6}, "a": {0: 0.7}}), "baseline")
    assert (row.n_seeds, row.test_accuracy, row.test_loss) == (2, pytest.approx(0.55), 2.0)
    assert row.test_accuracy_sd == pytest.approx(0.1 / math.sqrt(2))
    assert (row.is_baseline, row.verdict, row.change) == (True, None, None)
    assert row_of(tidy({"baseline": {0: 0.5, 1: 0.6}, "a": {0: 0.7}}), "a").test_accuracy_sd is None


def test_paired_change_and_noise_by_hand():
    """Differences 0.10 and 0.12: residuals ±0.005, so s² = 4 · 0.005² with 4 - (2 + 2 - 1) = 1 degree."""
    row = row_of(tidy({"baseline": {0: 0.5, 1: 0.6}, "a": {0: 0.6, 1: 0.72}}), "a")
    assert (row.n_paired_seeds, row.degrees_of_freedom) == (2, 1)
    assert row.change == pytest.approx(0.11)
    assert row.noise == pytest.approx(stats.t.ppf(0.975, 1) * 0.01, rel=1e-3)
    assert row.verdict == "within noise"


def test_unpaired_noise_where_no_seed_is_shared():
    """Each run's s² is 0.005; two degrees; V = s² (1/2 + 1/2)."""
    row = row_of(tidy({"baseline": {0: 0.5, 1: 0.6}, "a": {2: 0.5, 3: 0.6}}), "a")
    assert (row.n_paired_seeds, row.degrees_of_freedom, row.change) == (0, 2, pytest.approx(0))
    assert row.noise == pytest.approx(stats.t.ppf(0.975, 2) * math.sqrt(0.005), rel=1e-3)


def test_seed_effect_cancels_in_pairs():
    table = tidy({"baseline": {0: 0.40, 1: 0.60}, "a": {0: 0.45, 1: 0.65}, "b": {0: 0.40, 1: 0.60}})
    assert pooled_variance(table, paired=True).variance == pytest.approx(0, abs=1e-20)
    assert pooled_variance(table, paired=False).variance == pytest.approx(0.02)
    assert row_of(table, "a").verdict == "better"


def test_test_set_alone_gives_the_binomial_interval():
    table = tidy({"baseline": {0: 0.5, 1: 0.5}, "a": {0: 0.5, 1: 0.5}}, n_test=400)
    assert row_of(table, "a").noise == pytest.approx(1.96 * math.sqrt(2 * 0.25 / 400), rel=1e-3)


def test_sampling_variance_of_all_right_is_not_zero():
    assert sampling_variance(1.0, 100) > 0
    assert sampling_variance(0.5, 100) == pytest.approx(0.25 / 100)


def test_one_seed_everywhere_cannot_tell():
    row = row_of(tidy({"baseline": {0: 0.1}, "a": {0: 0.9}}), "a")
    assert (row.verdict, row.noise, row.degrees_of_freedom) == ("cannot tell", None, 0)
    assert row.change == pytest.approx(0.8)


def test_one_seed_uses_the_scatter_of_others():
    row = row_of(tidy({"baseline": {0: 0.50, 1: 0.51, 2: 0.49}, "a": {0: 0.9}}), "a")
    assert (row.n_paired_seeds, row.degrees_of_freedom, row.verdict) == (0, 2, "better")


def test_first_variant_stands_in_for_a_missing_baseline():
    rows = compare(tidy({"a": {0: 0.5, 1: 0.5}, "b": {0: 0.5, 1: 0.5}}))
    assert [row.is_baseline for row in rows] == [True, False]


def test_diverged_runs_are_marked_and_kept_out_of_the_pool():
    calm = {"baseline": {0: 0.50, 1: 0.51}, "b": {0: 0.51, 1: 0.50}}
    row = row_of(tidy({**calm, "a": {0: 0.5, 1: 0.02}}, a=1), "b")
    assert row.noise == pytest.approx(row_of(tidy(calm), "b").noise, rel=1e-3)
    assert row_of(tidy({**calm, "a": {0: 0.5, 1: 0.02}}, a=1), "a").n_diverged == 1


@pytest.mark.parametrize(
    ("change", "noise", "diverged", "baseline_diverged", "expected"),
    [
        (0.02, 0.01, False, False, "better"),
        (-0.02, 0.01, False, False, "worse"),
        (0.01, 0.01, False, False, "within noise"),
        (0.02, 0.01, True, False, "cannot tell"),
        (-0.02, 0.01, True, False, "worse"),
        (0.02, 0.01, False, True, "cannot tell"),
        (None, 0.01, False, False, "cannot tell"),
        (0.02, None, False, False, "cannot tell"),
    ],
)
def test_verdict_by_hand(change, noise, diverged, baseline_diverged, expected):
    assert verdict(change, noise, diverged, baseline_diverged) == expected


def test_unknown_accuracy_cannot_tell():
    table = tidy({"baseline": {0: 0.5, 1: 0.5}, "a": {0: math.nan, 1: 0.5}})
    row = row_of(table, "a")
    assert (row.test_accuracy, row.change, row.verdict) == (None, None, "cannot tell")


def test_equal_settings_coincide_and_count_once():
    specs = [RunSpec("s", v, v, seed, lr=lr) for v, lr in (("baseline", 0.01), ("a", 0.01), ("b", 0.1))
             for seed in (0, 1)]  # fmt: skip
    same = coinciding(specs)
    assert same == {("baseline", "baseline"): ["a"], ("a", "a"): ["baseline"], ("b", "b"): []}
    scores = {"baseline": {0: 0.5, 1: 0.52}, "a": {0: 0.5, 1: 0.52}, "b": {0: 0.5, 1: 0.6}}
    assert row_of(tidy(scores), "b").degrees_of_freedom == 2
    row = row_of(tidy(scores), "b", same_settings=same)
    assert row.degrees_of_freedom == 1
    assert row_of(tidy(scores), "a", same_settings=same).same_settings_as == ["baseline"]


def test_json_holds_every_row():
    rows = compare(tidy({"baseline": {0: 0.5, 1: 0.75}, "a": {0: 0.5, 1: 0.75}}))
    again = from_json(as_json(rows))
    assert [(row.variant, row.run, row.verdict) for row in again] == [
        (row.variant, row.run, row.verdict) for row in rows
    ]
    assert again[1].noise == pytest.approx(rows[1].noise, abs=1e-6)


def simulated(rng: np.random.Generator, planted: float, seed_sd: float, n_test: int) -> pd.DataFrame:
    """Three variants: luck of each seed, of each training, and of each variant with the pictures."""
    p = 0.6
    of_seed = rng.normal(0, 0.01, 3)
    luck = rng.normal(0, math.sqrt(p * (1 - p) / n_test), 3)
    accuracies = {}
    for index, variant in enumerate(["baseline", "a", "b"]):
        seeds = range(3 if variant == "baseline" else 2)
        shift = planted if variant == "a" else 0.0
        accuracies[variant] = {s: p + shift + luck[index] + of_seed[s] + rng.normal(0, seed_sd) for s in seeds}
    return tidy(accuracies, n_test=n_test)


@pytest.mark.parametrize(("seed_sd", "n_test"), [(0.02, HUGE_TEST_SET), (0.001, 400)])
def test_no_difference_is_within_noise_in_95_percent(seed_sd: float, n_test: int):
    """Where seeds, or pictures, make nearly all the noise it is exact; 500 tables tell it to ± 2 %."""
    rng = np.random.default_rng(0)
    verdicts = [row_of(simulated(rng, 0.0, seed_sd, n_test), "a").verdict for _ in range(N_TABLES)]
    assert 0.93 <= verdicts.count("within noise") / N_TABLES <= 0.97


@pytest.mark.parametrize(("planted", "expected"), [(0.25, "better"), (-0.25, "worse")])
def test_large_difference_is_found(planted: float, expected: str):
    rng = np.random.default_rng(1)
    verdicts = [row_of(simulated(rng, planted, 0.01, 400), "a").verdict for _ in range(50)]
    assert verdicts.count(expected) >= 49
