from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from pawprint.data.batches import Batch
from pawprint.objectives import build_objective
from pawprint.objectives.supervised import class_weights
from pawprint.types import Data, RunSpec


def with_labels(data: Data, labels: list[int]) -> Data:
    return replace(data, train=replace(data.train, labels=np.array(labels)))


def test_class_weights_are_those_of_scikit_learn(data: Data) -> None:
    labels = [0] * 40 + [1] * 9 + [2]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=np.array(labels))
    assert class_weights(with_labels(data, labels)).tolist() == pytest.approx(expected.tolist())


def test_a_class_without_training_pictures_weighs_nothing(data: Data) -> None:
    assert class_weights(with_labels(data, [0] * 30 + [2] * 10)).tolist() == pytest.approx([40 / 60, 0, 2.0])


def test_a_rare_class_counts_more_in_the_loss(data: Data, spec: RunSpec) -> None:
    unbalanced = with_labels(data, [0] * 40 + [1] * 9 + [2])
    logits, labels = torch.randn(6, 3), torch.tensor([0, 0, 0, 0, 1, 2])
    batch = Batch(logits, labels)
    losses = {
        weights: build_objective(replace(spec, class_weights=weights), unbalanced)(torch.nn.Identity(), batch).total
        for weights in ("none", "balanced")
    }
    assert losses["none"].item() == pytest.approx(functional.cross_entropy(logits, labels).item())
    w = class_weights(unbalanced).float()[labels]
    each = functional.cross_entropy(logits, labels, reduction="none")
    assert losses["balanced"].item() == pytest.approx(((w * each).sum() / w.sum()).item())
