"""The answers of a study, in the order in which they are asked: each with figures, numbers, a reading and a remedy.

First what holds for all trainings, then the study's own questions and the claims it tests, then the model tests before
training and after it. The same answers become the page, the LaTeX and the short summary; nothing is worked out there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from pawprint import charts, paths, results
from pawprint.comparison import RunComparison
from pawprint.errors import DataError
from pawprint.figures.histograms import histograms_figure
from pawprint.figures.layers import layers_figure
from pawprint.figures.pseudo_labels import PANELS, pseudo_labels_figure
from pawprint.figures.strength import strength_figure
from pawprint.figures.style import png
from pawprint.figures.views import views_figure
from pawprint.labels import effective
from pawprint.report import questions
from pawprint.report.evidence import AGAIN, Evidence, Tested
from pawprint.report.quote import Quote, quote
from pawprint.report.readings import Reading, listed
from pawprint.report.readings.batch_size import rules
from pawprint.report.readings.convergence import converged, moved, sentence
from pawprint.report.readings.gradients import gradients
from pawprint.report.readings.learning_rate import best_rate
from pawprint.report.readings.logged import logged_as_asked
from pawprint.report.readings.pretraining import pretraining
from pawprint.report.readings.schedule import scheduled
from pawprint.report.readings.symptoms import symptoms_of
from pawprint.report.readings.unlabelled import shares_of_classes, unlabelled
from pawprint.report.readings.verdicts import answer
from pawprint.report.view_sheet import view_sheet, views
from pawprint.symptoms.trends import Convergence, State
from pawprint.tables import read_table
from pawprint.types import ACTIVATION, DEAD, GRADIENT, UPDATE

VIEW_SETTINGS = ("random_flip", "random_crop_percent", "resized_crop_area", "color_jitter", "augmentation",
                 "randaugment_ops", "randaugment_magnitude", "cutout_percent", "erasing_percent", "mixing",
                 "mixing_alpha")  # fmt: skip
OUTCOMES = {True: "passed", False: "failed", None: "measured"}
STRENGTHS = {"brightness": "factor", "rotation": "degrees"}  # probe → its table's column
LAST_EPOCH = {  # title → column; accuracies as errors
    "training loss": "training_loss", "train error %": "train_accuracy", "test error %": "test_accuracy",
}  # fmt: skip
LAYER_PICTURES = {  # quantity → what its map shows
    GRADIENT: "The size of each layer's gradients at each step",
    UPDATE: "How far a step moves each layer's weights, as a share of their norm",
    ACTIVATION: "How widely each layer's outputs are spread",
    DEAD: "The share of each layer's units that answer no picture of a batch",
}
MOST_SHAPES = 3  # schedules whose way is put into words; of more the chart tells, and the table
MOST_DESCRIBED = 4  # runs whose convergence is put into words; of more the table tells
MOST_NAMED = 15  # runs that are named in a sentence


@dataclass(frozen=True)
class Picture:
    """A figure's PNG, and its words for who cannot see it."""

    name: str  # of its file, without ending
    content: bytes
    alt: str


@dataclass(frozen=True)
class Answer:
    """One question, answered."""

    name: str
    question: str
    outcome: str  # yes, no, cannot tell, measured; passed, failed
    readings: list[str]
    remedies: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    table: list[dict[str, str]] = field(default_factory=list)
    code: list[Quote] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)  # keys of `sources.SOURCES`
    decides: str = ""  # what a yes or no is about

    @property
    def verdict(self) -> str:
        """`it helps: cannot tell`."""
        return f"{self.decides}: {self.outcome}" if self.decides and self.outcome != "measured" else self.outcome


@dataclass(frozen=True)
class Chapter:
    """Answers that belong together."""

    title: str
    answers: list[Answer]


def chapters(evidence: Evidence) -> list[Chapter]:
    """All answers; DataError naming what is missing, with what makes it."""
    states = {
        row.label: converged(row, evidence.of_run(row, evidence.steps), evidence.of_run(row, evidence.epochs))
        for row in evidence.rows
    }
    asked = evidence.study.questions or {"all": list(evidence.study.variants)}
    found = [
        Chapter("The trainings", [_logged(evidence), _converged(evidence, states), _symptoms(evidence)]),
        Chapter(
            "The study's questions",
            [*(_question(name, of, evidence, states) for name, of in asked.items()), *_slowness(evidence)],
        ),
        Chapter("Model tests before training", _checks(evidence)),
        Chapter("Model tests after training", _probes(evidence)),
    ]
    return [chapter for chapter in found if chapter.answers]


