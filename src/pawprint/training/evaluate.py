"""How good a model is on a split: the one function behind validation, test and every probe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.metrics import f1_score, recall_score
from torch import nn

from pawprint.data.batches import in_order, standardize
from pawprint.types import Data, Evaluation, Split

BATCH_SIZE = 256  # fixed, so that the same weights give the same bytes wherever they are evaluated


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Every module in eval mode, and each put back by itself: frozen parts may be in eval mode while others train."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    split: Split,
    data: Data,
    alter: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Evaluation:
    """The scores and probabilities of `model`, in eval mode and put back as it was.

    Balanced accuracy and macro-F1 are means over the classes that the split holds.

    `alter` changes the pictures (B, C, H, W), in [0, 1], before they are standardized: what a probe does.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    logits = []
    with eval_mode(model):
        for images, _ in in_order(split, BATCH_SIZE):
            images = images.to(device)
            logits.append(model(standardize(alter(images) if alter else images, data)).cpu())
    log_probabilities = torch.cat(logits).double().log_softmax(dim=1)  # (N, K)
    labels = torch.from_numpy(np.array(split.labels))
    predictions = log_probabilities.argmax(dim=1)
    per_class = {"labels": np.unique(split.labels), "average": "macro", "zero_division": 0}
    return Evaluation(
        loss=-log_probabilities[torch.arange(len(labels)), labels].mean().item(),
        accuracy=(predictions == labels).double().mean().item(),
        balanced_accuracy=float(recall_score(labels, predictions, **per_class)),
        macro_f1=float(f1_score(labels, predictions, **per_class)),
        probabilities=log_probabilities.exp().float().numpy(),
    )
