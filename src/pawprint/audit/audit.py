"""The audit of a work: every model test of checks/ and probes/ on what a Python file offers, with their own settings.

A new test comes in by itself. One that needs what the file does not offer is left out, one in which the work's code
raises could not run; both are told with the reason, and the others go on. Every test starts from the same random state,
so that two audits of one work give the same numbers.

Exit code: 1 if a test failed, whatever else; else 2 if one could not run; else 0. A level as in a study, where some
tests only warn, has no meaning here: a rate that cannot work is a fault of the work.
"""

import importlib
import math
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import nn

from pawprint import checks, extensions, probes
from pawprint.audit.notes import notes_on, what_is_fed
from pawprint.audit.parts import (
    Part,
    Parts,
    batches,
    data_for_checks,
    data_for_leakage,
    data_for_probes,
    read_parts,
    right_statistics,
)
from pawprint.audit.pictures import MAX_PICTURES, SEED, seeded
from pawprint.audit.training import criterion, fresh_models, model_of, optimizer_of, rates_of
from pawprint.audit.work import FUNCTIONS, AuditError, Work, blamed, opened, without_places
from pawprint.checks import CheckSubject
from pawprint.errors import SettingsError
from pawprint.params import nearest
from pawprint.probes import ProbeSubject
from pawprint.training.evaluate import eval_mode
from pawprint.types import Data, Finding

Verdict = Literal["passed", "failed", "measured", "left out", "could not run"]
When = Literal["before training", "after training"]
VERDICTS: dict[bool | None, Verdict] = {True: "passed", False: "failed", None: "measured"}
PACKAGES: dict[When, ModuleType] = {"before training": checks, "after training": probes}
PROBED = 2_000  # test pictures that the probes use: each passes over them many times
NEEDS_TRAIN = {"normalization"}  # probes of more than the test set
NEEDS_VAL = {"calibration", "tta"}


@dataclass(frozen=True)
class Tested:
    """A model test and what became of it."""

    name: str
    when: When
    verdict: Verdict
    finding: Finding


@dataclass(frozen=True)
class Audit:
    """What was found out about a work."""

    file: str  # its name, without folders
    offered: list[str]  # functions
    missing: list[str]
    fed: dict[str, dict[str, Any]]  # part → how many pictures, of what size, how fed
    notes: list[str]
    tests: list[Tested]

    @property
    def exit_code(self) -> int:
        verdicts = {test.verdict for test in self.tests}
        return 1 if "failed" in verdicts else 2 if "could not run" in verdicts else 0

    def as_json(self) -> dict[str, Any]:
        """Ready for `json.dumps`; the same for every audit of one work."""
        tests = {test.name: {"when": test.when, "verdict": test.verdict, **_told(test.finding)} for test in self.tests}
        return {
            "work": self.file,
            "functions": {"offered": self.offered, "missing": self.missing},
            "data": self.fed,
            "notes": self.notes,
            "tests": dict(sorted(tests.items())),
            "exit_code": self.exit_code,
        }


class Missing(Exception):
    """A test has to be left out, because the work does not offer what it needs."""


def audit(
    file: Path,
    only: Sequence[str] = (),
    limit: int = MAX_PICTURES,
    probed: int = PROBED,
    threads: int = 1,
    tell: Callable[[str], None] = lambda text: None,
) -> Audit:
    """Run every test, or `only` those, on the work in `file`; `tell` what is being done.

    `limit` is the number of pictures read of a part at most, `probed` that of test pictures the probes use; another
    number of `threads` gives other last digits. Raises AuditError if the file offers nothing to test, SettingsError for
    a name in `only` that is no test's.
    """
    # Imported before the work is: its folder may hold a bottleneck.py, which pandas would take for its own.
    found = {
        when: extensions.find(PACKAGES[when], {name: {} for name in names}) for when, names in _names(only).items()
    }
    with seeded(SEED), _deterministic(threads), torch.enable_grad(), opened(file) as work:
        tell("reading the data")
        parts = read_parts(work, limit)
        subjects = Subjects(work, parts, probed)
        tests = []
        for when, tests_of in found.items():
            for name, test in tests_of.items():
                tell(f"{name} ({when})")
                tests.append(_tested(name, when, test, subjects))
        return Audit(
            file=work.file.name,
            offered=[name for name in FUNCTIONS if name in work.functions],
            missing=work.missing,
            fed=what_is_fed(parts),
            notes=[without_places(note, work.file.parent) for note in [*notes_on(work, parts), *subjects.notes]],
            tests=tests,
        )


