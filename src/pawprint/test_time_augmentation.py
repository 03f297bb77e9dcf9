"""Test-time augmentation: a picture is answered by the average of a model's answers to several views of it.

Sets of views, of pictures in [0, 1] and before standardization. Each begins with the picture as it is:

- `flip`: and its mirror image.
- `crops`: and its four corners and center, `crop_percent` of each side, drawn to the full size again. With flips these
  are the ten crops of Krizhevsky et al. (2017, Communications of the ACM 60:84), whose 224 of 256 pixels are 87.5 %.
- `rotations`: and turned about its center by each of `degrees`, counter-clockwise.
- `scales`: and drawn larger or smaller about its center by each of `scales`.
- `all`: every view of these, once.

What a view brings in from outside the picture has the color `fill`: train's mean, which standardization makes 0.

Ways of averaging. View v of V is answered by the logits z_v and the probabilities p_v = softmax(z_v):

    logits          p = softmax(Σ_v z_v / V), which is the geometric mean of the p_v, made to sum to 1
    probabilities   p = Σ_v p_v / V
    vote            p = (n + Σ_v p_v / V) / (V + 1), n_k the number of views that are answered by class k

They are the product, sum and vote rules of Kittler et al. (1998, IEEE TPAMI 20:226). In the vote, the mean of
probabilities is one voter more, whose vote is divided: as it is never a whole vote ahead, it decides ties and nothing
else, and p sums to 1. Logits are taken up to a constant of each picture and view, which softmax does not see.

The cost is V forward passes a picture instead of one, whichever way they are averaged.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

import torch
from torch.nn.functional import one_hot
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import affine, resized_crop, rotate

# A model, whatever runs it: batches of pictures (B, C, H, W) in [0, 1] → log-probabilities (N, K) float64 of them all.
Answer = Callable[[Iterable[torch.Tensor]], torch.Tensor]
View = Callable[[torch.Tensor], torch.Tensor]  # pictures (B, C, H, W) in [0, 1] → as many of the same shape
ViewSet = Literal["flip", "crops", "rotations", "scales", "all"]
Way = Literal["logits", "probabilities", "vote"]

DEGREES = (-10.0, 10.0)
SCALES = (0.9, 1.1)
CROP_PERCENT = 87.5  # of each side
AS_IT_IS = "as it is"  # the first view of every set
PLACES = {  # of crops: how much of what is cut away, is cut at the top and on the left
    "top left": (0.0, 0.0),
    "top right": (0.0, 1.0),
    "bottom left": (1.0, 0.0),
    "bottom right": (1.0, 1.0),
    "center": (0.5, 0.5),
}


def view_sets(
    fill: Sequence[float],
    degrees: Sequence[float] = DEGREES,
    scales: Sequence[float] = SCALES,
    crop_percent: float = CROP_PERCENT,
) -> dict[ViewSet, dict[str, View]]:
    """The views of each set, by name; a name means the same view in every set."""
    color = list(fill)
    flip: dict[str, View] = {"mirrored": mirror}
    crops: dict[str, View] = {
        f"{name}, {crop_percent:g} %": partial(crop, place=place, percent=crop_percent)
        for name, place in PLACES.items()
    }
    rotations: dict[str, View] = {f"turned by {d:g}°": partial(turn, angle=d, fill=color) for d in degrees}
    zooms: dict[str, View] = {f"scaled by {s:g}": partial(scale, factor=s, fill=color) for s in scales}
    sets: dict[ViewSet, dict[str, View]] = {
        "flip": flip, "crops": crops, "rotations": rotations, "scales": zooms,
        "all": {**flip, **crops, **rotations, **zooms},
    }  # fmt: skip
    return {name: {AS_IT_IS: as_it_is, **views} for name, views in sets.items()}


def answers_to_views(answer: Answer, batches: Iterable[torch.Tensor], views: Sequence[View]) -> torch.Tensor:
    """Log-probabilities of each view of each picture, (V, N, K) float64.

    `batches`: pictures (B, C, H, W) in [0, 1], where the model is.
    """
    answers = [answer(view(images) for view in views).unflatten(0, (len(views), len(images))) for images in batches]
    return torch.cat(answers, dim=1)


def averaged(answers: torch.Tensor, way: Way) -> torch.Tensor:
    """Probabilities (N, K) out of the log-probabilities of each view, (V, N, K)."""
    if way == "logits":
        return answers.mean(dim=0).softmax(dim=1)
    mean = answers.exp().mean(dim=0)
    if way == "probabilities":
        return mean
    n_views, _, n_classes = answers.shape
    votes = one_hot(answers.argmax(dim=2), n_classes).sum(dim=0)
    return (votes + mean) / (n_views + 1)


def augmented_probabilities(
    answer: Answer, batches: Iterable[torch.Tensor], views: Sequence[View], way: Way
) -> torch.Tensor:
    """The answer to pictures by all `views` of them, (N, K) float64; arguments as of `answers_to_views`."""
    return averaged(answers_to_views(answer, batches, views), way)


def as_it_is(images: torch.Tensor) -> torch.Tensor:
    return images


def mirror(images: torch.Tensor) -> torch.Tensor:
    """Pictures (B, C, H, W), left for right."""
    return images.flip(3)


def crop(images: torch.Tensor, place: tuple[float, float], percent: float) -> torch.Tensor:
    """A part of pictures (B, C, H, W), `percent` of each side, drawn to the full size; `place` is one of PLACES."""
    height, width = images.shape[2:]
    rows, columns = (max(1, round(side * percent / 100)) for side in (height, width))
    top, left = round(place[0] * (height - rows)), round(place[1] * (width - columns))
    return resized_crop(images, top, left, rows, columns, [height, width], InterpolationMode.BILINEAR)


def turn(images: torch.Tensor, angle: float, fill: list[float]) -> torch.Tensor:
    """Pictures (B, C, H, W) turned counter-clockwise by `angle` degrees; `fill` is the color of what was outside."""
    is_square = images.shape[2] == images.shape[3]
    if angle % (90 if is_square else 180) == 0:
        return torch.rot90(images, round(angle / 90), dims=(2, 3))
    return rotate(images, angle, InterpolationMode.BILINEAR, fill=fill)


def scale(images: torch.Tensor, factor: float, fill: list[float]) -> torch.Tensor:
    """Pictures (B, C, H, W) drawn larger by `factor` about their center; `fill` is the color of what was outside."""
    return affine(
        images, angle=0.0, translate=[0, 0], scale=factor, shear=[0.0, 0.0],
        interpolation=InterpolationMode.BILINEAR, fill=fill,
    )  # fmt: skip
