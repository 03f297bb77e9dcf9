"""How good a model is on a split: the one function behind validation, test and every probe."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from pawprint.data.batches import in_order, standardize
from pawprint.data.share import WHOLE, Share
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
def log_probabilities(model: nn.Module, batches: Iterable[torch.Tensor], data: Data) -> torch.Tensor:
    """What `model` makes of pictures (B, C, H, W) in [0, 1], (N, K) float64; it is put back as it was."""
    with eval_mode(model):
        logits = [model(standardize(images, data)).cpu() for images in batches]
    if not logits:  # of few pictures a process may have none
        return torch.empty(0, len(data.class_names), dtype=torch.float64)
    return torch.cat(logits).double().log_softmax(dim=1)


def evaluate(
    model: nn.Module,
    split: Split,
    data: Data,
    alter: Callable[[torch.Tensor], torch.Tensor] | None = None,
    share: Share = WHOLE,
) -> Evaluation:
    """The scores and probabilities of `model`, in eval mode and put back as it was.

    Balanced accuracy and macro-F1 are means over the classes that the split holds.

    `alter` changes the pictures (B, C, H, W), in [0, 1], before they are standardized: what a probe does. Of several
    processes each looks at its `share`, and has the result of all.
    """
    from sklearn.metrics import precision_recall_fscore_support  # seconds, which predicting does without

    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    batches = (images.to(device) for images, _ in in_order(split, BATCH_SIZE, share.of_all(len(split))))
    answers = share.joined(log_probabilities(model, map(alter, batches) if alter else batches, data))
    labels = torch.from_numpy(np.array(split.labels))
    predictions = answers.argmax(dim=1)
    _, recall, f1, _ = precision_recall_fscore_support(
        labels, predictions, labels=np.unique(split.labels), average="macro", zero_division=0
    )
    return Evaluation(
        loss=-answers[torch.arange(len(labels)), labels].mean().item(),
        accuracy=(predictions == labels).double().mean().item(),
        balanced_accuracy=float(recall),
        macro_f1=float(f1),
        probabilities=answers.exp().float().numpy(),
    )
