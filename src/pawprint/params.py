"""params.yaml → RunSpecs: the defaults at the top level, plus each variant's delta.

One parser for everything that brings settings: the `resolve` stage, `pawprint train`, the tests. All faults
of a file are reported together, each with where it stands and, for a mistyped name, the nearest valid one.

A variant is a mapping of settings that differ from the top level. Beside settings it may hold `seeds` (list),
`against` (the variant, or `variant/run`, it is compared with; `baseline` where it does not say) and `runs` (name →
further delta; a variant without `runs` is one run of its own name). A setting that is null in a delta is inherited: it
stands there so that `dvc exp run -S variants.x.lr=…` finds a key to set.
"""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pawprint import contradictions, paths
from pawprint.errors import SettingsError, shown
from pawprint.types import (
    NAME,
    OF_PROCESSES,
    RUN_IDENTITY,
    RUN_SETTINGS,
    Claim,
    CompressSettings,
    DataSettings,
    RunSpec,
    StudySettings,
)
from pawprint.yaml_files import parse_yaml, read_yaml, to_yaml

STUDY_KEYS = tuple(StudySettings.__dataclass_fields__)
ANYBODY = {"study": "", "variant": "any", "run": "any", "seed": 0}  # to judge settings that are no run's yet
BASELINE = "baseline"  # what variants are held against that do not say
VARIANT_KEYS = ("seeds", "runs", "against")
# Only a variant's training runs in several processes; the others are short.
PRETRAIN_KEYS = ("data", "seed", *(name for name in RUN_SETTINGS if name not in ("pretrained", *OF_PROCESSES)))
DATA_KEYS = tuple(DataSettings.__dataclass_fields__)
Record = TypeVar("Record")
IN_COMPRESSION: dict[str, dict[str, Any]] = {  # section of `compress` → what is so whatever it says
    "fine_tune": {"diagnostics": (), "ema_decay": 0.0, **OF_PROCESSES},  # torch's masks cannot be averaged
    "student": {"diagnostics": (), "pretrained": False, **OF_PROCESSES},
}
TAKEN_FIGURES = ("test_accuracy", "all")  # of plots/compare, beside the questions'
LONGEST_NAME = 80  # characters of a key in a message
NAME_RULE = "letters, digits and _ . + - only, at most 64, beginning with a letter, digit or _"


@dataclass(frozen=True)
class Compression:
    """How smaller models are made of one: settings, and those of the trainings that are part of it."""

    settings: CompressSettings
    fine_tune: RunSpec  # after pruning
    student: RunSpec  # by the labels; `distill` is the same with a teacher


def read_study(
    path: Path, overrides: dict[str, Any] | None = None, of: str | None = None
) -> tuple[StudySettings, list[RunSpec]]:
    """Read a study's params.yaml: its own settings, and the runs of all its variants.

    `overrides` are settings that win over the file's, of the variant `of` or (None) of every one.
    Raises SettingsError with all faults.
    """
    content = read_yaml(path)
    where = str(path)
    faults = _unknown_keys(content, (*STUDY_KEYS, *RUN_SETTINGS), where)
    study = _study_settings(content, where, faults)
    defaults = {k: v for k, v in content.items() if k in RUN_SETTINGS}
    if not _validate(RunSpec, {**ANYBODY, **defaults}, where, faults):
        defaults = {}  # said once; the variants are judged by what they add
    if study is None:
        raise SettingsError(faults)
    specs = []
    for variant, delta in study.variants.items():
        own = (overrides or {}) if of in (None, variant) else {}
        specs += _variant_runs(study, variant, defaults, delta, own, where, faults)
    faults += _unknown_variants(study, where) + _question_faults(study, where)
    faults += [f"{where}: data: {fault}" for fault in contradictions.of_data(study.data)]
    for name in ("trackers", "probed", "exported", "compressed"):
        faults += _repeated(getattr(study, name), f"{where}: {name}")
    if study.pretrain or study.pretrained_source != "none":
        _pretraining(study, where, faults)
    _compression(study, specs, where, faults)
    if faults:
        raise SettingsError(list(dict.fromkeys(faults)))
    return study, specs


def pretraining(study: StudySettings) -> tuple[DataSettings, RunSpec]:
    """The source task of `pretrained_source` (drawn_animals or folder): its pictures, and its training.

    It is described by the section `pretrain` alone, so that changing `lr` for the study leaves it as it is.
    Raises SettingsError with all faults.
    """
    faults: list[str] = []
    task = _pretraining(study, str(paths.PARAMS), faults)
    if task is None:
        raise SettingsError(faults)
    return task


