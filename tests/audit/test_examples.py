"""Whatever form a picture and a label have: the same picture, or an error that says what was expected."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

from pawprint.audit.examples import example
from pawprint.audit.work import AuditError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
UNIT = torch.from_numpy(PIXELS).permute(2, 0, 1) / 255


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(PIXELS),
        PIXELS,
        PIXELS.transpose(2, 0, 1),
        torch.from_numpy(PIXELS),
        torch.from_numpy(PIXELS).permute(2, 0, 1),
        torch.from_numpy(PIXELS.astype(np.int64)),
        tv_tensors.Image(torch.from_numpy(PIXELS).permute(2, 0, 1)),
    ],
    ids=["pil", "array_hwc", "array_chw", "tensor_hwc", "tensor_chw", "whole_numbers", "tv_tensor"],
)
def test_eight_bits_come_out_with_the_channels_last(picture: Any) -> None:
    found = example((picture, 1), "train[0]")
    assert found.picture.dtype == np.uint8
    assert np.array_equal(found.picture, PIXELS)


@pytest.mark.parametrize(
    "picture",
    [UNIT, UNIT.permute(1, 2, 0), UNIT.numpy(), UNIT.permute(1, 2, 0).numpy(), UNIT.double(), UNIT.requires_grad_()],
    ids=["tensor_chw", "tensor_hwc", "array_chw", "array_hwc", "float64", "requires_grad"],
)
def test_floats_come_out_with_the_channels_first(picture: Any) -> None:
    found = example([picture, 1], "train[0]")
    assert found.form == "floats"
    assert np.allclose(found.picture, UNIT.detach().numpy())


def test_grey_pictures_have_one_channel() -> None:
    grey = PIXELS[:, :, 0]
    for picture in (Image.fromarray(grey), grey, torch.from_numpy(grey), torch.from_numpy(grey)[None]):
        assert example((picture, 0), "train[0]").picture.shape == (6, 5, 1)
    assert example((torch.rand(6, 5), 0), "train[0]").picture.shape == (1, 6, 5)
    assert example((Image.fromarray(grey).convert("1"), 0), "train[0]").picture.shape == (6, 5, 1)


def test_a_picture_as_small_as_its_channels_is_read_as_its_form_has_it() -> None:
    cube = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert np.array_equal(example((cube, 0), "")[0], cube)
    assert np.array_equal(example((torch.from_numpy(cube), 0), "")[0], cube.transpose(1, 2, 0))


@pytest.mark.parametrize("label", [2, np.int64(2), torch.tensor(2), torch.tensor([2]), np.array(2), np.uint8(2)])
def test_labels_are_whole_numbers_in_any_wrapping(label: Any) -> None:
    assert example((PIXELS, label), "train[0]").label == 2


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"image": PIXELS, "label": 1}, "a dict with the keys image, label, expected a pair"),
        ((PIXELS, 1, "cat.jpg"), "a tuple of 3, expected a pair"),
        (UNIT.detach(), "a Tensor of shape (3, 6, 5), expected a pair"),
        (("cat.jpg", 1), "the picture is a str, expected a PIL picture"),
        ((torch.rand(784), 1), "shape is (784,), expected"),
        ((torch.rand(4, 8, 8), 1), "shape is (4, 8, 8), expected"),
        ((torch.rand(2, 3, 8, 8), 1), "shape is (2, 3, 8, 8), expected"),
        ((torch.full((3, 8, 8), torch.nan), 1), "not finite"),
        ((PIXELS.astype(np.int64) * 9, 1), "expected pixels in 0 to 255"),
        ((PIXELS > 9, 1), "holds bool"),
        ((Image.fromarray(PIXELS[:, :, 0].astype(np.int32)), 1), "mode I, expected 8 bits"),
        ((PIXELS, "cat"), "the label is 'cat', expected a whole number"),
        ((PIXELS, 1.0), "the label is 1.0, expected a whole number"),
        ((PIXELS, -1), "the label is -1, expected a whole number"),
        ((PIXELS, torch.tensor([0, 0, 1])), "the label has shape (3,), expected a whole number"),
    ],
)
def test_what_is_no_labelled_picture_is_refused_with_its_place(item: Any, said: str) -> None:
    with pytest.raises(AuditError) as error:
        example(item, "train[7]")
    assert str(error.value).startswith("train[7]: ")
    assert said in str(error.value)
