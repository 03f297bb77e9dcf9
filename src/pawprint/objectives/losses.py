"""Losses by name: by how much a classifier is wrong, as a mean over a batch.

All take logits (B, K), labels (B,) or, but for the hinge, shares of the classes (B, K), and, where classes are not to
count alike, a weight for each class (K,): the mean is then weighted by that of each example's class. Validation and
test are measured in cross-entropy whatever is descended: `training/evaluate.py`.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


def squared_error(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Between the logits themselves and 1 for the label, 0 elsewhere, mean over classes (arXiv 2006.07322)."""
    target = (functional.one_hot(labels, logits.shape[1]) if labels.dim() == 1 else labels).to(logits)
    return _mean(functional.mse_loss(logits, target, reduction="none").mean(dim=1), labels, weights)


def hinge(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Of each other class, by how much its logit comes nearer than 1 to the label's (Weston and Watkins 1999).

    As in torch the sum over the other classes is divided by the number of all.
    """
    return _mean(functional.multi_margin_loss(logits, labels, reduction="none"), labels, weights)


def _mean(losses: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    if weights is None:
        return losses.mean()
    return (weights[labels] * losses).sum() / weights[labels].sum()


LOSSES: dict[str, Loss] = {
    "cross_entropy": functional.cross_entropy,  # -log softmax(logits) at the label, nats
    "squared_error": squared_error,
    "hinge": hinge,
}