def compression(study: StudySettings, spec: RunSpec) -> Compression:
    """What `compress` does with the model of `spec`; SettingsError with all faults."""
    faults: list[str] = []
    settings = _compress_settings(study, str(paths.PARAMS), faults)
    found = _compression_of(spec, settings, study.data, str(paths.PARAMS), faults) if settings else None
    if found is None or faults:
        raise SettingsError(faults)
    return found


def read_variant(variant: str) -> list[RunSpec]:
    """The runs of one variant of the study in this folder, times their seeds, as `resolve` wrote them down."""
    path = paths.resolved(variant)
    if not re.fullmatch(NAME, variant) or not path.exists():
        known = sorted(file.stem for file in paths.RESOLVED.glob("*.yaml"))
        there = nearest(variant, known) if known else f"{paths.RESOLVED} is empty"
        raise SettingsError(
            [f"{shown(variant)}: no such variant; {there} (`dvc repro resolve` writes {paths.RESOLVED})"]
        )
    return read_resolved(path)


def read_resolved(path: Path) -> list[RunSpec]:
    """The runs of one variant, times their seeds, from the file that `resolve` wrote."""
    faults: list[str] = []
    specs = []
    for run, settings in read_yaml(path).items():
        place = f"{path}: {cut(run)}"
        if not isinstance(settings, dict):
            faults.append(f"{place}: expected a mapping of settings, found {shown(settings)}")
            continue
        missing = [name for name in ("study", "variant", *RUN_SETTINGS, "seeds") if name not in settings]
        if missing:  # a default would train something else than was resolved
            faults.append(f"{place}: {', '.join(missing)}: expected every setting, not found")
            continue
        for seed in _seeds(settings.pop("seeds"), place, faults):
            spec = _validate(RunSpec, {**settings, "run": run, "seed": seed}, place, faults)
            specs += [spec] if spec else []
    faults += [f"{path}: {spec.run}: {fault}" for spec in specs for fault in contradictions.of_run(spec)]
    if any(spec.variant != path.stem for spec in specs):
        faults.append(f"{path}: variant: expected {path.stem}, as the file's name says")
    if not specs and not faults:
        faults.append(f"{path}: expected runs, found none")
    if faults:
        raise SettingsError([*dict.fromkeys(faults), f"{path}: `dvc repro --force resolve` writes it anew"])
    return specs


def resolved_yaml(specs: list[RunSpec]) -> str:
    """One variant's runs as text that `read_resolved` reads back: run → seeds and every setting."""
    runs: dict[str, dict[str, Any]] = {}
    for spec in specs:
        settings = {k: v for k, v in spec_as_dict(spec).items() if k not in ("run", "seed")}
        runs.setdefault(spec.run, {**settings, "seeds": []})["seeds"].append(spec.seed)
    return to_yaml(runs)


def spec_as_dict(spec: RunSpec) -> dict[str, Any]:
    """All fields, with lists for tuples: what YAML and JSON hold."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in _fields(spec).items()}


def parse_options(options: list[str]) -> dict[str, Any]:
    """`["--lr", "1e-2", "--batch_size=64"]` as settings, values read as YAML; unknown names are faults."""
    pairs, faults, rest = {}, [], list(options)
    while rest:
        option = rest.pop(0)
        name, equals, text = option.removeprefix("--").replace("-", "_").partition("=")
        if equals:
            text = option.split("=", 1)[1]
        elif rest and not rest[0].startswith("--"):
            text = rest.pop(0)
        else:
            faults.append(f"{cut(option)}: expected a value, as in --{cut(name)} 0.01")
        if not option.startswith("--"):
            faults.append(f"{cut(option)}: not understood; settings are given as --name value")
        if name in pairs:
            faults.append(f"--{cut(name)}: given twice")
        pairs[name] = text
    faults += _unknown_keys(pairs, RUN_SETTINGS, "command line")
    if faults:
        raise SettingsError(list(dict.fromkeys(faults)))
    settings = {name: parse_yaml(text, f"--{name} {shown(text)}") for name, text in pairs.items()}
    if not _validate(RunSpec, ANYBODY | settings, "command line", faults):
        raise SettingsError(faults)
    return settings


def nearest(name: str, valid: tuple[str, ...] | list[str]) -> str:
    """`did you mean 'lr'?` or, with nothing near, the list of valid names; where that is empty, that it is."""
    if not valid:
        return "there are none"
    close = difflib.get_close_matches(cut(name), valid, n=1)
    return f"did you mean {close[0]!r}?" if close else f"valid names: {', '.join(valid)}"


def cut(name: str) -> str:
    """A name as it is, cut where it is longer than any can be."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def unusual(specs: list[RunSpec]) -> list[str]:
    """Settings that are allowed, because a study may be about them, but are rarely meant."""
    warnings = []
    for spec in specs:
        if spec.momentum >= 1 and spec.optimizer in ("sgd", "lars", "rmsprop"):
            warnings.append(f"{spec.variant}: momentum {spec.momentum} >= 1: past steps grow instead of fading")
        if spec.scheduler == "piecewise" and min(spec.lr_milestone_epochs, default=spec.epochs) >= spec.epochs:
            milestones = f"lr_milestone_epochs {list(spec.lr_milestone_epochs)}"
            warnings.append(f"{spec.variant}: {milestones}: none within {spec.epochs} epochs: the rate is constant")
        if spec.scheduler in ("warmup", "warmup_cosine") and spec.warmup_epochs >= spec.epochs:
            warnings.append(f"{spec.variant}: warmup_epochs {spec.warmup_epochs} of {spec.epochs}: it never ends")
        if spec.scaled_lr == 0:
            warnings.append(f"{spec.variant}: lr 0: nothing is learned")
    return list(dict.fromkeys(warnings))


