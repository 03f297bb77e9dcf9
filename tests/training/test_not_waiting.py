"""What an accelerator is spared: a wait for the numbers of each step. Tried on the processor, with the same bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pawprint.diagnostics.layers import weights
from pawprint.training import loop, variant
from pawprint.types import Data, RunSpec

READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}  # what a device is waited for


class Waits(TorchDispatchMode):
    """Counts what brings a number back to the processor: operations, and `tolist`, which is none on a processor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.n = 0
        of_torch = torch.Tensor.tolist

        def tolist(tensor: torch.Tensor) -> Any:
            self.n += 1
            return of_torch(tensor)

        monkeypatch.setattr(torch.Tensor, "tolist", tolist)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += function in READS
        return function(*args, **(kwargs or {}))


@contextmanager
def as_on_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "waits_for_steps", False)
        yield


def run(spec: RunSpec, data: Data) -> tuple[loop.Training, list[int]]:
    """The training, and the steps that were logged, in that order."""
    logged: list[int] = []
    training = variant.set_up(spec, data)
    loop.run(training, lambda row, step: logged.append(step), lambda row, step: None, lambda: None, 1e9)
    return training, logged


SETTINGS: dict[str, dict[str, Any]] = {
    "supervised": {},
    "fixmatch": {"objective": "fixmatch", "threshold": 0.4},
    "diagnosed": {"diagnostics": ("layer_gradients", "layer_updates"), "diagnose_every_steps": 3},
    "diverging": {"optimizer": "sgd", "lr": 1e30},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_told_later_is_told_the_same(name: str, data: Data, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, data = replace(spec, **SETTINGS[name]), replace(data, unlabelled=data.test)
    here, logged = run(spec, data)
    with as_on_an_accelerator(monkeypatch):
        there, logged_there = run(spec, data)
    assert bool(here.diverged) == (name == "diverging")
    assert (here.diverged, here.state.step, here.state.examples_seen) == (
        there.diverged, there.state.step, there.state.examples_seen
    )  # fmt: skip
    assert logged == logged_there == list(range(1, len(here.history.steps) + 1))
    assert here.best.epoch == there.best.epoch
    assert all(torch.equal(w, there.best.weights[k]) for k, w in here.best.weights.items())
    tables = ("tables", "diagnostics_table")
    for one, other in ((getattr(t.history, name)() for t in (here, there)) for name in tables):
        assert str(one) == str(other)
    assert here.history.classes_table("abc").equals(there.history.classes_table("abc"))


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_an_epochs_steps_wait_for_no_number(
    is_waited_for: bool, data: Data, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(spec, optimizer="sgd", clip_norm=1.0)
    training = variant.set_up(spec, data)
    objective = loop.build_objective(spec, data)
    monkeypatch.setattr(loop.Training, "waits_for_steps", is_waited_for)
    before = [tensor.clone() for own in weights(training.state.model).values() for tensor in own]
    with Waits(monkeypatch) as waits:
        for batch in training.batches.epoch(1):
            loop.train_step(training, objective, batch, lambda row, step: None)
    after = [tensor for own in weights(training.state.model).values() for tensor in own]
    assert not any(map(torch.equal, before, after))
    assert len(training.untold) == (0 if is_waited_for else 7)
    assert bool(waits.n) == is_waited_for


def test_a_state_is_saved_only_when_all_is_told(data: Data, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    with as_on_an_accelerator(monkeypatch):
        training = variant.set_up(spec, data)
        saved: list[int] = []

        def save() -> None:
            saved.append(training.state_dict()["training"]["step"])
            assert len(training.history.steps) == saved[-1]

        loop.run(training, lambda row, step: None, lambda row, step: None, save, save_every_seconds=0)
    assert saved[-1] == 21
    assert len(saved) > 10