def _logged(evidence: Evidence) -> Answer:
    reading = logged_as_asked(evidence.logs)
    words = questions.in_language(questions.LOGGED, evidence.study, "")
    return _answer("logged", words, [reading], questions.LOGGED, table=list(reading.table))


def _symptoms(evidence: Evidence) -> Answer:
    reading = symptoms_of(evidence.symptoms)
    words = questions.in_language(questions.SYMPTOMS, evidence.study, "")
    return _answer("symptoms", words, [reading], questions.SYMPTOMS, table=list(reading.table))


def _converged(evidence: Evidence, states: dict[str, Convergence]) -> Answer:
    words = questions.in_language(questions.CONVERGED, evidence.study, "")
    of_state: dict[State, list[str]] = {}
    for name, found in states.items():
        of_state.setdefault(found.state, []).append(name)
    if len(states) <= MOST_DESCRIBED:
        sentences = [f"{sentence(name, found)}." for name, found in states.items()]
    else:
        sentences = [f"{state.capitalize()}: {_few(names)}." for state, names in of_state.items()]
    settled = "yes" if set(of_state) == {"converged"} else "cannot tell" if set(of_state) == {"cannot tell"} else "no"
    table = _even([_state_line(name, found) for name, found in states.items()])
    overview = Picture(
        "test_accuracy", _png("test_accuracy.png"), "Test accuracy of all runs, each seed with its interval."
    )
    return Answer(
        name="converged",
        question=words,
        outcome=settled,
        readings=sentences,
        pictures=[overview],
        table=table,
        code=[quote(place) for place in questions.CONVERGED.code],
        decides=questions.CONVERGED.decides,
    )


def _few(names: list[str]) -> str:
    return listed(names) if len(names) <= MOST_NAMED else f"{len(names)} runs"


def _state_line(name: str, found: Convergence) -> dict[str, str]:
    """A run's state, and how its curves went over the second half of its epochs."""
    moves = {f"{column}, epochs {found.first_epoch}–{found.last_epoch}": moved(column, trend)
             for column, trend in found.trends.items()}  # fmt: skip
    return {
        "run": name,
        "state": found.state,
        "first loss": _number(found.first_loss),
        "last training loss": _number(found.training_loss),
        "last val loss": _number(found.val_loss),
        "last val acc. %": _number(100 * found.val_accuracy),
        **{title.replace("_", " "): move for title, move in moves.items()},
    }


def _question(name: str, variants: Sequence[str], evidence: Evidence, states: dict[str, Convergence]) -> Answer:
    rows = evidence.of_question(list(variants))
    about, readings = _readings(name, rows, evidence, states)
    told = about in ("schedule", "pretraining", "unlabelled") and bool(
        readings
    )  # the table's verdict is part of these readings
    verdicts = [] if told else [Reading("measured", tuple(answer(rows)))]
    words = questions.words(name, evidence.study)
    pictures = [
        Picture(file, _png(f"{file}.png"), f"{words} {kind}")
        for file, kind in ((name, "Curves over examples seen, and final scores."), (f"{name}_by_step", "Over steps."))
        if (paths.COMPARISON_CHARTS / f"{file}.png").is_file()
    ]
    if not pictures:
        raise DataError(f"{paths.COMPARISON_CHARTS / name}.png: no such file; run: {AGAIN}")
    pictures += _layer_pictures(name, rows, evidence) + _histogram_pictures(name, rows, evidence)
    pictures += _pictures_about(about, name, rows, evidence)
    table = _even([_run_line(row, evidence.of_run(row, evidence.epochs)) for row in rows])
    if about == "unlabelled":
        for row, line in zip(rows, table, strict=True):
            line["pictures through the model in a step"] = str(row.pictures_per_step)
    return _answer(name, words, [*readings, *verdicts], questions.ABOUT[about], pictures, table)


