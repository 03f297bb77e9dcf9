"""Is a run better than what it is held against, or only luckier? One row of numbers and a verdict for each run.

Every run is held against a reference: `variants.<v>.against` of params.yaml, a variant or `variant/run`, by default
`baseline` (the first variant where there is none); of a variant the run of the same name, else the first. The baseline
is held against nothing; another reference is itself held against what its variant is.

The question is about the settings: would they score higher again, with other seeds, on other pictures of the same
kind? Two kinds of luck stand between the scores and the answer, and NOISE is the half-width of an interval that
allows for both:

    change = mean over the seeds s that both have of (a[run, s] - a[reference, s])          paired, or
             mean of a[run, .] - mean of a[reference, .]                                     unpaired
    noise² = t² · V_seeds + z² · V_pictures
    V_seeds = φ · (w_run + w_reference) / (number of shared seeds)    or  φ · (w_run / n_run + w_ref / n_ref)
    V_pictures = (Σ d² + 1 - (Σ d)² / (n + 2)) / (n + 2)²

- *Seeds.* A run has two or three seeds, too few to know its own scatter, so it is pooled: Var(a) = φ · w with
  w = p (1 - p) of the run's accuracy p, and one φ for all (a quasi-binomial model: McCullagh & Nelder 1989, ch. 4.5).
  The w lets runs of different levels share φ: at 98 % seeds scatter less than at 70 %. φ is what an effect of each
  run and of each seed leaves of the accuracies in a weighted least-squares fit (paired: equal seeds mean equal
  order of examples and, for one architecture, equal initial weights, which cancels in the difference), or an
  effect of each run alone (unpaired). Its degrees of freedom are the observations less the effects; t is the
  quantile at that number. Pairing needs shared seeds and at least one degree of freedom, else the unpaired form is
  taken; with none there either, the answer is 'cannot tell'.
- *Like behavior.* Into the pool for a reference go runs whose every training finished, was better than a guess, and
  learned at least half as much as the reference did, by Cohen's kappa (1960): the accuracy above that of a guess which
  names each class as often, over the most that can be above it. With classes of unequal size that guess may be right
  often; kappa is 0 for it, and for the largest class named every time. A run stuck at chance hardly
  scatters, one that a bad rate half destroyed scatters wildly, and neither tells of those that learn. The rule
  looks at levels and not at scatter, so it does not choose the noise. Equal settings are the same trainings and are
  counted once.
- *Pictures.* All seeds see the same test pictures, so more seeds do not average the pictures' luck away. Both runs
  see the same ones too, which makes most of that luck common: V_pictures is the variance of the mean over the n
  pictures of d = (share of the seeds that are right in the run) - (the same in the reference). The added 1 and 2 are
  Agresti and Min's (2005, Statistics in Medicine 24:729-740) half an observation in each cell of the matched pairs'
  table, here with d between -1 and 1, so that two runs that never disagree are not certain.
- *The safe side.* d holds seeds' luck too: of V_seeds the part that falls on each picture by itself is in
  V_pictures again, and is at most as large as either. So the noise is never too small for it, and at most √2
  times too large. The two half-widths are added in quadrature, which is exact when either is zero and on the
  safe side between.

*Many comparisons.* The family is all rows that are tested in one table. Holm's step-down (1979, Scandinavian Journal
of Statistics 6:65-70) keeps the chance of any false 'better' or 'worse' in it at 5 %, whatever the rows have in
common: with m rows in ascending order of p, the j-th is held to the level 5 % / (m - j + 1), and from the first
that fails on, all are within noise. A row's p is the level at which its noise equals its change; the noise that is
shown is the one at the level that the row was held to, so that a verdict is 'better' or 'worse' just where the
change is larger than the noise beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from scipy import optimize, special

from pawprint.labels import RunName, coinciding, differences, label, main_settings
from pawprint.params import BASELINE, runs_named
from pawprint.types import SCORES, RunSpec

FAMILY_LEVEL = 0.05  # chance of any false verdict in a table
SMALLEST_P = 1e-12  # below it p is not worked out
CHANCE_DEVIATIONS = 3  # a guess stays below its mean and this many standard deviations 99.9 % of the time
LIKE_SHARE = 0.5  # of what the reference learned: less is another behavior
MEASURES = tuple(f"{split}_{score}" for split in ("val", "test") for score in SCORES)
TRAINING = ["variant", "run", "seed"]

Verdict = Literal["better", "worse", "within noise", "cannot tell", "same settings"]


@dataclass(frozen=True)
class Answers:
    """What the test set got from the trainings."""

    correct: pd.DataFrame  # row (variant, run, seed), a column each picture: 1.0 right, 0.0 wrong
    guesses: pd.DataFrame  # the same rows, columns share and deviation: what `guess` says of each training

    def learned(self) -> pd.DataFrame:
        """The same rows: `kappa`, 0 for a guess and 1 for all right, and `at_chance`, no better than a guess."""
        accuracy, chance = self.correct.mean(axis=1, skipna=False), self.guesses["share"]
        largest_guess = chance + CHANCE_DEVIATIONS * self.guesses["deviation"]
        return pd.DataFrame({"kappa": (accuracy - chance) / (1 - chance), "at_chance": ~(accuracy > largest_guess)})


def guess(actual: Sequence[str], predicted: Sequence[str]) -> tuple[float, float]:
    """The share of right answers, mean and standard deviation, were the same answers dealt to the pictures at random.

    The mean is Cohen's (1960, Educational and Psychological Measurement 20:37-46) agreement by chance; the deviation
    is that of a linear permutation statistic (Hoeffding 1951, Annals of Mathematical Statistics 22:558-566).
    """
    classes = sorted({*actual, *predicted})
    n_actual, n_predicted = (
        pd.Series(names).value_counts().reindex(classes, fill_value=0) for names in (actual, predicted)
    )
    n = len(actual)
    of_answer, of_picture = n_actual.to_numpy() / n, n_predicted.to_numpy() / n  # share right, given either
    mean = float(of_answer @ of_picture)
    centered = np.eye(len(classes)) - of_answer[:, None] - of_picture[None, :] + mean  # (predicted, actual)
    variance = float(n_predicted.to_numpy() @ centered**2 @ n_actual.to_numpy()) / (n - 1)
    return mean, math.sqrt(variance) / n


@dataclass(frozen=True)
class RunComparison:
    """One run over its seeds, and against its reference. Accuracies and F1 are shares, losses nats.

    None: not known (one seed has no standard deviation; a diverged training may have no finite loss), or, from
    `change` on, not asked.
    """

    variant: str
    run: str
    settings: str  # what differs from the reference; of the baseline the main settings
    pretrained_on: str | None  # None: random weights at the start
    pictures_per_step: int  # that go through the model, views of unlabelled ones counted
    n_seeds: int
    n_diverged: int
    n_at_chance: int  # seeds whose training ended no better than guessing
    n_test: int
    chance: float  # accuracy of a guess that names each class as often, mean over seeds
    is_baseline: bool
    against: str | None  # the reference's label; None for the baseline
    same_settings_as: list[str]  # other runs, `variant` or `variant/run`
    scores: dict[str, float | None]  # val_ and test_ loss, accuracy, balanced_accuracy, macro_f1: mean over seeds
    deviations: dict[str, float | None]  # their standard deviations over seeds
    change: float | None  # in test accuracy against the reference
    noise: float | None  # half-width of the change's interval at `level`
    level: float | None  # that Holm's step-down held the row to
    p: float | None  # adjusted for all rows that are tested (Holm)
    n_paired_seeds: int  # that both have; 0: the change is unpaired
    degrees_of_freedom: int  # of the seeds' pooled scatter
    verdict: Verdict | None  # None for the baseline

    @property
    def label(self) -> str:
        """What the run is called, with what its weights were trained on before."""
        return label(self.variant, self.run, self.pretrained_on)

    @property
    def description(self) -> str:
        """What the run is, by its settings: `as baseline, but lr 1e-2`."""
        if self.is_baseline:
            return self.settings
        return f"as {self.against}, but {self.settings}" if self.settings else f"same settings as {self.against}"


@dataclass(frozen=True)
class Lead:
    """By how much the run that val chose is above another one on test. None: nothing to measure it by."""

    over: str  # the other run's label
    change: float | None
    noise: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Contest:
    """Which of a question's runs val chooses, and whether test bears it out; `leads` in the question's order."""

    best: str  # its label
    leads: list[Lead]


@dataclass(frozen=True)
class Pool:
    """φ of the seeds' scatter; NaN without degrees of freedom."""

    dispersion: float
    degrees_of_freedom: int


