"""Is a run better than the baseline, or only luckier? One row of numbers and a verdict for each run.

The question is about the settings: would they score higher again, with other seeds, on other pictures of
the same kind? Two kinds of luck stand between the scores and the answer, and NOISE is the half-width of
the 95 % interval that allows for both:

    change = mean over the seeds s that both have of (a[run, s] - a[baseline, s])            paired, or
             mean of a[run, .] - mean of a[baseline, .]                                      unpaired
    noise² = t² · V_seeds + z² · V_test
    V_seeds = 2 · s² / (number of shared seeds)            or  s² · (1/n_run + 1/n_baseline)
    V_test  = p_run (1 - p_run) / n_test + p_baseline (1 - p_baseline) / n_test

- *Seeds.* A run has two or three seeds, too few to know its own scatter, so one variance s² is pooled over
  all runs that finished: what remains of a[run, seed] after an effect of each run and an effect of each
  seed are fitted (paired: equal seeds mean equal order of examples and, for one architecture, equal initial
  weights, which cancels in the difference), or after an effect of each run alone (unpaired). Its degrees of
  freedom are the observations less the effects; t is the 97.5 % quantile at that number. Pairing needs
  shared seeds and at least one degree of freedom, else the unpaired form is taken; with none there either,
  the answer is 'cannot tell'. Runs of the same settings are the same trainings and are counted once.
- *Pictures.* All seeds are tested on the same pictures, so more seeds do not average their luck away. The
  binomial variance of each accuracy is added, z = 1.96, with p drawn a little towards 1/2 as Agresti and
  Coull do (1998), so that 100 % right is not taken for certainty. It counts the two runs' luck as
  independent; both see the same pictures, which makes the truth smaller: the noise is an upper bound.
- The two half-widths are added in quadrature. This is exact when either is zero and on the safe side between.

Each row's interval is a 95 % one by itself: with many runs, one in twenty without any difference falls
outside. `compare(..., confidence=...)` is where a correction for many comparisons comes in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import special

from pawprint.types import RUN_SETTINGS, RunSpec

CONFIDENCE = 0.95
BASELINE = "baseline"  # the variant that others are held against; the first one where it is absent
MEASURES = ("val_accuracy", "val_loss", "test_accuracy", "test_loss")

Verdict = Literal["better", "worse", "within noise", "cannot tell"]
RunName = tuple[str, str]  # (variant, run)


@dataclass(frozen=True)
class RunComparison:
    """One run over its seeds, and against the baseline. Accuracies are shares, losses nats.

    None: not known (one seed has no standard deviation; a diverged training may have no finite loss).
    """

    variant: str
    run: str
    n_seeds: int
    n_diverged: int
    val_accuracy: float | None  # mean over seeds
    val_accuracy_sd: float | None  # standard deviation over seeds
    val_loss: float | None
    val_loss_sd: float | None
    test_accuracy: float | None
    test_accuracy_sd: float | None
    test_loss: float | None
    test_loss_sd: float | None
    n_test: int
    is_baseline: bool
    change: float | None  # in test accuracy against the baseline; None for the baseline itself
    noise: float | None  # half-width of the change's 95 % interval
    n_paired_seeds: int  # that both have; 0: the change is unpaired
    degrees_of_freedom: int  # of the seeds' pooled variance
    verdict: Verdict | None  # None for the baseline itself
    same_settings_as: list[str]  # other runs, `variant` or `variant/run`


@dataclass(frozen=True)
class PooledVariance:
    """The seeds' variance, one for all runs; NaN without degrees of freedom."""

    variance: float
    degrees_of_freedom: int


def compare(
    table: pd.DataFrame, same_settings: dict[RunName, list[str]] | None = None, confidence: float = CONFIDENCE
) -> list[RunComparison]:
    """One row for each (variant, run), in the table's order.

    `table`: a row for each training, columns variant, run, seed, outcome ('finished' or 'diverged'),
    val_accuracy, val_loss, test_accuracy, test_loss (NaN where not finite), n_test.
    `same_settings`: what `coinciding` returns.
    """
    same = same_settings or {}
    names = list(dict.fromkeys(zip(table["variant"], table["run"], strict=True)))
    baseline = next((name for name in names if name[0] == BASELINE), names[0])
    trainings = dict(iter(table.groupby(["variant", "run"], sort=False)))
    independent = _independent(table, same)
    pooled = {paired: pooled_variance(independent, paired) for paired in (True, False)}
    rows = []
    for name in names:
        against = {} if name == baseline else _against(trainings[name], trainings[baseline], pooled, confidence)
        rows.append(_row(name, trainings[name], against, same.get(name, [])))
    return rows


def as_json(rows: list[RunComparison]) -> dict[str, dict[str, dict[str, Any]]]:
    """variant → run → numbers, floats rounded to six places so that they read well."""
    content: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        numbers = {k: v for k, v in asdict(row).items() if k not in ("variant", "run")}
        rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in numbers.items()}
        content.setdefault(row.variant, {})[row.run] = rounded
    return content


def from_json(content: dict[str, dict[str, dict[str, Any]]]) -> list[RunComparison]:
    """The rows that `as_json` wrote, in their order; TypeError where the fields are others."""
    return [
        RunComparison(variant=variant, run=run, **fields)
        for variant, runs in content.items()
        for run, fields in runs.items()
    ]


