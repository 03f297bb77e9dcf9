"""ResNet-18 (He et al., arXiv 1512.03385), torchvision's."""

import hashlib
import io
from pathlib import Path
from urllib.error import URLError

import torch
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18

from pawprint.errors import PawprintError
from pawprint.network import why_unreachable
from pawprint.types import RunSpec

# Of torchvision's resnet18-f37072fd.pth. Its name holds the first digits, and torch compares these when it downloads;
# what stands in the folder that it keeps downloads in, it would open as it is, pickles and all.
IMAGENET_SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"


def build(spec: RunSpec, n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    """(B, C, H, W) → logits (B, n_classes)."""
    channels = image_shape[0]
    model = resnet18(weights=None, num_classes=n_classes)
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    if spec.dropout:
        model.fc = nn.Sequential(nn.Dropout(spec.dropout), model.fc)
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
            if not kept.is_file():
                kept.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(weights.url, str(kept), IMAGENET_SHA256, progress=False)
            return _unpickled(kept)
        except (URLError, OSError, RuntimeError) as error:  # RuntimeError: the hash is not the file's
            reason = str(error)
    raise PawprintError(
        f"pretrained_source: imagenet: the weights at {weights.url} cannot be had ({reason}). Connect once"
        f" (torchvision keeps them), or put the file into {kept.parent}; or set pretrained_source: drawn_animals,"
        " a source task that needs no network"
    )


def _unpickled(path: Path) -> dict[str, torch.Tensor]:
    """The only pickle that is read: it is the one file, and even so torch may make nothing but tensors of it."""
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != IMAGENET_SHA256:
        raise RuntimeError(f"{path} has the sha256 {found}, expected {IMAGENET_SHA256}: it is another file, delete it")
    return dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
