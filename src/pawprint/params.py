"""params.yaml → RunSpecs: the defaults at the top level, plus each variant's delta.

One parser for everything that brings settings: the `resolve` stage, `pawprint train`, the tests. All faults
of a file are reported together, each with where it stands and, for a mistyped name, the nearest valid one.

A variant is a mapping of settings that differ from the top level. Beside settings it may hold `seeds` (list),
`against` (the variant it is compared with; `baseline` where it does not say) and `runs` (name → further delta; a
variant without `runs` is one run of its own name). A setting that is null in a delta is inherited: it stands
there so that `dvc exp run -S variants.x.lr=…` finds a key to set.
"""

import difflib
import io
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pawprint import paths
from pawprint.errors import SettingsError
from pawprint.types import RUN_IDENTITY, RUN_SETTINGS, DataSettings, RunSpec, StudySettings

STUDY_KEYS = tuple(StudySettings.__dataclass_fields__)
BASELINE = "baseline"  # what variants are held against that do not say
VARIANT_KEYS = ("seeds", "runs", "against")
PRETRAIN_KEYS = ("data", "seed", *(name for name in RUN_SETTINGS if name != "pretrained"))
DATA_KEYS = tuple(DataSettings.__dataclass_fields__)
Record = TypeVar("Record")
TAKEN_FIGURES = ("test_accuracy", "all")  # of plots/compare, beside the questions'
VARIANT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 mapping (so that `1e-05` is a number), or SettingsError naming the file."""
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError([f"{path}: no such file; run this in a study's folder"]) from None
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path}: not UTF-8 text ({error})"]) from None
    except YAMLError as error:
        raise SettingsError([f"{path}: not valid YAML: {error}"]) from None
    if not isinstance(content, dict):
        raise SettingsError([f"{path}: expected `name: value` lines, found {type(content).__name__}"])
    return content


def to_yaml(content: dict[str, Any]) -> str:
    """Plain YAML text, keys in the order given."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # ruamel declares it None
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def read_study(path: Path, overrides: dict[str, Any] | None = None) -> tuple[StudySettings, list[RunSpec]]:
    """Read a study's params.yaml: its own settings, and the runs of all its variants.

    `overrides` are top-level settings that win over the file's and over every variant's delta.
    Raises SettingsError with all faults.
    """
    content = read_yaml(path)
    where = str(path)
    faults = _unknown_keys(content, (*STUDY_KEYS, *RUN_SETTINGS), where)
    study = _study_settings(content, where, faults)
    defaults = {k: v for k, v in content.items() if k in RUN_SETTINGS}
    if not _validate(RunSpec, {"study": "", "variant": "", "run": "", "seed": 0, **defaults}, where, faults):
        defaults = {}  # said once; the variants are judged by what they add
    if study is None:
        raise SettingsError(faults)
    specs = []
    for variant, delta in study.variants.items():
        specs += _variant_runs(study, variant, defaults, delta, overrides or {}, where, faults)
    faults += _unknown_variants(study, where) + _question_faults(study, where)
    if study.pretrain or study.pretrained_source != "none":
        _pretraining(study, where, faults)
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


