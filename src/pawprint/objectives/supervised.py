"""Supervised learning: mean cross-entropy between logits and labels."""

from torch import nn
from torch.nn import functional

from pawprint.data.batches import Batch
from pawprint.types import LossTerms


def supervised(model: nn.Module, batch: Batch) -> LossTerms:
    loss = functional.cross_entropy(model(batch.images), batch.labels)
    return LossTerms(total=loss, parts={"cross_entropy": loss.detach()})