class Subjects:
    """What the tests take, made when the first needs it. Each raises `Missing` or AuditError where there is none."""

    def __init__(self, work: Work, parts: Parts, probed: int) -> None:
        self.work, self.parts, self.probed = work, parts, probed
        self.notes: list[str] = []
        self._made: dict[str, Any] = {}

    def of_pictures(self) -> Data:
        """For a check of the pictures alone."""
        self._offered("get_dataset")
        if set(self.parts.by_name) == {"train"}:
            raise Missing("get_dataset() offers train alone, and nothing to compare it with")
        return data_for_leakage(self.parts)

    def of_training(self) -> CheckSubject:
        """For a check before training."""
        self._offered("get_dataset", "get_model")
        self._usable(self.parts.by_name["train"])
        return self._once("training", self._training)

    def of_trained(self, name: str) -> ProbeSubject:
        """For the probe of this name."""
        has_own = "get_test_set" in self.work.functions or "get_dataset" not in self.work.functions
        self._offered("get_trained_model", "get_test_set" if has_own else "get_dataset")
        if self.parts.tested is None:
            raise Missing("needs a test set, and get_dataset() offers none; get_test_set() could")
        self._usable(self.parts.tested)
        if name in NEEDS_TRAIN:
            self._needs("train", "how the training's pictures are fed")
        if name in NEEDS_VAL:
            self._needs("val", "pictures that were neither trained nor tested on")
        as_offered = self._once("trained", self._trained)
        return as_offered if name in NEEDS_TRAIN else self._once("fed rightly", lambda: _fed_rightly(as_offered))

    def _offered(self, *functions: str) -> None:
        lacking = [name for name in functions if name not in self.work.functions]
        if lacking:
            raise Missing(f"needs {' and '.join(f'{name}()' for name in lacking)}, which the file does not offer")
        fault = next((self.parts.faults[name] for name in functions if name in self.parts.faults), None)
        if fault:
            raise AuditError(fault)

    def _needs(self, part: str, what_for: str) -> None:
        self._offered("get_dataset")
        if part not in self.parts.by_name:
            raise Missing(f"needs get_dataset()'s {part}: {what_for}; it offers none")
        found, tested = self.parts.by_name[part], self.parts.tested
        self._usable(found)
        if tested is not None and found.pictures.n_channels != tested.pictures.n_channels:
            raise AuditError(f"{part}'s pictures have other channels than {tested.pictures.part}'s")
        if part == "train" and (found.feed.certainty == "assumed") != (tested and tested.feed.certainty == "assumed"):
            raise Missing(f"needs pictures as they are fed, of both train and test: {found.pictures.form} show nothing")

    def _usable(self, part: Part) -> None:
        if part.fault:
            raise AuditError(part.fault)

    def _once(self, key: str, make: Callable[[], Any]) -> Any:
        """The same subject for every test, or the same error."""
        if key not in self._made:
            try:
                self._made[key] = make()
            except AuditError as error:
                self._made[key] = error
        if isinstance(self._made[key], AuditError):
            raise self._made[key]
        return self._made[key]

    def _training(self) -> CheckSubject:
        data = data_for_checks(self.parts)
        start, note = fresh_models(self.work, SEED)
        self.notes += [note] if note else []
        return CheckSubject(
            name=self.work.file.stem,
            data=data,
            start=start,
            optimizer_for=partial(optimizer_of, self.work),
            objective=criterion(self.work),
            batches=lambda: batches(data, SEED),
            rates=rates_of(self.work, start(SEED)) if "get_optimizer" in self.work.functions else {},
            seed=SEED,
        )

    def _trained(self) -> ProbeSubject:
        with seeded(SEED):
            model = model_of(self.work, "get_trained_model")
        data = data_for_probes(self.parts, self.probed)
        _answers(model, data, self.work)
        n, tested = len(data.test), self.parts.tested
        if tested is not None and n < len(tested.split):
            self.notes.append(f"the probes use {n:,} of the {len(tested.split):,} test pictures, evenly spaced")
        return ProbeSubject(self.work.file.stem, data, model, right_statistics(self.parts))