def pooled_variance(table: pd.DataFrame, paired: bool) -> PooledVariance:
    """The variance of test accuracy that an effect of each run (and, `paired`, of each seed) leaves."""
    run_effects = pd.get_dummies(table["variant"] + "/" + table["run"], dtype=float)
    seed_effects = pd.get_dummies(table["seed"], dtype=float)
    effects = np.hstack([run_effects, seed_effects]) if paired else run_effects.to_numpy()
    degrees_of_freedom = len(table) - int(np.linalg.matrix_rank(effects)) if len(table) else 0
    if degrees_of_freedom == 0:
        return PooledVariance(math.nan, 0)
    accuracies = table["test_accuracy"].to_numpy(dtype=float)
    fitted = effects @ np.linalg.lstsq(effects, accuracies, rcond=None)[0]
    return PooledVariance(float(np.sum((accuracies - fitted) ** 2)) / degrees_of_freedom, degrees_of_freedom)


def sampling_variance(accuracy: float, n_test: int, confidence: float = CONFIDENCE) -> float:
    """The variance of an accuracy (a share) from the choice of `n_test` pictures."""
    z = special.ndtri((1 + confidence) / 2)
    drawn_in = (accuracy * n_test + z**2 / 2) / (n_test + z**2)
    return float(drawn_in * (1 - drawn_in) / n_test)


def half_width(seeds_variance: float, degrees_of_freedom: int, test_variance: float, confidence: float) -> float | None:
    """Half of the interval's width for a change with these two variances; None without degrees of freedom."""
    if degrees_of_freedom == 0:
        return None
    t = special.stdtrit(degrees_of_freedom, (1 + confidence) / 2)
    z = special.ndtri((1 + confidence) / 2)
    return math.sqrt(t**2 * seeds_variance + z**2 * test_variance)


def verdict(change: float | None, noise: float | None, diverged: bool, baseline_diverged: bool) -> Verdict:
    """What may be said of a change (shares) against its noise.

    The noise is that of trainings that finish. Of a run with a diverged seed it may show the harm, never a
    gain; against a baseline with a diverged seed it shows nothing.
    """
    if change is None or noise is None or baseline_diverged:
        return "cannot tell"
    if abs(change) <= noise:
        return "within noise"
    if change < 0:
        return "worse"
    return "cannot tell" if diverged else "better"


def coinciding(specs: Iterable[RunSpec]) -> dict[RunName, list[str]]:
    """For each (variant, run) the other runs with equal settings: they are the same trainings."""
    settings = {(s.variant, s.run): tuple(getattr(s, key) for key in RUN_SETTINGS) for s in specs}
    return {
        name: [label(*other) for other in settings if other != name and settings[other] == settings[name]]
        for name in settings
    }


def label(variant: str, run: str) -> str:
    """What a run is called beside others: `variant`, or `variant/run` where its name is another."""
    return variant if run == variant else f"{variant}/{run}"


def _independent(table: pd.DataFrame, same: dict[RunName, list[str]]) -> pd.DataFrame:
    """The trainings that tell of the seeds' scatter: finished, measured, of different settings."""
    labels = [label(v, r) for v, r in zip(table["variant"], table["run"], strict=True)]
    twins = [same.get(name, []) for name in zip(table["variant"], table["run"], strict=True)]
    group = [min([own, *others]) for own, others in zip(labels, twins, strict=True)]
    usable = table[(table["outcome"] == "finished") & np.isfinite(table["test_accuracy"])]
    first = ~usable.assign(group=pd.Series(group, index=table.index)).duplicated(["group", "seed"])
    return usable[first]


def _against(
    run: pd.DataFrame, baseline: pd.DataFrame, pooled: dict[bool, PooledVariance], confidence: float
) -> dict[str, Any]:
    """The fields of `RunComparison` that hold a run against the baseline."""
    ours, theirs = (part.set_index("seed")["test_accuracy"].astype(float) for part in (run, baseline))
    shared = ours.index.intersection(theirs.index)
    paired = len(shared) > 0 and pooled[True].degrees_of_freedom > 0
    if paired:
        change, spread = float((ours[shared] - theirs[shared]).mean(skipna=False)), 2 / len(shared)
    else:
        change, spread = _mean(ours, math.nan) - _mean(theirs, math.nan), 1 / len(ours) + 1 / len(theirs)
    seeds = pooled[paired]
    known = math.isfinite(change)
    test_variance = sum(
        sampling_variance(_mean(part["test_accuracy"], 0.5), int(part["n_test"].iloc[0]), confidence)
        for part in (run, baseline)
    )
    noise = half_width(seeds.variance * spread, seeds.degrees_of_freedom, test_variance, confidence)
    diverged = [bool((part["outcome"] == "diverged").any()) for part in (run, baseline)]
    return {
        "change": change if known else None,
        "noise": noise,
        "n_paired_seeds": len(shared) if paired else 0,
        "degrees_of_freedom": seeds.degrees_of_freedom,
        "verdict": verdict(change if known else None, noise, *diverged),
    }


def _row(name: RunName, trainings: pd.DataFrame, against: dict[str, Any], same: list[str]) -> RunComparison:
    means: dict[str, Any] = {m: _finite(trainings[m].astype(float).mean(skipna=False)) for m in MEASURES}
    deviations: dict[str, Any] = {
        f"{m}_sd": _finite(trainings[m].astype(float).std(ddof=1, skipna=False)) for m in MEASURES
    }
    itself = {"change": None, "noise": None, "n_paired_seeds": 0, "degrees_of_freedom": 0, "verdict": None}
    return RunComparison(
        variant=name[0],
        run=name[1],
        n_seeds=len(trainings),
        n_diverged=int((trainings["outcome"] == "diverged").sum()),
        n_test=int(trainings["n_test"].iloc[0]),
        is_baseline=not against,
        same_settings_as=same,
        **means,
        **deviations,
        **(against or itself),
    )


def _mean(values: pd.Series, otherwise: float) -> float:
    mean = float(values.astype(float).mean(skipna=False))
    return mean if math.isfinite(mean) else otherwise


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
