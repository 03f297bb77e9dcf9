"""Mean and standard deviation of pictures by channel, and those that are in common use."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


# Of ImageNet, as torchvision's weights want them; of CIFAR-10's 50,000 training pictures.
IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = Statistics((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def statistics_of(batches: Iterable[torch.Tensor]) -> Statistics:
    """Of pictures (B, C, H, W), over all of them and all positions."""
    n, total, squares = 0, torch.zeros(1), torch.zeros(1)
    for images in batches:
        values = images.double().transpose(0, 1).flatten(1)  # (C, values)
        n += values.shape[1]
        total, squares = total + values.sum(dim=1), squares + (values**2).sum(dim=1)
    mean = total / n
    return Statistics(tuple(mean.tolist()), tuple((squares / n - mean**2).clamp(min=0).sqrt().tolist()))
