"""Models by name: factories of (spec, number of classes, picture shape (C, H, W))."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from pawprint.errors import PawprintError
from pawprint.models import cnn, mlp
from pawprint.tensors import read_tensors, why_unfit
from pawprint.types import Data, RunSpec


def _resnet18(spec: RunSpec, n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    from pawprint.models import resnet  # torchvision's import takes seconds

    return resnet.build(spec, n_classes, image_shape)


MODELS: dict[str, Callable[[RunSpec, int, tuple[int, int, int]], nn.Module]] = {
    "resnet18": _resnet18,
    "mlp": mlp.build,
    "cnn": cnn.build,
}
HEADS = {"resnet18": "fc."}  # what pretrained weights do not fill: the layer that knows the source task's classes


def build_model(spec: RunSpec, data: Data) -> nn.Module:
    """The architecture, its weights drawn from torch's generator, with one output a class."""
    model = MODELS[spec.model](spec, len(data.class_names), data.image_shape)
    return model.to(memory_format=torch.channels_last)  # 1.3-1.9 times as fast for convolutions on a CPU


def starting_model(spec: RunSpec, data: Data, start: Path | None) -> nn.Module:
    """The model as a training begins with it; `start` is the file of weights for a pretrained one.

    All but the head is pretrained, the head is drawn from torch's generator. Raises PawprintError where there is no
    such file, or it is damaged or does not fit.
    """
    model = build_model(spec, data)
    if not spec.pretrained:
        return model
    if start is None or not start.exists():
        raise PawprintError(f"{spec.variant}: pretrained: true needs {start}, which is not there; run: dvc repro start")
    head = HEADS[spec.model]
    own = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(head)}
    given = {name: tensor for name, tensor in read_tensors(start).by_name.items() if not name.startswith(head)}
    difference = why_unfit(given | own, model.state_dict())
    if difference:
        channels = data.image_shape[0]
        raise PawprintError(
            f"{start}: these weights do not fit {spec.model} for pictures of {channels} channels: {difference}"
        )
    model.load_state_dict(given | own)
    return model