@dataclass(frozen=True)
class Difference:
    """A change and the two variances of its luck."""

    change: float
    n_paired_seeds: int
    seeds_variance: float
    degrees_of_freedom: int
    pictures_variance: float

    @property
    def is_testable(self) -> bool:
        return self.degrees_of_freedom > 0 and math.isfinite(self.change)

    def half_width(self, level: float) -> float:
        """Half of the interval's width that is left at this level of significance (0.05: a 95 % interval)."""
        t, z = special.stdtrit(self.degrees_of_freedom, level / 2), special.ndtri(level / 2)
        return math.sqrt(t**2 * self.seeds_variance + z**2 * self.pictures_variance)

    def p_value(self) -> float:
        """The level at which the half-width equals the change; SMALLEST_P where it would be below."""
        size = abs(self.change)
        if self.half_width(SMALLEST_P) <= size:
            return SMALLEST_P
        lowest = math.log(SMALLEST_P)
        return math.exp(optimize.brentq(lambda log_p: self.half_width(math.exp(log_p)) - size, lowest, 0.0))


def compare(
    specs: Sequence[RunSpec], table: pd.DataFrame, answers: Answers, against: Mapping[str, str] | None = None
) -> list[RunComparison]:
    """One row for each (variant, run), in the table's order.

    `table`: a row for each of `specs`, columns variant, run, seed, outcome ('finished' or 'diverged') and MEASURES
    (NaN where not finite). `against`: variant → the variant, or `variant/run`, that it is held against.
    """
    of_run: dict[RunName, RunSpec] = {}
    for spec in specs:
        of_run.setdefault((spec.variant, spec.run), spec)
    same = coinciding(specs)
    table = table.assign(**answers.learned().reset_index(drop=True))
    trainings = dict(iter(table.groupby(TRAINING[:2], sort=False)))
    references = {name: reference(name, list(of_run), against or {}) for name in of_run}
    found = judged(table, answers, references, same)
    chances = answers.guesses["share"].groupby(level=TRAINING[:2]).mean()
    rows = []
    for name, spec in of_run.items():
        other = references[name]
        row = RunComparison(
            variant=spec.variant,
            run=spec.run,
            settings=main_settings(spec) if other is None else differences(spec, of_run[other]),
            pretrained_on=spec.pretrained_on,
            pictures_per_step=spec.pictures_per_step,
            n_test=answers.correct.shape[1],
            chance=float(chances[name]),
            is_baseline=other is None,
            against=None if other is None else label(*other),
            same_settings_as=same[name],
            **_scores(trainings[name]),
            **found[name],
        )
        rows.append(row)
    return rows


