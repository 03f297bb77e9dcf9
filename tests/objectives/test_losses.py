"""Losses against their formulas, example by example."""

import numpy as np
import pytest
import torch

from pawprint.objectives.losses import LOSSES

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 4.0, 0.0], [1.0, 1.0, 0.9]])
LABELS = torch.tensor([0, 1, 2, 1])
N_CLASSES = 3


def cross_entropy(z: np.ndarray, label: int) -> float:
    return float(np.log(np.exp(z).sum()) - z[label])


def squared_error(z: np.ndarray, label: int) -> float:
    return sum((value - (k == label)) ** 2 for k, value in enumerate(z)) / N_CLASSES


def hinge(z: np.ndarray, label: int) -> float:
    return sum(max(0.0, 1 - (z[label] - value)) for k, value in enumerate(z) if k != label) / N_CLASSES


@pytest.mark.parametrize("formula", [cross_entropy, squared_error, hinge])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_loss_is_the_weighted_mean_of_its_formula(formula, weights: list[float] | None) -> None:
    of_classes = None if weights is None else torch.tensor(weights)
    found = LOSSES[formula.__name__](LOGITS, LABELS, of_classes).item()
    each = [formula(z, label) for z, label in zip(LOGITS.double().numpy(), LABELS.tolist(), strict=True)]
    counts = [1.0 if weights is None else weights[label] for label in LABELS.tolist()]
    assert found == pytest.approx(np.average(each, weights=counts), rel=1e-6)


def test_every_loss_is_tried() -> None:
    assert set(LOSSES) == {"cross_entropy", "squared_error", "hinge"}


def test_hinge_is_content_with_a_margin_and_cross_entropy_never_is() -> None:
    sure = torch.tensor([[5.0, 0.0, -1.0]], requires_grad=True)
    assert LOSSES["hinge"](sure, torch.tensor([0]), None).item() == 0
    assert LOSSES["cross_entropy"](sure, torch.tensor([0]), None).item() > 0
