"""How good a model is on a split: the one function behind validation, test and every probe."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from pawprint.data.batches import in_order, standardize
from pawprint.types import Data, Evaluation, Split

BATCH_SIZE = 256  # fixed, so that the same weights give the same bytes wherever they are evaluated


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    split: Split,
    data: Data,
    alter: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Evaluation:
    """Accuracy and mean cross-entropy (nats) of `model`, in eval mode and put back as it was.

    `alter` changes the pictures (B, C, H, W), in [0, 1], before they are standardized: what a probe does.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    logits = []
    for images, _ in in_order(split, BATCH_SIZE):
        images = images.to(device)
        logits.append(model(standardize(alter(images) if alter else images, data)).cpu())
    model.train(was_training)
    log_probabilities = torch.cat(logits).double().log_softmax(dim=1)  # (N, K)
    labels = torch.from_numpy(np.array(split.labels))
    return Evaluation(
        loss=-log_probabilities[torch.arange(len(labels)), labels].mean().item(),
        accuracy=(log_probabilities.argmax(dim=1) == labels).double().mean().item(),
        probabilities=log_probabilities.exp().float().numpy(),
    )