def reference(name: RunName, names: Sequence[RunName], against: Mapping[str, str]) -> RunName | None:
    """What a run is held against; None for the baseline, which is the first run of its variant."""
    variants = [variant for variant, _ in names]
    default = BASELINE if BASELINE in variants else variants[0]
    held = default if name[0] == default else against.get(name[0], default)
    candidates = runs_named(held, names)
    same_name = [other for other in candidates if other[1] == name[1] and other != name]
    found = (same_name or candidates)[0]
    return None if found == name else found


def as_json(rows: Sequence[RunComparison]) -> dict[str, dict[str, dict[str, Any]]]:
    """variant → run → numbers, floats rounded to six places so that they read well."""
    content: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        numbers = {k: v for k, v in asdict(row).items() if k not in ("variant", "run")}
        content.setdefault(row.variant, {})[row.run] = {k: _rounded(v) for k, v in numbers.items()}
    return content


def from_json(content: dict[str, dict[str, dict[str, Any]]]) -> list[RunComparison]:
    """The rows that `as_json` wrote, in their order; pydantic's ValidationError where the fields are others."""
    rows = [
        {**fields, "variant": variant, "run": run} for variant, runs in content.items() for run, fields in runs.items()
    ]
    return TypeAdapter(list[RunComparison]).validate_python(rows)


