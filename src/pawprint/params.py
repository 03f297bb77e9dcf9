"""params.yaml → RunSpecs: the defaults at the top level, plus each variant's delta.

One parser for everything that brings settings: the `resolve` stage, `pawprint train`, the tests. All faults
of a file are reported together, each with where it stands and, for a mistyped name, the nearest valid one.

A variant is a mapping of settings that differ from the top level. Beside settings it may hold `seeds` (list)
and `runs` (name → further delta; a variant without `runs` is one run of its own name). A setting that is
null in a delta is inherited: it stands there so that `dvc exp run -S variants.x.lr=…` finds a key to set.
"""

import difflib
import io
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pawprint.errors import SettingsError
from pawprint.types import RUN_IDENTITY, RUN_SETTINGS, DataSettings, RunSpec, StudySettings

STUDY_KEYS = tuple(StudySettings.__dataclass_fields__)
VARIANT_KEYS = ("seeds", "runs")
DATA_KEYS = tuple(DataSettings.__dataclass_fields__)
Record = TypeVar("Record")
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
    faults += [f"{where}: probed: there is no variant {name!r}" for name in study.probed
               if name not in study.variants]  # fmt: skip
    if faults:
        raise SettingsError(list(dict.fromkeys(faults)))
    return study, specs


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
        identity = {"study": study.study, "variant": variant, "run": str(run)}
        for seed in seeds if isinstance(seeds, list) else [seeds]:
            spec = _validate(RunSpec, {**identity, "seed": seed, **settings}, run_place, faults)
            specs += [spec] if spec else []
    faults += [f"{run_place}: nesterov needs momentum > 0, found 0" for spec in specs
               if spec.nesterov and spec.optimizer == "sgd" and spec.momentum == 0]  # fmt: skip
    return specs


def _given(delta: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in delta.items() if v is not None and k != "runs"}


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
