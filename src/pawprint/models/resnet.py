"""ResNet-18 (He et al., arXiv 1512.03385), torchvision's."""

from pathlib import Path
from urllib.error import URLError

import torch
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18

from pawprint.errors import PawprintError
from pawprint.network import why_unreachable
from pawprint.types import RunSpec


def build(spec: RunSpec, n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """(B, C, H, W) → logits (B, n_classes)."""
    channels = image_shape[0]
    model = resnet18(weights=None, num_classes=n_classes)
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    return model


def imagenet_weights() -> dict[str, torch.Tensor]:
    """The state dict of torchvision's ResNet-18, trained on ImageNet-1k; downloaded once, then torch's own copy.

    Raises PawprintError, within seconds, where it cannot be had.
    """
    weights = ResNet18_Weights.IMAGENET1K_V1
    kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    reason = None if kept.is_file() else why_unreachable(weights.url)
    if reason is None:
        try:
            return dict(weights.get_state_dict(progress=False, check_hash=True))
        except (URLError, OSError, RuntimeError) as error:  # RuntimeError: the hash is not the file's
            reason = str(error)
    raise PawprintError(
        f"pretrained_source: imagenet: the weights at {weights.url} cannot be had ({reason}). Connect once"
        f" (torchvision keeps them), or put the file into {kept.parent}; or set pretrained_source: drawn_animals,"
        " a source task that needs no network"
    )
