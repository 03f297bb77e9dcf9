"""FixMatch and self-training against a slow, obvious reference: the paper's sums, one picture at a time."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pawprint.data.batches import Batch, Unlabelled
from pawprint.objectives import build_objective
from pawprint.types import UNLABELLED_PARTS, Data, RunSpec

B, MU, K = 4, 5, 3


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, K))


def batch(seed: int) -> Batch:
    draws = torch.Generator().manual_seed(seed)

    def pictures(n: int) -> torch.Tensor:
        return 3 * torch.randn(n, 3, 2, 2, generator=draws)

    labels, hidden = (torch.randint(low, K, (n,), generator=draws) for low, n in ((0, B), (-1, MU * B)))
    weak = pictures(MU * B)
    strong = weak + pictures(MU * B) / 2
    return Batch(pictures(B), labels, unlabelled=Unlabelled(weak, strong, hidden))


def probabilities(model: nn.Module, picture: torch.Tensor) -> list[float]:
    """p_m(y | x) in double precision, by hand."""
    logits = model(picture[None])[0].double().tolist()
    powers = [math.exp(value - max(logits)) for value in logits]
    return [power / sum(powers) for power in powers]


def cross_entropy(target: list[float], given: list[float]) -> float:
    return -sum(t * math.log(g) for t, g in zip(target, given, strict=True))


def one_hot(label: int) -> list[float]:
    return [float(k == label) for k in range(K)]


def reference(model: nn.Module, of: Batch, spec: RunSpec) -> dict[str, float]:
    """Equations 3 and 4 of arXiv 2001.07685, and what is counted beside them."""
    assert of.unlabelled is not None
    l_s = sum(
        cross_entropy(one_hot(int(p)), probabilities(model, x)) for x, p in zip(of.images, of.labels, strict=True)
    )
    l_u, n_confident, n_known, n_right, n_agreeing = 0.0, 0, 0, 0, 0
    learned = of.unlabelled.strong if spec.objective == "fixmatch" else of.unlabelled.weak
    assert learned is not None
    for u, learned_from, hidden in zip(of.unlabelled.weak, learned, of.unlabelled.labels, strict=True):
        q = probabilities(model, u)
        likeliest = q.index(max(q))
        of_learned = probabilities(model, learned_from)
        n_agreeing += of_learned.index(max(of_learned)) == likeliest
        if max(q) < spec.threshold:
            continue
        n_confident += 1
        n_known += int(hidden) >= 0
        n_right += int(hidden) == likeliest
        sharpened = one_hot(likeliest)
        if spec.temperature:
            powers = [value ** (1 / spec.temperature) for value in q]
            sharpened = [power / sum(powers) for power in powers]
        l_u += cross_entropy(sharpened, of_learned)
    n = MU * B
    return {
        "labelled_loss": l_s / B,
        "unlabelled_loss": l_u / n,
        "mask_rate": n_confident / n,
        "pseudo_label_accuracy": n_right / n_known if n_known else math.nan,
        "agreement": n_agreeing / n,
        "total": l_s / B + spec.unlabelled_weight * l_u / n,
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("settings", [
    {"objective": "fixmatch"},
    {"objective": "fixmatch", "threshold": 0.5, "unlabelled_weight": 2.5},
    {"objective": "fixmatch", "threshold": 0.0},
    {"objective": "fixmatch", "threshold": 1.0},  # none is as sure
    {"objective": "fixmatch", "threshold": 0.6, "temperature": 0.4},
    {"objective": "self_training", "threshold": 0.6},
], ids=str)  # fmt: skip
def test_the_loss_is_the_papers(
    model: nn.Module, data: Data, spec: RunSpec, settings: dict[str, Any], seed: int
) -> None:
    spec = replace(spec, **settings)
    terms = build_objective(spec, data)(model, batch(seed))
    expected = reference(model, batch(seed), spec)
    assert tuple(terms.parts) == UNLABELLED_PARTS
    found = {name: float(value) for name, value in terms.parts.items()} | {"total": terms.total.item()}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6, nan_ok=True)


def test_nothing_is_learned_from_the_weak_view_but_its_label(model: nn.Module, data: Data, spec: RunSpec) -> None:
    """The gradient is that of a loss whose pseudo-labels are constants."""
    of, spec = batch(1), replace(spec, objective="fixmatch", threshold=0.5)
    assert of.unlabelled is not None
    assert of.unlabelled.strong is not None
    build_objective(spec, data)(model, of).total.backward()
    found = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    with torch.no_grad():
        surest, labels = model(of.unlabelled.weak).softmax(dim=1).max(dim=1)
    losses = nn.functional.cross_entropy(model(of.unlabelled.strong), labels, reduction="none")
    (nn.functional.cross_entropy(model(of.images), of.labels) + ((surest >= 0.5) * losses).mean()).backward()
    expected = [parameter.grad for parameter in model.parameters()]
    assert any(gradient.abs().max() > 0.01 for gradient in found)
    for one, other in zip(found, expected, strict=True):
        assert other is not None
        assert torch.allclose(one, other, atol=1e-6)


def test_all_pictures_go_through_the_model_at_once(data: Data, spec: RunSpec) -> None:
    sizes = []

    class Listening(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            sizes.append(len(images))
            return images.flatten(1)[:, :K]

    for name in ("fixmatch", "self_training"):
        build_objective(replace(spec, objective=name), data)(Listening(), batch(0))
    assert sizes == [B + 2 * MU * B, B + MU * B]


def test_classes_are_counted_by_what_the_weak_view_is_taken_for(model: nn.Module, data: Data, spec: RunSpec) -> None:
    of = batch(2)
    assert of.unlabelled is not None
    terms = build_objective(replace(spec, objective="fixmatch", threshold=0.4), data)(model, of)
    counts = {name: values.tolist() for name, values in terms.of_classes.items()}
    taken = [probabilities(model, u) for u in of.unlabelled.weak]
    for k in range(K):
        mine = [max(q) >= 0.4 for q in taken if q.index(max(q)) == k]
        assert counts["n"][k] == len(mine)
        assert counts["n_confident"][k] == sum(mine)
    assert sum(counts["n"]) == MU * B
    parts = {name: float(value) for name, value in terms.parts.items()}
    assert sum(counts["n_agreeing"]) / (MU * B) == pytest.approx(parts["agreement"])
    assert sum(counts["n_right"]) / sum(counts["n_known"]) == pytest.approx(parts["pseudo_label_accuracy"])


def test_soft_labels_of_mixed_pictures_are_learned_from(model: nn.Module, data: Data, spec: RunSpec) -> None:
    of = batch(3)
    soft = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(K), B)).float()
    found = build_objective(spec, data)(model, replace(of, soft_labels=soft)).total.item()
    pairs = zip(of.images, soft.tolist(), strict=True)
    assert found == pytest.approx(sum(cross_entropy(p, probabilities(model, x)) for x, p in pairs) / B, rel=1e-5)


def test_smoothed_labels_spread_a_share_over_all_classes(model: nn.Module, data: Data, spec: RunSpec) -> None:
    of, share = batch(4), 0.3
    found = build_objective(replace(spec, label_smoothing=share), data)(model, of).total.item()
    smoothed = [[(1 - share) * value + share / K for value in one_hot(int(label))] for label in of.labels]
    pairs = zip(of.images, smoothed, strict=True)
    assert found == pytest.approx(sum(cross_entropy(p, probabilities(model, x)) for x, p in pairs) / B, rel=1e-5)