def _readings(
    name: str, rows: Sequence[RunComparison], evidence: Evidence, states: dict[str, Convergence]
) -> tuple[str, list[Reading]]:
    """What a question is about, by the settings in which its runs differ, and what its rules say."""
    specs = evidence.of_label
    own = [specs[row.label] for row in rows]
    differ = _differing([effective(spec) for spec in own])
    if all("layer_gradients" in spec.diagnostics for spec in own):
        found = [
            gradients(row, evidence.of_run(row, evidence.steps), evidence.of_run(row, evidence.layers)) for row in rows
        ]
        return "gradients", found
    if "objective" in differ:
        return "unlabelled", [
            unlabelled(row, evidence.of_run(row, evidence.steps), evidence.of_run(row, evidence.classes))
            for row in rows if specs[row.label].parts
        ]  # fmt: skip
    if differ and differ <= set(VIEW_SETTINGS):
        return "views", []
    if "pretrained_on" in differ:
        others = {row.label: row for row in evidence.rows}
        return "pretraining", [
            pretraining(row, *(evidence.of_run(of, evidence.epochs) for of in (row, others[row.against])))
            for row in rows if row.pretrained_on and row.against in others
        ]  # fmt: skip
    if any(spec.lr_scaling != "none" and spec.batch_ratio != 1 for spec in own):
        return "batch_size", list(rules(rows, specs, evidence.steps).values())
    if "scheduler" in differ and differ <= {"scheduler", "onecycle_pct_start", "onecycle_final_div_factor", "lr_floor"}:
        of = [row for row in rows if specs[row.label].scheduler != "none"]
        found = [scheduled(row, specs[row.label], evidence.of_run(row, evidence.steps)) for row in of]
        return "schedule", found if len(of) <= MOST_SHAPES else []
    if differ == {"lr"}:
        rates = {row.label: specs[row.label].scaled_lr for row in rows}
        return "learning_rate", [best_rate(rows, rates, states, evidence.contests[name])]
    return "runs", []


def _differing(settings: Sequence[dict[str, object]]) -> set[str]:
    names = {name for one in settings for name in one}
    return {name for name in names if len({repr(one.get(name)) for one in settings}) > 1}


def _run_line(row: RunComparison, epochs: pd.DataFrame) -> dict[str, str]:
    """A run's line: its last epoch where train and test were measured, its chosen epoch, its verdict."""
    measured = {
        name: _spread(100 * (1 - last) if name.endswith("%") else last)
        for name, column in LAST_EPOCH.items()
        if column in epochs and (last := epochs[epochs["epoch"] == epochs["epoch"].max()][column]).notna().any()
    }
    change = "" if row.change is None else f"{100 * row.change:+.2f}"
    return {
        "run": row.label,
        "what it is": row.description,
        **(measured if len(measured) > 1 else {}),
        "chosen: val acc. %": _mean_and_deviation(row.scores["val_accuracy"], row.deviations["val_accuracy"]),
        "test acc. %": _mean_and_deviation(row.scores["test_accuracy"], row.deviations["test_accuracy"]),
        "change ± noise": change if row.noise is None else f"{change} ± {100 * row.noise:.2f}",
        "verdict": row.verdict or "baseline",
    }


def _even(lines: list[dict[str, str]]) -> list[dict[str, str]]:
    """Each line with the columns of the one that has most."""
    columns = max(lines, key=len, default={})
    return [{column: line.get(column, "") for column in columns} for line in lines]


def _pictures_about(about: str, name: str, rows: Sequence[RunComparison], evidence: Evidence) -> list[Picture]:
    """What a question has beside its curves."""
    match about:
        case "unlabelled":
            return [*_unlabelled_pictures(name, rows, evidence), *_view_pictures(name, rows, evidence)]
        case "views":
            return _view_pictures(name, rows, evidence)
    return []


def _layer_pictures(name: str, rows: Sequence[RunComparison], evidence: Evidence) -> list[Picture]:
    """A map of each quantity of layers that all the runs measured."""
    layers = {row.label: evidence.of_run(row, evidence.layers) for row in rows}
    pictures = []
    for quantity, words in LAYER_PICTURES.items():
        if layers and all(table["quantity"].str.startswith(quantity).any() for table in layers.values()):
            file = f"{name}_{quantity.removesuffix('_of_layer_')}_of_layers"
            text = f"{words}, by run: layers from the input (top) to the output."
            pictures.append(_picture(file, layers_figure(layers, quantity), text))
    return pictures