def read_resolved(path: Path) -> list[RunSpec]:
    """The runs of one variant, times their seeds, from the file that `resolve` wrote."""
    faults: list[str] = []
    specs = []
    for run, settings in read_yaml(path).items():
        for seed in settings.pop("seeds"):
            spec = _validate(RunSpec, {**settings, "run": run, "seed": seed}, f"{path}: {run}", faults)
            specs += [spec] if spec else []
    if faults:
        raise SettingsError(faults)
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
    values = {name: getattr(spec, name) for name in (*RUN_IDENTITY, *RUN_SETTINGS)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


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
            faults.append(f"{option}: expected a value, as in --{name} 0.01")
        if not option.startswith("--"):
            faults.append(f"{option}: not understood; settings are given as --name value")
        pairs[name] = text
    faults += _unknown_keys(pairs, RUN_SETTINGS, "command line")
    if faults:
        raise SettingsError(faults)
    return {name: YAML(typ="safe").load(text) for name, text in pairs.items()}


def nearest(name: str, valid: tuple[str, ...] | list[str]) -> str:
    """`did you mean 'lr'?` or, with nothing near, the list of valid names."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f"did you mean {close[0]!r}?" if close else f"valid names: {', '.join(valid)}"


def unusual(specs: list[RunSpec]) -> list[str]:
    """Settings that are allowed, because a study may be about them, but are rarely meant."""
    warnings = []
    for spec in specs:
        if spec.momentum >= 1 and spec.optimizer == "sgd":
            warnings.append(f"{spec.variant}: momentum {spec.momentum} >= 1: past steps grow instead of fading")
        if spec.scaled_lr == 0:
            warnings.append(f"{spec.variant}: lr 0: nothing is learned")
    return list(dict.fromkeys(warnings))


def _unknown_variants(study: StudySettings, where: str) -> list[str]:
    """Faults for each place that names a variant which is not there."""
    named = [("probed", name) for name in study.probed]
    named += [(f"questions.{question}", name) for question, names in study.questions.items() for name in names]
    against = {variant: delta.get("against") for variant, delta in study.variants.items()}
    named += [(f"variants.{variant}.against", name) for variant, name in against.items() if name is not None]
    faults = [
        f"{where}: {place}: there is no variant {name!r}; {nearest(str(name), list(study.variants))}"
        for place, name in named
        if name not in study.variants
    ]
    faults += [f"{where}: variants.{variant}.against: found itself" for variant in against
               if against[variant] == variant]  # fmt: skip
    if against.get(BASELINE):
        faults.append(f"{where}: variants.{BASELINE}.against: {BASELINE} is what others are held against; take it out")
    return faults


def _question_faults(study: StudySettings, where: str) -> list[str]:
    """A question's name is its figure's, so it must be a file's name that no other figure has."""
    faults = []
    for name, variants in study.questions.items():
        place = f"{where}: questions.{name}"
        if not VARIANT_NAME.fullmatch(name):
            faults.append(f"{place}: a question's name is letters, digits and _ . + - only")
        if name in TAKEN_FIGURES or name.removesuffix("_by_step") in set(study.questions) - {name}:
            faults.append(f"{place}: plots/compare has a figure of this name already; give it another")
        if not variants:
            faults.append(f"{place}: expected a list of variants, found none")
    return faults


def _pretraining(study: StudySettings, where: str, faults: list[str]) -> tuple[DataSettings, RunSpec] | None:
    """The section `pretrain` as records; None, and `faults` added, where it is not sound."""
    place, before = f"{where}: pretrain", len(faults)
    settings = dict(study.pretrain)
    faults += _unknown_keys(settings, PRETRAIN_KEYS, place)
    data = settings.pop("data", None) or {}
    faults += _unknown_keys(data, tuple(key for key in DATA_KEYS if key != "source"), f"{place}: data")
    source = "procedural" if study.pretrained_source in ("none", "imagenet") else study.pretrained_source
    known = {k: v for k, v in data.items() if k in DATA_KEYS}
    data_settings = _validate(DataSettings, {**known, "source": source}, f"{place}: data", faults)
    known = {k: v for k, v in settings.items() if k in PRETRAIN_KEYS}
    identity = {"study": study.study, "variant": "pretrain", "run": "pretrain"}
    spec = _validate(RunSpec, {**identity, "seed": 0, **known}, place, faults)
    if study.pretrained_source == "folder" and data_settings is not None and data_settings.path is None:
        faults.append(f"{place}: data: path: not set; pretrained_source folder needs a folder or .zip of pictures")
    return (data_settings, spec) if data_settings and spec and len(faults) == before else None


def _pretrained_on(study: StudySettings, settings: dict[str, Any], place: str, faults: list[str]) -> str | None:
    """What a run's starting weights were trained on, in words for tables and charts."""
    if settings.get("pretrained") is not True:
        return None
    if study.pretrained_source == "none":
        faults.append(
            f"{place}: pretrained: true needs pretrained_source: drawn_animals, folder or imagenet; found none"
        )
    if study.pretrained_source == "folder":
        return Path(str((study.pretrain.get("data") or {}).get("path"))).stem
    return study.pretrained_source


def _study_settings(content: dict[str, Any], where: str, faults: list[str]) -> StudySettings | None:
    data = content.get("data")
    if not isinstance(data, dict):
        faults.append(f"{where}: data: expected a mapping with `source`, found {data!r}")
        return None
    faults += _unknown_keys(data, DATA_KEYS, f"{where}: data")
    known = {k: v for k, v in data.items() if k in DATA_KEYS}
    data_settings = _validate(DataSettings, known, f"{where}: data", faults)
    settings: dict[str, Any] = {k: v for k, v in content.items() if k in STUDY_KEYS}
    if isinstance(settings.get("variants"), dict):
        settings["variants"] = {str(name): delta or {} for name, delta in settings["variants"].items()}
    settings["data"] = data_settings or DataSettings()
    return _validate(StudySettings, settings, where, faults)


def _variant_runs(
    study: StudySettings,
    variant: str,
    defaults: dict[str, Any],
    delta: dict[str, Any],
    overrides: dict[str, Any],
    where: str,
    faults: list[str],
) -> list[RunSpec]:
    place = f"{where}: variants.{variant}"
    if not VARIANT_NAME.fullmatch(variant):
        faults.append(f"{place}: a variant's name is letters, digits and _ . + - only")
    faults += _unknown_keys(delta, (*VARIANT_KEYS, *RUN_SETTINGS), place)
    runs = delta.get("runs") or {variant: {}}
    if not isinstance(runs, dict) or not all(isinstance(d, dict | None) for d in runs.values()):
        faults.append(f"{place}.runs: expected a mapping of run to settings, found {runs!r}")
        return []
    specs = []
    for run, run_delta in runs.items():
        run_place = place if "runs" not in delta else f"{place}.runs.{run}"
        run_delta = run_delta or {}
        faults += _unknown_keys(run_delta, ("seeds", *RUN_SETTINGS), run_place)
        merged = defaults | _given(delta) | _given(run_delta)
        seeds = merged.pop("seeds", None) or list(study.seeds)
        settings = {k: v for k, v in merged.items() if k in RUN_SETTINGS} | overrides
        start = _pretrained_on(study, settings, run_place, faults)
        identity = {"study": study.study, "variant": variant, "run": str(run), "pretrained_on": start}
        seeded = [{**identity, "seed": seed, **settings} for seed in (seeds if isinstance(seeds, list) else [seeds])]
        own = [spec for content in seeded if (spec := _validate(RunSpec, content, run_place, faults))]
        faults += [fault for spec in own for fault in _contradictions(spec, run_place)]
        specs += own
    return specs


def _contradictions(spec: RunSpec, place: str) -> list[str]:
    """Settings that are each valid, and together are not."""
    faults = []
    if spec.nesterov and spec.optimizer == "sgd" and spec.momentum == 0:
        faults.append(f"{place}: nesterov needs momentum > 0, found 0")
    if spec.pretrained and spec.model != "resnet18":
        faults.append(f"{place}: pretrained: true has weights for resnet18 only, found model: {spec.model}")
    if spec.lr_scaling == "adam_full" and spec.optimizer not in ("adam", "adamw"):
        faults.append(f"{place}: lr_scaling: adam_full is a rule for adam and adamw, found optimizer: {spec.optimizer}")
    if spec.lr_scaling == "adam_full" and min(spec.scaled_betas) < 0:
        betas = f"betas {list(spec.betas)} become {[round(beta, 4) for beta in spec.scaled_betas]}"
        faults.append(
            f"{place}: lr_scaling: adam_full: a batch of {spec.batch_size} is {spec.batch_ratio:g} times"
            f" lr_base_batch_size, for which {betas}; expected none below 0: lower batch_size, or raise betas"
        )
    return faults


def _given(delta: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in delta.items() if v is not None and k not in ("runs", "against")}


def _unknown_keys(content: dict[str, Any], valid: tuple[str, ...], where: str) -> list[str]:
    return [f"{where}: {key}: no such setting; {nearest(str(key), valid)}" for key in content if key not in valid]


def _validate(kind: type[Record], content: dict[str, Any], where: str, faults: list[str]) -> Record | None:
    as_tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    try:
        return kind(**as_tuples)
    except ValidationError as error:
        faults += [_sentence(fault, where) for fault in error.errors()]
        return None


def _sentence(fault: Any, where: str) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "unexpected_keyword_argument":
        return f"{where}: {place}: no such setting"
    found = "" if fault["type"] == "missing" else f", found {fault['input']!r}"
    message = fault["msg"].removeprefix("Input ")
    return f"{where}: {place}: {message[0].lower()}{message[1:]}{found}"
