"""Supervised learning: the mean loss between logits and labels, each class weighted alike or inversely."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from pawprint.data.batches import Batch
from pawprint.objectives.losses import LOSSES
from pawprint.types import Data, LossTerms, RunSpec


def supervised(spec: RunSpec, data: Data) -> Callable[[nn.Module, Batch], LossTerms]:
    """The mean of `spec.loss` over a batch, in which an example counts as much as `spec.class_weights` says."""
    weights = class_weights(data) if spec.class_weights == "balanced" else None

    def objective(model: nn.Module, batch: Batch) -> LossTerms:
        logits = model(batch.images)
        of_classes = None if weights is None else weights.to(logits)
        loss = LOSSES[spec.loss](logits, batch.labels, of_classes)
        return LossTerms(total=loss, parts={spec.loss: loss.detach()})

    return objective


def class_weights(data: Data) -> torch.Tensor:
    """(K,) n / (K n_c) for n_c training pictures of class c (King and Zeng 2001): their mean over train is 1.

    0 for a class of which train has none.
    """
    counts = np.bincount(data.train.labels, minlength=len(data.class_names))  # (K,)
    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return torch.from_numpy(weights)
