"""What every probe keeps to: it changes nothing, works with no settings, and shares the pass over the test set."""

import importlib
import json
import pkgutil
import random
from collections import Counter
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from pawprint import probes
from pawprint.data.batches import unit_range
from pawprint.data.statistics import statistics_of
from pawprint.probes import ProbeSubject
from pawprint.seeding import preserve_rng
from pawprint.types import Data

PROBES = sorted(module.name for module in pkgutil.iter_modules(probes.__path__))
# Passes of its own over the test set, beside the one that all share; tta has none where it leaves the answers plain.
N_PASSES = {
    "brightness": 4,
    "calibration": 0,
    "corruptions": 12,
    "dead_relu": 1,
    "feature_maps": 1,  # of a test set as small as this one, all of it
    "filters": 0,
    "grad_cam": 0,
    "normalization": 5,
    "rotation": 6,
    "tta": 0,
}
N_VAL_PASSES = {"calibration": 1, "tta": 11}


def probe(name: str) -> ModuleType:
    return importlib.import_module(f"pawprint.probes.{name}")


class SmallNet(nn.Module):
    """With all that a pass could change: running statistics, dropout, and an activation that overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.conv(images)))
        return self.head(self.block(x).mean(dim=(2, 3)))


@pytest.fixture
def model() -> nn.Module:
    """In training, but for one norm and one block in eval mode: what fine-tuning does."""
    with preserve_rng():
        torch.manual_seed(0)
        model = SmallNet().train()
    model.norm.eval()
    model.block.eval()
    return model


@pytest.mark.parametrize("name", PROBES)
def test_measuring_changes_nothing(data: Data, model: nn.Module, name: str) -> None:
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    modes = {key: module.training for key, module in model.named_modules()}
    hooks = [len(module._forward_hooks) for module in model.modules()]
    state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    finding = probe(name).run(ProbeSubject("subject", data, model), probe(name).Settings())
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
    assert modes == {key: module.training for key, module in model.named_modules()}
    assert hooks == [len(module._forward_hooks) for module in model.modules()]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(state, torch.get_rng_state())
    assert all(np.array_equal(a, b) for a, b in zip(numpy_state, np.random.get_state(), strict=True))
    assert python_state == random.getstate()
    assert finding.name == name
    json.dumps(finding.as_json())  # plain numbers


def test_all_probes_together_pass_over_test_and_val_no_more_often_than_needed(data: Data, model: nn.Module) -> None:
    of_train = statistics_of([unit_range(data.train.images)])
    subject = ProbeSubject("subject", replace(data, mean=of_train.mean, std=of_train.std), model)
    parts = {len(data.test): "test", len(data.val): "val"}
    passes: Counter[str] = Counter()
    model.conv.register_forward_hook(lambda _, given, __: passes.update([parts.get(len(given[0]), "a few")]))
    assert subject.unaltered.accuracy >= 0
    assert passes == {"test": 1}
    for name in PROBES:
        passes.clear()
        probe(name).run(subject, probe(name).Settings())
        assert (name, passes["test"], passes["val"]) == (name, N_PASSES[name], N_VAL_PASSES.get(name, 0))


@pytest.mark.parametrize("name", PROBES)
def test_measuring_twice_gives_the_same(data: Data, model: nn.Module, name: str) -> None:
    once, again = (probe(name).run(ProbeSubject("subject", data, model), probe(name).Settings()) for _ in range(2))
    assert once.as_json() == again.as_json()