def _histogram_pictures(name: str, rows: Sequence[RunComparison], evidence: Evidence) -> list[Picture]:
    """A sheet for each run, of all its seeds, where all the runs have histograms."""
    specs = {row.label: [s for s in evidence.specs if (s.variant, s.run) == (row.variant, row.run)] for row in rows}
    if not all("histograms" in spec.diagnostics for own in specs.values() for spec in own):
        return []
    pictures = []
    for number, (label, own) in enumerate(specs.items(), start=1):
        figure = histograms_figure(pd.concat(map(results.histograms, own)), label)
        words = f"How weights, gradients and updates of {label} are spread at each step, from the input (top) down."
        pictures.append(_picture(f"{name}_histograms_{number}", figure, words))
    return pictures


def _unlabelled_pictures(name: str, rows: Sequence[RunComparison], evidence: Evidence) -> list[Picture]:
    """What came of the unlabelled pictures, and what the views look like."""
    steps, classes = {}, {}
    for row in (row for row in rows if evidence.of_label[row.label].parts):
        of_run = evidence.of_run(row, evidence.steps)
        steps[row.label] = of_run.assign(**{column: charts.smoothed(of_run, column) for column in PANELS})
        classes[row.label] = shares_of_classes(evidence.of_run(row, evidence.classes))
    words = "Over the steps: how many unlabelled pictures counted, were right, and agreed; pseudo-labels by class."
    places = {row.label: place for place, row in enumerate(rows)}  # the colors that the runs have in the curves
    return [_picture(f"{name}_pseudo_labels", pseudo_labels_figure(steps, classes, places), words)]


def _view_pictures(name: str, rows: Sequence[RunComparison], evidence: Evidence) -> list[Picture]:
    """A sheet for each run whose views are other than those of the runs before it."""
    seen = {row.label: evidence.of_label[row.label] for row in reversed(rows)}
    specs = {f"{views(spec, evidence.pictures)} {spec.mixing}": label for label, spec in seen.items()}
    pictures = []
    for number, label in enumerate(reversed(list(specs.values())), start=1):
        sheet = view_sheet(evidence.of_label[label], evidence.pictures)
        words = f"Training pictures as they are, and as {label} sees them: {', '.join(list(sheet)[1:])}."
        pictures.append(_picture(f"{name}_views_{number}", views_figure(sheet), words))
    return pictures


def _slowness(evidence: Evidence) -> list[Answer]:
    """An answer for each training whose curvature was measured."""
    return [
        Answer(
            found["figure"].removesuffix(".png"),
            f"Why is training slow where it is slow: {name}?",
            "measured",
            [f"To the end of epoch {window['last_epoch']}: {window['reading']}." for window in found["windows"]],
            pictures=[
                Picture(found["figure"].removesuffix(".png"), _png(found["figure"]), f"Curvature and noise of {name}.")
            ],
            code=[quote(place) for place in questions.SLOWNESS],
        )
        for name, found in evidence.slowness.items()
    ]


def _checks(evidence: Evidence) -> list[Answer]:
    """One answer a check; subjects (model, head and optimizer) that say the same are told once."""
    names = dict.fromkeys(name for of_subject in evidence.checks.values() for name in of_subject)
    answers = []
    for name in names:
        findings = {subject: of[name] for subject, of in evidence.checks.items() if name in of}
        pictures = [
            Picture(
                f"check_{file.stem}".replace(" ", "_"), file.read_bytes(), f"{findings[subject].question} {subject}"
            )
            for subject in findings
            for file in [paths.check_file(subject, name, ".png")]
            if file.is_file()
        ]
        answers.append(_tested("check", name, findings, questions.CHECKS.get(name), evidence, pictures))
    return answers


def _probes(evidence: Evidence) -> list[Answer]:
    """One answer a probe: each training that was probed, trainings that say the same told once."""
    names = dict.fromkeys(name for of_variant in evidence.probes.values() for name in of_variant)
    answers = []
    for name in names:
        findings = {
            f"{variant} {training.removeprefix(f'{variant}-')}": finding
            for variant, of_variant in evidence.probes.items()
            for training, finding in of_variant.get(name, {}).items()
        }
        pictures = _probe_pictures(name, evidence)
        answers.append(_tested("probe", name, findings, questions.PROBES.get(name), evidence, pictures))
    return answers