def contest(
    chosen: Sequence[RunComparison],
    rows: Sequence[RunComparison],
    table: pd.DataFrame,
    answers: Answers,
    same: dict[RunName, list[str]],
) -> Contest | None:
    """Of the `chosen` rows the run of the highest mean val accuracy, held against each other; None where none finished.

    Test chooses nothing here: it says by how much the choice was right. What a row of the table says already is taken
    from there; other pairs are held to the level of the table's first step, family level / rows tested, so that no
    answer is more generous than the table. `rows`, `table`, `answers` and `same` (`labels.coinciding`) are of all runs.
    """
    finished = [row for row in chosen if not row.n_diverged and row.scores["val_accuracy"] is not None]
    if not finished:
        return None
    best = max(finished, key=lambda row: row.scores["val_accuracy"] or 0.0)
    level = FAMILY_LEVEL / max(1, sum(row.p is not None for row in rows))
    return Contest(best.label, [_lead(best, row, level, table, answers, same) for row in chosen if row is not best])


MIRRORED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}


def _lead(
    best: RunComparison,
    row: RunComparison,
    level: float,
    table: pd.DataFrame,
    answers: Answers,
    same: dict[RunName, list[str]],
) -> Lead:
    """The table's verdict on the one against the other, or one of our own."""
    names = {one.label: label(one.variant, one.run) for one in (best, row)}
    if best.against == names[row.label] and best.verdict is not None:
        return Lead(row.label, best.change, best.noise, best.verdict)
    if row.against == names[best.label] and row.verdict is not None:
        change = None if row.change is None else -row.change
        return Lead(row.label, change, row.noise, MIRRORED.get(row.verdict, row.verdict))
    found = accuracy_difference((best.variant, best.run), (row.variant, row.run), table, answers, same)
    if names[row.label] in best.same_settings_as:
        return Lead(row.label, _finite(found.change), None, "same settings")
    if not found.is_testable:
        return Lead(row.label, _finite(found.change), None, "cannot tell")
    noise = found.half_width(level)
    return Lead(row.label, found.change, noise, verdict(found.change, noise, diverged=False))


def holm(p_values: np.ndarray, family_level: float = FAMILY_LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """(the level that each p (m,) is held to, the adjusted p), in the order given: Holm (1979).

    The j-th smallest is held to `family_level` / (m - j + 1); after the first that fails, all to its level.
    The adjusted p is below `family_level` where p is below its own.
    """
    order = np.argsort(p_values, kind="stable")
    n_left = len(p_values) - np.arange(len(p_values))
    steps, ascending = family_level / n_left, p_values[order]
    failed = np.flatnonzero(ascending >= steps)
    if len(failed):
        steps[failed[0] :] = steps[failed[0]]
    levels, adjusted = np.empty_like(steps), np.empty_like(steps)
    levels[order] = steps
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(ascending * n_left))
    return levels, adjusted


