"""Learning from pictures without labels, by what the model itself says of them.

With the symbols of FixMatch (Sohn et al., arXiv 2001.07685): x_b, p_b are B labelled pictures and their labels, u_b
mu B unlabelled ones, alpha the weak and A the strong view, p_m the model's class probabilities, H cross-entropy.

    l_s = 1/B sum_b H(p_b, p_m(y | alpha(x_b)))                                                              (eq. 3)
    q_b = p_m(y | alpha(u_b)), of which nothing is differentiated; q^_b = argmax q_b
    l_u = 1/(mu B) sum_b 1(max q_b >= tau) H(q^_b, p_m(y | A(u_b)))                                          (eq. 4)
    loss = l_s + lambda_u l_u

*FixMatch* is this. *Self-training* (pseudo-labels, Lee 2013, with a threshold) takes alpha(u_b) in A's place: nothing
but the labels differs from what is learned already. With a `temperature` T above 0 the pseudo-label is not the
likeliest class but softmax(logits / T), as in the paper's section 5.2, where T -> 0 is the argmax.

All pictures go through the model at once, so that batch normalization sees them together.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from pawprint.data.batches import Batch
from pawprint.objectives.supervised import labelled_loss
from pawprint.types import Data, LossTerms, RunSpec


def self_training(spec: RunSpec, data: Data) -> Callable[[nn.Module, Batch], LossTerms]:
    """l_s + lambda_u l_u, with the weak view in the strong one's place."""
    return from_own_labels(spec, data, is_strong=False)


def fixmatch(spec: RunSpec, data: Data) -> Callable[[nn.Module, Batch], LossTerms]:
    """l_s + lambda_u l_u."""
    return from_own_labels(spec, data, is_strong=True)


def from_own_labels(spec: RunSpec, data: Data, is_strong: bool) -> Callable[[nn.Module, Batch], LossTerms]:
    """Either of the two; `is_strong`: what is learned from is the strong view."""
    loss_of = labelled_loss(spec, data)

    def objective(model: nn.Module, batch: Batch) -> LossTerms:
        pictures = batch.unlabelled
        assert pictures is not None, "TrainBatches makes them for every objective that learns from them"
        views = [pictures.weak] if pictures.strong is None or not is_strong else [pictures.weak, pictures.strong]
        logits = model(torch.cat([batch.images, *views]))
        own, weak, *strong = logits.split([len(batch), *map(len, views)])
        learned = strong[0] if strong else weak
        labels, confident = pseudo_labels(weak, spec.threshold, spec.temperature)
        losses = functional.cross_entropy(learned, labels, reduction="none")  # (U,)
        l_s, l_u = loss_of(own, batch), (confident * losses).mean()
        return LossTerms(
            total=l_s + spec.unlabelled_weight * l_u,
            parts={"labelled_loss": l_s.detach(), "unlabelled_loss": l_u.detach()}
            | _measured(weak, learned, confident, pictures.labels),
            of_classes=_counted(weak, learned, confident, pictures.labels),
        )

    return objective


def pseudo_labels(logits: torch.Tensor, threshold: float, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """What logits of weak views (U, K) are taken for: labels (U,), or soft ones (U, K); and which count, (U,) bool."""
    logits = logits.detach().float()
    surest, classes = logits.softmax(dim=1).max(dim=1)
    labels = (logits / temperature).softmax(dim=1) if temperature else classes
    return labels, surest >= threshold


def _measured(
    weak: torch.Tensor, learned: torch.Tensor, confident: torch.Tensor, hidden: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Shares, () each: of pictures that count, of right ones among these where that is known, of views that agree."""
    classes = weak.detach().argmax(dim=1)
    judged = confident & (hidden >= 0)
    return {
        "mask_rate": confident.float().mean(),
        "pseudo_label_accuracy": (classes == hidden)[judged].float().mean(),  # NaN where there is none
        "agreement": (classes == learned.detach().argmax(dim=1)).float().mean(),
    }


def _counted(
    weak: torch.Tensor, learned: torch.Tensor, confident: torch.Tensor, hidden: torch.Tensor
) -> dict[str, torch.Tensor]:
    """By the class that the weak view is taken for, (K,) each: how many pictures, and how many of these are what."""
    classes = weak.detach().argmax(dim=1)
    agree, known = classes == learned.detach().argmax(dim=1), confident & (hidden >= 0)
    which = {"n": torch.ones_like(confident), "n_confident": confident, "n_known": known,
             "n_right": known & (classes == hidden), "n_agreeing": agree}  # fmt: skip
    return {name: torch.bincount(classes[rows], minlength=weak.shape[1]) for name, rows in which.items()}