def _probe_pictures(name: str, evidence: Evidence) -> list[Picture]:
    """All variants in one figure where strengths were tried; else the first training's own."""
    if name in STRENGTHS:
        column = STRENGTHS[name]
        kinds: dict[str, type] = {"variant": str, "run": str, "seed": int, column: float, "test_accuracy": float,
                                  "test_accuracy_low": float, "test_accuracy_high": float}  # fmt: skip
        table = read_table(paths.COMPARISON_CHARTS / f"{name}.csv", kinds, AGAIN)
        if table.empty:
            return []
        figure = strength_figure(table.rename(columns={column: "strength"}), name)
        return [_picture(f"probe_{name}", figure, f"Test accuracy against {name}, by variant.")]
    for variant, of_variant in evidence.probes.items():
        for training in of_variant.get(name, {}):
            file = paths.probe_figures(variant) / f"{training}-{name}.png"
            if file.is_file():
                return [
                    Picture(f"probe_{name}", file.read_bytes(), f"{of_variant[name][training].question} {training}")
                ]
    return []


def _tested(
    kind: str,
    name: str,
    findings: dict[str, Tested],
    asked: questions.Asked | None,
    evidence: Evidence,
    pictures: list[Picture],
) -> Answer:
    """Findings of one check or probe, about several subjects."""
    by_reading: dict[str, list[str]] = {}
    for subject, finding in findings.items():
        by_reading.setdefault(finding.reading, []).append(subject)
    first = next(iter(findings.values()))
    passed = [finding.passed for finding in findings.values()]
    outcome = OUTCOMES[False if False in passed else None if None in passed else True]
    readings = [f"{listed(subjects)}: {reading}." for reading, subjects in by_reading.items()]
    table = [
        {"subject": subject, "verdict": OUTCOMES[finding.passed], "limit": finding.limit}
        for subject, finding in findings.items()
    ]
    return Answer(
        name=f"{kind}_{name}",
        question=questions.in_language(asked, evidence.study, first.question),
        outcome=outcome,
        readings=readings,
        remedies=_remedies(findings),
        pictures=pictures,
        table=table,
        code=[quote(place) for place in asked.code] if asked else [],
        sources=list(asked.sources) if asked else [],
    )


def _remedies(findings: dict[str, Tested]) -> list[str]:
    """Each once; which subjects it is for is said where some need another, or none."""
    subjects: dict[str, list[str]] = {}
    for subject, finding in findings.items():
        if finding.remedy:
            subjects.setdefault(finding.remedy, []).append(subject)
    return [remedy if len(of) == len(findings) else f"{listed(of)}: {remedy}" for remedy, of in subjects.items()]


def _answer(
    name: str,
    words: str,
    readings: Sequence[Reading],
    asked: questions.Asked,
    pictures: list[Picture] | None = None,
    table: list[dict[str, str]] | None = None,
) -> Answer:
    """Several readings to one question: its outcome is that of all, where they agree; of gradients a single yes."""
    outcomes = {reading.outcome for reading in readings if reading.outcome != "measured"}
    if asked is questions.ABOUT["gradients"] and "yes" in outcomes:
        outcomes = {"yes"}
    return Answer(
        name,
        words,
        outcome=outcomes.pop() if len(outcomes) == 1 else "measured",
        readings=[sentence for reading in readings for sentence in reading.sentences],
        remedies=list(dict.fromkeys(reading.remedy for reading in readings if reading.remedy)),
        pictures=pictures or [],
        table=table or [],
        code=[quote(place) for place in asked.code],
        sources=list(asked.sources),
        decides=asked.decides,
    )


def _picture(name: str, figure: Figure, alt: str) -> Picture:
    return Picture(name, png(figure), alt)


def _png(name: str) -> bytes:
    path = paths.COMPARISON_CHARTS / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; run: {AGAIN}")
    return path.read_bytes()


def _mean_and_deviation(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return "–"
    return f"{100 * mean:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


def _spread(values: pd.Series) -> str:
    """Mean ± standard deviation over seeds; a dash where one has no number, as a training that diverged."""
    if values.isna().any():
        return "–"
    return f"{values.mean():.3g}" + (f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else "")


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3g}"
