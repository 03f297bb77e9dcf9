"""Supervised learning: the mean loss between logits and labels, each class weighted alike or inversely."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from pawprint.data.batches import Batch
from pawprint.objectives.losses import LOSSES, Loss
from pawprint.types import Data, LossTerms, RunSpec


def supervised(spec: RunSpec, data: Data) -> Callable[[nn.Module, Batch], LossTerms]:
    """The mean of `spec.loss` over a batch, in which an example counts as much as `spec.class_weights` says."""
    loss_of = labelled_loss(spec, data)

    def objective(model: nn.Module, batch: Batch) -> LossTerms:
        loss = loss_of(model(batch.images), batch)
        return LossTerms(total=loss, parts={spec.loss: loss.detach()})

    return objective


def labelled_loss(spec: RunSpec, data: Data) -> Callable[[torch.Tensor, Batch], torch.Tensor]:
    """How wrong logits (B, K) are about the labels of a batch, () with graph; soft labels where pictures are mixed."""
    weights = class_weights(data) if spec.class_weights == "balanced" else None
    loss: Loss = LOSSES[spec.loss]
    if spec.label_smoothing:  # Szegedy et al., arXiv 1512.00567, section 7; cross-entropy's alone
        loss = partial(torch.nn.functional.cross_entropy, label_smoothing=spec.label_smoothing)

    def loss_of(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        labels = batch.labels if batch.soft_labels is None else batch.soft_labels
        return loss(logits, labels, None if weights is None else weights.to(logits))

    return loss_of


def class_weights(data: Data) -> torch.Tensor:
    """(K,) n / (K n_c) for n_c training pictures of class c (King and Zeng 2001): their mean over train is 1.

    0 for a class of which train has none.
    """
    counts = np.bincount(data.train.labels, minlength=len(data.class_names))  # (K,)
    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return torch.from_numpy(weights)
