"""One example of a foreign data set: which picture and which label it holds, whatever the form.

Pictures come as PIL's, as arrays or tensors of 8-bit pixels, or as floats that some pipeline has made of them; the
channels first, last or left out.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image

from pawprint.audit.work import AuditError

PAIR = "expected a pair (picture, label)"
PICTURE = "expected a PIL picture, or an array or tensor (C, H, W) or (H, W, C) with 1 or 3 channels"
LABEL = "expected a whole number from 0 on"
GREY_MODES = {"1", "L", "LA"}
WIDE_MODES = {"I", "F"}  # and I;16 …: more than 8 bits

Form = Literal["PIL pictures", "8-bit arrays", "floats"]


class Example(NamedTuple):
    picture: np.ndarray  # (H, W, C) uint8, or (C, H, W) of floats
    label: int
    form: Form


def example(item: Any, where: str) -> Example:
    """What `dataset[i]` gave. Raises AuditError, which names `where`, if it is no picture with a label."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise AuditError(f"{where}: found {_described(item)}, {PAIR}")
    picture, label = item
    if isinstance(picture, Image.Image):
        return Example(_of_pil(picture, where), _label(label, where), "PIL pictures")
    pixels = _of_array(picture, where)
    form: Form = "8-bit arrays" if pixels.dtype == np.uint8 else "floats"
    return Example(pixels, _label(label, where), form)


def _of_pil(picture: Image.Image, where: str) -> np.ndarray:
    if picture.mode[0] in WIDE_MODES:
        raise AuditError(f"{where}: found a PIL picture of mode {picture.mode}, expected 8 bits: L or RGB")
    mode = "L" if picture.mode in GREY_MODES else "RGB"
    pixels = np.asarray(picture.convert(mode))
    return pixels[:, :, None] if mode == "L" else pixels


def _of_array(picture: Any, where: str) -> np.ndarray:
    is_tensor = isinstance(picture, torch.Tensor)
    if not is_tensor and not isinstance(picture, np.ndarray):
        raise AuditError(f"{where}: the picture is {_described(picture)}, {PICTURE}")
    values = _numpy(picture) if is_tensor else picture
    if values.dtype.kind not in "iuf":
        raise AuditError(f"{where}: the picture holds {values.dtype}, expected 8-bit pixels or floats")
    if values.dtype.kind in "iu":
        if values.size and not 0 <= values.min() <= values.max() <= 255:
            raise AuditError(
                f"{where}: whole numbers from {values.min()} to {values.max()}, expected pixels in 0 to 255"
            )
        return np.ascontiguousarray(_channels_first(values, not is_tensor, where).transpose(1, 2, 0).astype(np.uint8))
    if not np.isfinite(values).all():
        raise AuditError(f"{where}: the picture holds values that are not finite")
    return np.ascontiguousarray(_channels_first(values, False, where))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _channels_first(values: np.ndarray, last_is_usual: bool, where: str) -> np.ndarray:
    """(C, H, W) of a picture in any order of its dimensions."""
    if values.ndim == 2:
        return values[None]
    is_first, is_last = (values.ndim == 3 and values.shape[dim] in (1, 3) for dim in (0, -1))
    if not (is_first or is_last) or 0 in values.shape:
        raise AuditError(f"{where}: the picture's shape is {values.shape}, {PICTURE}")
    return values.transpose(2, 0, 1) if is_last and (last_is_usual or not is_first) else values


def _label(label: Any, where: str) -> int:
    value = label
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        if value.size != 1 if isinstance(value, np.ndarray | np.generic) else value.numel() != 1:
            raise AuditError(f"{where}: the label has shape {tuple(value.shape)}, {LABEL}")
        value = value.item()
    if not isinstance(value, int) or value < 0:
        raise AuditError(f"{where}: the label is {label!r}, {LABEL}")
    return int(value)


def _described(item: Any) -> str:
    if isinstance(item, dict):
        return f"a dict with the keys {', '.join(map(str, item))}"
    if isinstance(item, tuple | list):
        return f"a {type(item).__name__} of {len(item)}"
    shape = getattr(item, "shape", None)
    return f"a {type(item).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")
