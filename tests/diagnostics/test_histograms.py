"""Counts in bins that are the same for every layer and step, against NumPy's."""

import numpy as np
import torch
from torch import nn

from pawprint.diagnostics.histograms import BINS, EDGES, gradients, histograms
from pawprint.diagnostics.layers import weights


def test_edges_ascend_symmetrically_around_zero_and_every_bin_has_a_name() -> None:
    assert list(EDGES) == sorted(EDGES)
    assert [-edge for edge in reversed(EDGES)] == list(EDGES)
    assert (EDGES[0], EDGES[-1]) == (-100, 100)
    assert len(set(BINS)) == len(BINS) == len(EDGES) + 1
    assert BINS[:2] == ("below", "from -100")


def test_counts_are_numpys_of_all_of_a_layers_weights() -> None:
    net = nn.Sequential(nn.Linear(300, 20), nn.ReLU(), nn.Linear(20, 2, bias=False))
    with torch.no_grad():
        net[0].bias.mul_(1e-6)
        net[2].weight.mul_(1e4)
    counted = histograms("weights", weights(net))
    assert list(counted) == [("weights", "0"), ("weights", "2")]
    for name, layer in (("0", net[0]), ("2", net[2])):
        values = np.concatenate([p.detach().numpy().ravel() for p in layer.parameters()])
        edges = np.array([-np.inf, *np.array(EDGES, dtype=np.float32), np.inf])
        assert counted["weights", name] == [0, *np.histogram(values, edges)[0]]


def test_what_is_zero_huge_or_not_finite_has_its_place() -> None:
    values = torch.tensor([0.0, -0.0, 1e-9, 1e30, -1e30, float("nan"), float("inf"), -float("inf")])
    (not_finite, *counts) = histograms("updates", {"layer": [values]})["updates", "layer"]
    assert not_finite == 3
    assert {BINS[place]: count for place, count in enumerate(counts) if count} == {
        "below": 1, "from -1e-08": 3, "from 100": 1,
    }  # fmt: skip


def test_gradients_are_those_that_are_there_and_what_is_frozen_has_no_weights() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    net[0].requires_grad_(False)
    net[1].weight.grad = torch.ones(1, 1)
    assert list(gradients(net)) == list(weights(net)) == ["1"]
    assert sum(histograms("gradients", gradients(net))["gradients", "1"]) == 1
