"""Checks and probes are found by their names: `checks/<name>.py` with a function `run`."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from pawprint import paths
from pawprint.errors import SettingsError
from pawprint.params import cut, nearest, sentences
from pawprint.types import Finding


@dataclass(frozen=True)
class ModelTest:
    """A check or probe with its settings."""

    run: Callable[[Any], Finding]
    of_data: bool  # it takes the data, and no model


def find(package: ModuleType, settings: dict[str, dict[str, Any]]) -> dict[str, ModelTest]:
    """The model test of each name in `settings`, its settings checked and filled in.

    Each module has a validated record `Settings`. All faults are raised together, as SettingsError.
    """
    section = package.__name__.rpartition(".")[2]
    available = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    found, faults = {}, []
    for name, given in settings.items():
        if name not in available:
            faults.append(
                f"{paths.PARAMS}: {section}.{cut(name)}: no such file in {section}/; {nearest(name, available)}"
            )
            continue
        module = importlib.import_module(f"{package.__name__}.{name}")
        try:
            found[name] = _bound(module, given)
        except ValidationError as error:
            faults += sentences(error, f"{paths.PARAMS}: {section}.{name}")
    if faults:
        raise SettingsError(faults)
    return found


def _bound(module: ModuleType, given: dict[str, Any]) -> ModelTest:
    settings = module.Settings(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
    first = next(iter(inspect.signature(module.run).parameters))
    return ModelTest(run=lambda subject: module.run(subject, settings), of_data=first == "data")