def runs_named(name: str, runs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The (variant, run) of these that `variant` or `variant/run` names; none where it names nothing."""
    return [(variant, run) for variant, run in runs if name in (variant, f"{variant}/{run}")]


def _unknown_variants(study: StudySettings, where: str) -> list[str]:
    """Faults for each place that names a variant, or a run, which is not there."""
    against = {variant: delta.get("against") for variant, delta in study.variants.items()}
    named = [(f"questions.{question}", name) for question, names in study.questions.items() for name in names]
    named += [(f"variants.{variant}.against", name) for variant, name in against.items() if name is not None]
    named += [
        (f"claims.{claim}", name)
        for claim, content in study.claims.items()
        for expected in (*content.confirmed_by, *content.refuted_by)
        for name in (expected.of, expected.above or expected.same_as or "")
    ]
    variants, runs = list(study.variants), _run_names(study)
    faults = [f"{where}: {place}: there is no variant {shown(name)}; {nearest(name, variants)}"
              for place, listed in (("probed", study.probed), ("exported", study.exported),
                                    ("compressed", study.compressed))
              for name in listed if name not in variants]  # fmt: skip
    faults += [
        f"{where}: {place}: there is no variant {shown(name)}; {nearest(str(name), [*variants, *runs])}"
        for place, name in named
        if name not in (*variants, *runs)
    ]
    faults += [f"{where}: variants.{variant}.against: found itself" for variant in against
               if against[variant] in (variant, f"{variant}/{variant}")]  # fmt: skip
    if against.get(BASELINE):
        faults.append(f"{where}: variants.{BASELINE}.against: {BASELINE} is what others are held against; take it out")
    return faults


def _run_names(study: StudySettings) -> list[str]:
    """`variant/run` of each run that has a name of its own."""
    runs = {variant: delta.get("runs") for variant, delta in study.variants.items()}
    return [f"{variant}/{run}" for variant, of in runs.items() if isinstance(of, dict) for run in of]


def _question_faults(study: StudySettings, where: str) -> list[str]:
    """A question's name is its figure's, so it must be a file's name that no other figure has."""
    faults = []
    for name, variants in study.questions.items():
        place = f"{where}: questions.{cut(name)}"
        if not re.fullmatch(NAME, name):
            faults.append(f"{place}: a question's name is {NAME_RULE}")
        if name in TAKEN_FIGURES or name.removesuffix("_by_step") in set(study.questions) - {name}:
            faults.append(f"{place}: plots/compare has a figure of this name already; give it another")
        if not variants:
            faults.append(f"{place}: expected a list of variants, found none")
        faults += _repeated(variants, place)
    faults += [
        f"{where}: {place}: there is no {shown(name)} among `questions`; {nearest(name, list(study.questions))}"
        for place, asked in (("asks", study.asks), ("asks_zh", study.asks_zh))
        for name in asked
        if name not in study.questions
    ]
    return faults


def _repeated(names: Sequence[Any], place: str) -> list[str]:
    twice = [shown(name) for name, count in Counter(names).items() if count > 1]
    return [f"{place}: expected each once, found {', '.join(twice)} more than once"] if twice else []


def _pretraining(study: StudySettings, where: str, faults: list[str]) -> tuple[DataSettings, RunSpec] | None:
    """The section `pretrain` as records; None, and `faults` added, where it is not sound."""
    place, before = f"{where}: pretrain", len(faults)
    settings = dict(study.pretrain)
    faults += _unknown_keys(settings, PRETRAIN_KEYS, place)
    data = settings.pop("data", None)
    if not isinstance(data, dict | None):
        faults.append(f"{place}: data: expected a mapping, found {shown(data)}")
    data = data if isinstance(data, dict) else {}
    faults += _unknown_keys(data, tuple(key for key in DATA_KEYS if key != "source"), f"{place}: data")
    source = "procedural" if study.pretrained_source in ("none", "imagenet") else study.pretrained_source
    known = {k: v for k, v in data.items() if k in DATA_KEYS}
    data_settings = _validate(DataSettings, {**known, "source": source}, f"{place}: data", faults)
    known = {k: v for k, v in settings.items() if k in PRETRAIN_KEYS}
    identity = {"study": study.study, "variant": "pretrain", "run": "pretrain"}
    spec = _validate(RunSpec, {**identity, "seed": 0, **known}, place, faults)
    if data_settings:
        faults += [f"{place}: data: {fault}" for fault in contradictions.of_data(data_settings)]
    if data_settings and spec:
        faults += [f"{place}: {fault}" for fault in _of_run(spec, data_settings)]
    return (data_settings, spec) if data_settings and spec and len(faults) == before else None


def _compress_settings(study: StudySettings, where: str, faults: list[str]) -> CompressSettings | None:
    valid = tuple(CompressSettings.__dataclass_fields__)
    faults += _unknown_keys(study.compress, valid, f"{where}: compress")
    known = {k: v for k, v in study.compress.items() if k in valid}
    return _validate(CompressSettings, known, f"{where}: compress", faults)


def _compression(study: StudySettings, specs: list[RunSpec], where: str, faults: list[str]) -> None:
    """Add the faults of the section `compress`, for each variant that is listed."""
    settings = _compress_settings(study, where, faults)
    if settings is None:
        return
    for variant in study.compressed:
        for spec in [spec for spec in specs if spec.variant == variant][:1]:
            _compression_of(spec, settings, study.data, where, faults)


def _compression_of(
    spec: RunSpec, settings: CompressSettings, data: DataSettings, where: str, faults: list[str]
) -> Compression | None:
    """The variant's settings with those of the sections over them; None, and `faults` added, where they are no good."""
    trainings = {}
    for section, always in IN_COMPRESSION.items():
        place, given = f"{where}: compress.{section}", getattr(settings, section)
        valid = tuple(name for name in RUN_SETTINGS if name not in (*always, "objective"))
        faults += _unknown_keys(given, valid, place)
        known = {k: v for k, v in given.items() if k in valid}
        own = _validate(RunSpec, {**_fields(spec), "run": section, **known, **always}, place, faults)
        if own is None:
            return None
        faults += [f"{place}: {fault}" for fault in _of_run(own, data)]
        trainings[section] = own
    student = replace(trainings["student"], objective="supervised", pretrained_on=None)
    return Compression(settings, trainings["fine_tune"], student)


def _fields(spec: RunSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in (*RUN_IDENTITY, *RUN_SETTINGS)}


def _pretrained_on(study: StudySettings, settings: dict[str, Any], place: str, faults: list[str]) -> str | None:
    """What a run's starting weights were trained on, in words for tables and charts."""
    if settings.get("pretrained") is not True:
        return None
    if study.pretrained_source == "none":
        faults.append(
            f"{place}: pretrained: true needs pretrained_source: drawn_animals, folder or imagenet; found none"
        )
    if study.pretrained_source == "folder":
        data = study.pretrain.get("data")
        return Path(str(data.get("path"))).stem if isinstance(data, dict) else None
    return study.pretrained_source


def _study_settings(content: dict[str, Any], where: str, faults: list[str]) -> StudySettings | None:
    data = content.get("data")
    if not isinstance(data, dict):
        faults.append(f"{where}: data: expected a mapping with `source`, found {shown(data)}")
        return None
    faults += _unknown_keys(data, DATA_KEYS, f"{where}: data")
    known = {k: v for k, v in data.items() if k in DATA_KEYS}
    data_settings = _validate(DataSettings, known, f"{where}: data", faults)
    settings: dict[str, Any] = {k: v for k, v in content.items() if k in STUDY_KEYS}
    if isinstance(settings.get("variants"), dict):
        settings["variants"] = {name: {} if delta is None else delta for name, delta in settings["variants"].items()}
    settings["data"] = data_settings or DataSettings()
    settings["claims"] = _claims(content.get("claims", {}), f"{where}: claims", faults)
    return _validate(StudySettings, settings, where, faults)


def _claims(content: Any, place: str, faults: list[str]) -> dict[str, Claim]:
    try:
        return TypeAdapter(dict[str, Claim]).validate_python(content)
    except ValidationError as error:
        faults += sentences(error, place)
        return {}


def _variant_runs(
    study: StudySettings,
    variant: str,
    defaults: dict[str, Any],
    delta: dict[str, Any],
    overrides: dict[str, Any],
    where: str,
    faults: list[str],
) -> list[RunSpec]:
    place = f"{where}: variants.{cut(variant)}"
    if not re.fullmatch(NAME, variant):
        faults.append(f"{place}: a variant's name is {NAME_RULE}")
        return []
    faults += _unknown_keys(delta, (*VARIANT_KEYS, *RUN_SETTINGS), place)
    runs = {variant: {}} if delta.get("runs") is None else delta["runs"]
    if not isinstance(runs, dict) or not runs or not all(isinstance(d, dict | None) for d in runs.values()):
        faults.append(f"{place}.runs: expected a mapping of run to settings, found {shown(runs)}")
        return []
    specs = []
    for run, run_delta in runs.items():
        run_place = place if delta.get("runs") is None else f"{place}.runs.{cut(run)}"
        if not re.fullmatch(NAME, run):
            faults.append(f"{run_place}: a run's name is {NAME_RULE}")
            continue
        run_delta = run_delta or {}
        faults += _unknown_keys(run_delta, ("seeds", *RUN_SETTINGS), run_place)
        merged = {"seeds": list(study.seeds)} | defaults | _given(delta) | _given(run_delta)
        seeds = _seeds(merged.pop("seeds"), run_place, faults)
        settings = {k: v for k, v in merged.items() if k in RUN_SETTINGS} | overrides
        start = _pretrained_on(study, settings, run_place, faults)
        identity = {"study": study.study, "variant": variant, "run": run, "pretrained_on": start}
        seeded = [{**identity, "seed": seed, **settings} for seed in seeds]
        own = [spec for content in seeded if (spec := _validate(RunSpec, content, run_place, faults))]
        for spec in own[:1]:  # they differ by their seeds
            faults += [f"{run_place}: {fault}" for fault in _of_run(spec, study.data)]
        specs += own
    return specs


def _of_run(spec: RunSpec, data: DataSettings) -> list[str]:
    return contradictions.of_run(spec) + contradictions.of_run_with_data(spec, data)


def _seeds(seeds: Any, place: str, faults: list[str]) -> list[Any]:
    """A run's seeds; empty, and `faults` added, where they are no list of different ones. RunSpec judges each."""
    if not isinstance(seeds, list) or not seeds:
        faults.append(f"{place}: seeds: expected a list, as in [0, 1], found {shown(seeds)}")
        return []
    told = _repeated(seeds, f"{place}: seeds") if all(isinstance(seed, int) for seed in seeds) else []
    faults += told
    return [] if told else seeds


def _given(delta: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in delta.items() if v is not None and k not in ("runs", "against")}


def _unknown_keys(content: dict[str, Any], valid: tuple[str, ...], where: str) -> list[str]:
    return [f"{where}: {cut(key)}: no such setting; {nearest(key, valid)}" for key in content if key not in valid]


def _validate(kind: type[Record], content: dict[str, Any], where: str, faults: list[str]) -> Record | None:
    as_tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    try:
        return kind(**as_tuples)
    except ValidationError as error:
        faults += sentences(error, where)
        return None


def sentences(error: ValidationError, where: str) -> list[str]:
    """Each fault of a record: where, what was expected, what was found."""
    return [_sentence(fault, where) for fault in error.errors()]


def _sentence(fault: Any, where: str) -> str:
    setting = cut(".".join(map(str, fault["loc"])))
    place = f"{where}: {setting}" if setting else where
    if fault["type"] == "unexpected_keyword_argument":
        return f"{place}: no such setting"
    if fault["type"] == "value_error":  # of the record itself, which says what was found
        return f"{place}: {fault['ctx']['error']}"
    if fault["type"] == "string_pattern_mismatch":
        return f"{place}: a name is {NAME_RULE}; found {shown(fault['input'])}"
    found = "" if fault["type"] == "missing" else f", found {shown(fault['input'])}"
    message = fault["msg"].removeprefix("Input ")
    return f"{place}: {message[0].lower()}{message[1:]}{found}"
