"""Which part of a picture does an answer rest on?

Method: Grad-CAM (Selvaraju et al., arXiv 1610.02391, eq. 1 and 2), computed by captum: the maps of the last
convolutional layer, each weighted by the mean gradient of the class's logit in it, added up, and what is negative cut
off. The layer is found in what the network computes (`layers.py`): the last output of the shape of the last convolution
whose maps have `FEWEST_PLACES` a side, so that normalization, residual sum and activation after it are included. The
paper takes the last of all; of small pictures that leaves 2 x 2 places (ResNet-18 on 64 px), which tell nothing apart.

A network without convolution has no such maps: there it is the gradient of the logit by the input, its size added up
over the channels (saliency; Simonyan et al., arXiv 1312.6034), which names pixels that a small change of would matter.

Limits: a map is as coarse as the layer's and says where, not what; a gradient of zero (a saturated or dead network)
gives an empty map. Neither says that the answer would be another without that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from pawprint.errors import PawprintError
from pawprint.inspection.layers import Call
from pawprint.inspection.undisturbed import undisturbed

FEWEST_PLACES = 4  # height and width of maps that Grad-CAM is asked of, where there are such
Method = Literal["Grad-CAM", "input gradients"]


class NoGradient(PawprintError):
    """The network lets no gradient through to where it is asked for."""


@dataclass(frozen=True)
class Evidence:
    """Where in each picture the answers rest, by one method."""

    method: Method
    layer: str | None  # of Grad-CAM
    resolution: tuple[int, int]  # height, width of the maps before they were enlarged
    maps: torch.Tensor  # (B, H, W) on the CPU, not negative, of the pictures' size; all 0: none found

    @property
    def words(self) -> str:
        """How it was made."""
        if self.layer is None:
            return "input gradients, as the network has no convolution"
        return f"Grad-CAM at {self.layer}, {self.resolution[0]} × {self.resolution[1]} places"


def last_maps(calls: Sequence[Call]) -> Call | None:
    """The last call with what the last convolution found, of a module that is called once if there is one.

    Of convolutions, those with `FEWEST_PLACES` a side; where there are none, those with the most.
    """
    convolutions = [c for c in calls if isinstance(c.module, nn.Conv2d) and c.is_spatial]
    if not convolutions:
        return None
    enough = min(FEWEST_PLACES, max(min(c.shape[1:]) for c in convolutions))
    last = [c for c in convolutions if min(c.shape[1:]) >= enough][-1]
    after = [c for c in calls[calls.index(last) :] if c.shape == last.shape and c.layer]
    once = [c for c in after if c.n_calls == 1]
    return (once or after or [last])[-1]


def evidence(model: nn.Module, images: torch.Tensor, classes: torch.Tensor, calls: Sequence[Call]) -> Evidence:
    """For each picture (B, C, H, W) the evidence for its class in `classes` (B,); `calls` are of the model.

    Raises NoGradient if none arrives.
    """
    from captum.attr import LayerAttribution, LayerGradCam, Saliency  # half a second, which most commands do without

    layer, size = last_maps(calls), (images.shape[2], images.shape[3])
    with undisturbed(model), torch.enable_grad():
        given = images.detach().clone().requires_grad_()
        try:
            if layer is None:
                maps = Saliency(model).attribute(given, target=classes).sum(dim=1, keepdim=True)
            else:
                maps = LayerGradCam(model, layer.module).attribute(given, classes, relu_attributions=True)
        except RuntimeError as error:
            if not any(word in str(error) for word in ("require grad", "differentiated")):
                raise
            where = layer.title if layer else "the input"
            raise NoGradient(f"no gradient reaches {where}: {str(error).partition(chr(10))[0]}") from error
    maps = maps.detach()
    enlarged = LayerAttribution.interpolate(maps, size, interpolate_mode="bilinear")
    return Evidence(
        method="Grad-CAM" if layer else "input gradients",
        layer=layer.title if layer else None,
        resolution=(maps.shape[2], maps.shape[3]),
        maps=enlarged[:, 0].cpu(),
    )


def central_share(maps: torch.Tensor) -> torch.Tensor:
    """Of each map (B, H, W) the share inside the central half of height and width, (B,); NaN where it is all 0.

    A map that is even all over has 0.25 there (of pictures with sides divisible by 4).
    """
    height, width = maps.shape[1:]
    center = maps[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
    return center.double().sum(dim=(1, 2)) / maps.double().sum(dim=(1, 2))