def pooled(accuracies: np.ndarray, runs: np.ndarray, seeds: np.ndarray, weights: np.ndarray, paired: bool) -> Pool:
    """φ of Var(a) = φ · `weights`, from what an effect of each run (and, `paired`, of each seed) leaves; all (N,)."""
    groups = [runs, seeds] if paired else [runs]
    effects = np.hstack([group[:, None] == np.unique(group) for group in groups]).astype(float)
    degrees_of_freedom = len(accuracies) - int(np.linalg.matrix_rank(effects)) if len(accuracies) else 0
    if degrees_of_freedom == 0:
        return Pool(math.nan, 0)
    scale = 1 / np.sqrt(weights)
    scaled_effects, scaled = effects * scale[:, None], accuracies * scale
    left = scaled - scaled_effects @ np.linalg.lstsq(scaled_effects, scaled, rcond=None)[0]
    return Pool(float(left @ left) / degrees_of_freedom, degrees_of_freedom)


def binomial_weight(accuracy: float, n_test: int) -> float:
    """p (1 - p), with p drawn towards 1/2 as Agresti and Coull (1998) do, so that 100 % has some scatter."""
    drawn_in = (accuracy * n_test + 2) / (n_test + 4)
    return drawn_in * (1 - drawn_in)


def pictures_variance(differences_: np.ndarray) -> float:
    """The variance of the mean of the pictures' differences (n,), each in [-1, 1]; never 0 (Agresti & Min 2005)."""
    n = len(differences_) + 2
    return float((np.sum(differences_**2) + 1 - np.sum(differences_) ** 2 / n) / n**2)


def verdict(change: float, noise: float, diverged: bool) -> Verdict:
    """What may be said of a change (shares) against its noise.

    The noise is that of trainings that finish. Of a run with a diverged seed it may show the harm, never a gain.
    """
    if abs(change) <= noise:
        return "within noise"
    if change < 0:
        return "worse"
    return "cannot tell" if diverged else "better"


def judged(
    table: pd.DataFrame, answers: Answers, references: dict[RunName, RunName | None], same: dict[RunName, list[str]]
) -> dict[RunName, dict[str, Any]]:
    """For each run the fields of `RunComparison` from `change` on.

    Not in Holm's family: runs of their reference's settings, for which the answer is known, and runs that cannot be
    tested, or are held against a reference that diverged.
    """
    diverged = table.groupby(TRAINING[:2], sort=False)["outcome"].agg(lambda outcomes: (outcomes == "diverged").any())
    by_run = answers.correct.groupby(level=TRAINING[:2], sort=False)
    correct = {name: part.droplevel(TRAINING[:2]) for name, part in by_run}
    found: dict[RunName, Difference] = {}
    family: list[RunName] = []
    for other in dict.fromkeys(r for r in references.values() if r is not None):
        pools = _pools(table, answers, other, same)
        held = [name for name, reference_ in references.items() if reference_ == other]
        found |= {name: _difference(correct[name], correct[other], pools) for name in held}
        family += [n for n in held if found[n].is_testable and not diverged[other] and label(*other) not in same[n]]
    levels, adjusted = holm(np.array([found[name].p_value() for name in family]))
    held_to = {name: (float(levels[i]), float(adjusted[i])) for i, name in enumerate(family)}
    return {name: _outcome(name, references[name], found, held_to, same[name], diverged) for name in references}


def accuracy_difference(
    name: RunName, other: RunName, table: pd.DataFrame, answers: Answers, same: dict[RunName, list[str]]
) -> Difference:
    """Mean test accuracy of any run less that of any other, by the scatter of runs like the better one."""
    table = table.assign(**answers.learned().reset_index(drop=True))
    by_run = answers.correct.groupby(level=TRAINING[:2], sort=False)
    correct = {run: by_run.get_group(run).droplevel(TRAINING[:2]) for run in (name, other)}
    better = max((name, other), key=lambda run: float(correct[run].to_numpy().mean()))
    return _difference(correct[name], correct[other], _pools(table, answers, better, same))


