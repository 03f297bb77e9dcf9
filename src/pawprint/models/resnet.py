"""ResNet-18 (He et al., arXiv 1512.03385), torchvision's."""

from urllib.error import URLError

import torch
from torch import nn
from torchvision.models import ResNet, ResNet18_Weights, resnet18

from pawprint.errors import PawprintError
from pawprint.types import RunSpec


def build(spec: RunSpec, n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """(B, C, H, W) → logits (B, n_classes). `spec.pretrained`: ImageNet weights and a new head."""
    channels = image_shape[0]
    if spec.pretrained:
        if channels != 3:
            raise PawprintError(f"pretrained: ImageNet weights take pictures of 3 channels, found {channels}")
        model = _imagenet()
        model.fc = nn.Linear(model.fc.in_features, n_classes)
        return model
    model = resnet18(weights=None, num_classes=n_classes)
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    return model


def _imagenet() -> ResNet:
    weights = ResNet18_Weights.IMAGENET1K_V1
    try:
        return resnet18(weights=weights)
    except (URLError, OSError) as error:
        raise PawprintError(
            f"pretrained: true needs ImageNet's weights from {weights.url}, which cannot be had ({error}). "
            "Connect once (torchvision keeps them), or put the file into "
            f"{torch.hub.get_dir()}/checkpoints, or set pretrained: false"
        ) from None