def _fed_rightly(subject: ProbeSubject) -> ProbeSubject:
    """Fed as in training: a wrong normalization is one fault, and its own probe's, not every probe's."""
    if subject.right is None:
        return subject
    return replace(subject, data=replace(subject.data, mean=subject.right.mean, std=subject.right.std))


def _answers(model: nn.Module, data: Data, work: Work) -> None:
    """Raise AuditError if the model does not answer pictures with a number for each class."""
    n_classes = max(len(data.class_names), int(data.test.labels.max()) + 1)
    images = torch.zeros(2, *data.image_shape)
    with blamed("get_trained_model()'s model on two pictures", work.file.parent), eval_mode(model), torch.no_grad():
        answer = model(images)
    expected = f"expected a tensor (2, {n_classes}): a number for each class"
    shape = tuple(images.shape)
    if not isinstance(answer, torch.Tensor):
        raise AuditError(
            f"get_trained_model(): for pictures {shape} the model gives a {type(answer).__name__}, {expected}"
        )
    if answer.ndim != 2 or len(answer) != 2 or answer.shape[1] < n_classes:
        raise AuditError(f"get_trained_model(): for pictures {shape} the model gives {tuple(answer.shape)}, {expected}")


def _tested(name: str, when: When, test: extensions.ModelTest, subjects: Subjects) -> Tested:
    folder = subjects.work.file.parent
    try:
        if test.of_data:
            subject: Any = subjects.of_pictures()
        else:
            subject = subjects.of_training() if when == "before training" else subjects.of_trained(name)
        with blamed("the test stopped", folder), seeded(SEED), torch.enable_grad():
            finding = test.run(subject)
    except Missing as error:
        return Tested(name, when, "left out", _without_finding(name, when, str(error)))
    except AuditError as error:
        told = without_places(str(error), folder)
        return Tested(name, when, "could not run", _without_finding(name, when, told))
    return Tested(name, when, VERDICTS[finding.passed], finding)


def _without_finding(name: str, when: When, why: str) -> Finding:
    """Its question is the test's own: the first line of the module."""
    module = importlib.import_module(f"{PACKAGES[when].__name__}.{name}")
    question = (module.__doc__ or "").partition("\n")[0]
    return Finding(name, question, numbers={}, passed=None, limit="no verdict", reading=why)


def _names(only: Sequence[str]) -> dict[When, list[str]]:
    """Of the tests, in alphabetical order; all of them unless `only` some are wanted."""
    known = {when: sorted(m.name for m in pkgutil.iter_modules(package.__path__)) for when, package in PACKAGES.items()}
    every = [name for names in known.values() for name in names]
    strange = [name for name in only if name not in every]
    if strange:
        raise SettingsError([f"--only {name}: no such test; {nearest(name, every)}" for name in strange])
    return {when: [name for name in names if not only or name in only] for when, names in known.items()}


def _told(finding: Finding) -> dict[str, Any]:
    told = {key: value for key, value in finding.as_json().items() if key not in ("name", "passed")}
    numbers = {key: value if math.isfinite(value) else None for key, value in sorted(finding.numbers.items())}
    return told | {"numbers": numbers}


@contextmanager
def _deterministic(threads: int) -> Iterator[None]:
    """A fixed number of threads, and algorithms whose bytes are the same in every run, where there are such."""
    n_before = torch.get_num_threads()
    before, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)
        torch.set_num_threads(n_before)
