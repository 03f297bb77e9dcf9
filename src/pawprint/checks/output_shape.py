"""Does the model's output fit the labels?

Method: the model, in eval mode, answers a batch, a single example and an odd number of them; the answers must be
finite and (B, number of classes), and every label of the data an index into them. Limit: exact. A head of another
width trains without an error as long as no label lies beyond it, and then never predicts, or always may
predict, classes that do not exist.
"""

import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from pawprint.checks import CheckSubject
from pawprint.types import STRICT, Finding


@dataclass(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    batch_sizes: tuple[int, ...] = (1, 3)  # tried beside the training's own


@torch.inference_mode()
def run(subject: CheckSubject, settings: Settings) -> Finding:
    """Faults are counted; the first is the reading."""
    data, images = subject.data, subject.batch.images
    n_classes = len(data.class_names)
    faults = _label_faults(subject, n_classes)
    subject.model.eval()
    width = 0
    for size in (len(images), *settings.batch_sizes):
        rows = images[:size]
        logits = subject.model(rows)
        width = logits.shape[-1]
        if tuple(logits.shape) != (len(rows), n_classes):
            faults.append(
                f"for {len(rows)} pictures the model's output is {tuple(logits.shape)}, "
                f"expected ({len(rows)}, {n_classes}): one number for each class"
            )
        elif not torch.isfinite(logits).all():
            faults.append(f"for {len(rows)} pictures the output holds numbers that are not finite")
    return Finding(
        name="output_shape",
        question="Does the model's output fit the labels?",
        numbers={"n_faults": len(faults), "n_outputs": width, "n_classes": n_classes},
        passed=not faults,
        limit="no fault",
        reading=faults[0] if faults else f"{width} outputs for {n_classes} classes, finite, at every batch size",
        remedy="give the head one output per class, and labels from 0 to n_classes - 1" if faults else None,
    )


def _label_faults(subject: CheckSubject, n_classes: int) -> list[str]:
    faults = []
    data = subject.data
    for name, split in (("train", data.train), ("val", data.val), ("test", data.test)):
        labels = np.asarray(split.labels)
        if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
            faults.append(f"{name}'s labels go from {labels.min()} to {labels.max()}, expected 0 to {n_classes - 1}")
    return faults