def _outcome(
    name: RunName,
    other: RunName | None,
    found: dict[RunName, Difference],
    held_to: dict[RunName, tuple[float, float]],
    same: list[str],
    diverged: pd.Series,
) -> dict[str, Any]:
    if other is None:
        nothing = dict.fromkeys(("change", "noise", "level", "p", "verdict"))
        return {**nothing, "n_paired_seeds": 0, "degrees_of_freedom": 0}
    difference = found[name]
    numbers = {
        "change": _finite(difference.change),
        "n_paired_seeds": difference.n_paired_seeds,
        "degrees_of_freedom": difference.degrees_of_freedom,
    }
    if name not in held_to:
        unasked: Verdict = "same settings" if label(*other) in same else "cannot tell"
        return {**numbers, "noise": None, "level": None, "p": None, "verdict": unasked}
    level, p = held_to[name]
    noise = difference.half_width(level)
    said = verdict(difference.change, noise, bool(diverged[name]))
    return {**numbers, "noise": noise, "level": level, "p": p, "verdict": said}


def _pools(table: pd.DataFrame, answers: Answers, other: RunName, same: dict[RunName, list[str]]) -> dict[bool, Pool]:
    """paired → the pooled scatter of the runs that behave like `other`, each setting once."""
    of_run = table.groupby(TRAINING[:2], sort=False)
    learned = of_run["kappa"].agg(["mean", "min"])
    sound = of_run["outcome"].agg(lambda outcomes: (outcomes == "finished").all()) & ~of_run["at_chance"].any()
    like = sound & (learned["min"] >= LIKE_SHARE * learned["mean"][other])
    first = {name: min([label(*name), *same[name]]) for name in like.index}
    usable = table[[bool(like[name]) for name in zip(table["variant"], table["run"], strict=True)]]
    groups = [first[name] for name in zip(usable["variant"], usable["run"], strict=True)]
    usable = usable.assign(group=groups).drop_duplicates(["group", "seed"])
    n_test = answers.correct.shape[1]
    levels = usable.groupby("group")["test_accuracy"].transform("mean")
    weights = np.array([binomial_weight(level, n_test) for level in levels])
    accuracies, seeds = usable["test_accuracy"].to_numpy(dtype=float), usable["seed"].to_numpy()
    runs = usable["group"].to_numpy(dtype=str)
    return {paired: pooled(accuracies, runs, seeds, weights, paired) for paired in (True, False)}


def _difference(ours: pd.DataFrame, theirs: pd.DataFrame, pools: dict[bool, Pool]) -> Difference:
    """`ours` and `theirs`: correct answers (seeds, pictures) of a run and of its reference."""
    shared = ours.index.intersection(theirs.index)
    paired = len(shared) > 0 and pools[True].degrees_of_freedom > 0
    if paired:
        ours, theirs = ours.loc[shared], theirs.loc[shared]
    parts = [part.to_numpy(dtype=float) for part in (ours, theirs)]
    d = parts[0].mean(axis=0) - parts[1].mean(axis=0)
    spread = sum(binomial_weight(float(part.mean()), part.shape[1]) / len(part) for part in parts)
    pool = pools[paired]
    return Difference(
        change=float(d.mean()),
        n_paired_seeds=len(shared) if paired else 0,
        seeds_variance=pool.dispersion * spread,
        degrees_of_freedom=pool.degrees_of_freedom,
        pictures_variance=pictures_variance(d),
    )


def _scores(trainings: pd.DataFrame) -> dict[str, Any]:
    numbers = trainings[list(MEASURES)].astype(float)
    means, deviations = numbers.mean(skipna=False), numbers.std(ddof=1, skipna=False)
    return {
        "n_seeds": len(trainings),
        "n_diverged": int((trainings["outcome"] == "diverged").sum()),
        "n_at_chance": int(trainings["at_chance"].sum()),
        "scores": {measure: _finite(means[measure]) for measure in MEASURES},
        "deviations": {measure: _finite(deviations[measure]) for measure in MEASURES},
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return round(value, 6) if isinstance(value, float) else value


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
