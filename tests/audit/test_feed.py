"""What pictures are normalized by is read off what comes out, exactly where 8-bit pixels went in."""

import numpy as np
import pytest
import torch

from pawprint.audit.feed import Encoded, Usual, encode, recover
from pawprint.data.statistics import CIFAR10, IMAGENET, Statistics

RNG_SEED = 0
ZERO_TO_ONE = Statistics((0.0,) * 3, (1.0,) * 3)
HALF = Statistics((0.5,) * 3, (0.5,) * 3)
RANGE_255 = Statistics((0.0,) * 3, (1 / 255,) * 3)
OWN = Statistics((0.46234567, 0.4412, 0.40021), (0.19101234, 0.1827, 0.1671))
TWICE = Statistics((0.596065, 0.558144, 0.49735), (0.052441, 0.050176, 0.050625))  # ImageNet's, two times
DIVIDED_TWICE = Statistics((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # (pixel / 255² - mean) / std


def pixels(low: int = 0, high: int = 255, n: int = 40, n_channels: int = 3) -> np.ndarray:
    """(N, H, W, C) uint8; every value from `low` to `high` occurs in each channel."""
    images = np.random.default_rng(RNG_SEED).integers(low, high + 1, (n, 16, 16, n_channels))
    images[0].reshape(-1, n_channels)[: high - low + 1] = np.arange(low, high + 1)[: 16 * 16, None]
    return images.astype(np.uint8)


def fed(images: np.ndarray, by: Statistics, dtype: torch.dtype = torch.float32) -> list[np.ndarray]:
    """As ToTensor and Normalize feed them, (C, H, W) each."""
    mean, std = (torch.tensor(values, dtype=dtype)[:, None, None] for values in (by.mean, by.std))
    return [((torch.from_numpy(i).permute(2, 0, 1).to(dtype) / 255 - mean) / std).numpy() for i in images]


def back(encoded: Encoded, by: Statistics) -> np.ndarray:
    return np.stack(encoded.pixels(by))


@pytest.mark.parametrize("by", [IMAGENET, CIFAR10, HALF, OWN, ZERO_TO_ONE, RANGE_255, TWICE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_statistics_and_pixels_are_recovered(by: Statistics, dtype: torch.dtype) -> None:
    images = pixels()
    encoded = encode(fed(images, by, dtype))
    found = recover(encoded.channels)
    assert found.certainty == "exact"
    assert np.allclose(found.statistics.mean, by.mean, atol=1e-6)
    assert np.allclose(found.statistics.std, by.std, atol=1e-6)
    assert encoded.max_error < 1e-3
    assert np.array_equal(back(encoded, found.statistics), images)


def test_pixels_divided_by_255_twice_are_recovered() -> None:
    images = pixels()
    found = recover(encode(fed(images / 255, IMAGENET)).channels)  # what ToTensor gives, divided again
    assert found.certainty == "exact"
    assert np.allclose(found.statistics.mean, 255 * np.array(IMAGENET.mean), rtol=1e-4)
    assert np.allclose(found.statistics.std, 255 * np.array(IMAGENET.std), rtol=1e-4)


def test_half_precision_is_recovered_where_its_rounding_leaves_a_lattice() -> None:
    images = pixels()
    encoded = encode(fed(images, IMAGENET, torch.float16))
    found = recover(encoded.channels)
    assert (found.by, found.certainty) == ("ImageNet's statistics", "exact")
    assert np.array_equal(back(encoded, found.statistics), images)


@pytest.mark.parametrize(
    ("by", "name"),
    [
        (IMAGENET, "ImageNet's statistics"),
        (CIFAR10, "CIFAR-10's statistics"),
        (HALF, "mean 0.5 and standard deviation 0.5"),
        (ZERO_TO_ONE, "none: pixels in 0 to 1"),
        (RANGE_255, "none: pixels in 0 to 255"),
        (OWN, "statistics of its own"),
    ],
)
def test_usual_statistics_are_named(by: Statistics, name: str) -> None:
    assert recover(encode(fed(pixels(), by)).channels).by == name


@pytest.mark.parametrize("by", [IMAGENET, CIFAR10, HALF, ZERO_TO_ONE])
@pytest.mark.parametrize(("low", "high"), [(9, 255), (0, 240), (20, 230), (60, 110)])
def test_dark_and_pale_pictures_are_placed_by_the_usual_statistics(by: Statistics, low: int, high: int) -> None:
    images = pixels(low, high)
    encoded = encode(fed(images, by))
    found = recover(encoded.channels)
    assert (found.statistics, found.certainty) == (by, "exact")
    assert np.array_equal(back(encoded, found.statistics), images)


def test_dark_pictures_are_placed_by_statistics_of_few_decimals() -> None:
    by = Statistics((0.31, 0.337, 0.351), (0.212, 0.201, 0.198))
    found = recover(encode(fed(pixels(12, 230), by)).channels)
    assert (found.statistics, found.certainty) == (by, "exact")


def test_dark_pictures_of_odd_statistics_are_called_estimated() -> None:
    images = pixels(12, 230)
    encoded = encode(fed(images, OWN))
    found = recover(encoded.channels)
    assert found.certainty == "estimated"
    assert found.statistics.std == pytest.approx(OWN.std, abs=1e-6)  # the spacing is beyond doubt
    assert back(encoded, found.statistics).min() == 0
    assert "the darkest" in found.by


def test_dark_pictures_take_over_what_another_part_shows() -> None:
    images = pixels(12, 230)
    encoded = encode(fed(images, OWN))
    found = recover(encoded.channels, [Usual("as train", OWN)])
    assert (found.statistics, found.certainty, found.by) == (OWN, "exact", "as train")
    assert np.array_equal(back(encoded, found.statistics), images)


@pytest.mark.parametrize("by", [ZERO_TO_ONE, HALF, IMAGENET])
def test_black_and_white_pictures_are_told_by_the_usual_statistics(by: Statistics) -> None:
    images = (pixels() > 127).astype(np.uint8) * 255
    encoded = encode(fed(images, by))
    found = recover(encoded.channels)
    assert found.statistics == by
    assert np.array_equal(back(encoded, found.statistics), images)


def test_digits_of_17_levels_are_estimated_to_reach_from_black_to_white() -> None:
    levels = np.random.default_rng(RNG_SEED).integers(0, 17, (30, 1, 8, 8))
    encoded = encode(list((levels / 16).astype(np.float32)))
    found = recover(encoded.channels)
    assert found.statistics == Statistics((0.0,), (1.0,))
    assert np.array_equal(back(encoded, found.statistics)[..., 0], np.rint(levels[:, 0] * 255 / 16))


def test_levels_that_few_pictures_have_are_still_found() -> None:
    """Of 400 pictures only the third has odd pixels, and the first look passes over it."""
    images = (pixels(n=400) // 2) * 2
    images[2] = 101
    encoded = encode(fed(images, IMAGENET))
    found = recover(encoded.channels)
    assert (found.statistics, found.certainty) == (IMAGENET, "exact")
    assert np.array_equal(back(encoded, found.statistics), images)


def test_a_constant_picture_is_placed_by_the_usual_statistics() -> None:
    found = recover(encode(fed(np.full((3, 8, 8, 3), 128, np.uint8), ZERO_TO_ONE)).channels)
    assert found.statistics == ZERO_TO_ONE


def test_zeros_filled_in_after_normalization_hide_nothing() -> None:
    images = pixels()
    pictures = fed(images, OWN)
    for picture in pictures[::2]:
        picture[:, :4, :4] = 0
    encoded = encode(pictures)
    found = recover(encoded.channels)
    assert found.certainty == "exact"
    assert np.allclose(found.statistics.mean, OWN.mean, atol=1e-6)
    assert all(channel.has_fill for channel in encoded.channels)
    assert np.array_equal(back(encoded, found.statistics)[1::2], images[1::2])


def blurred(by: Statistics) -> list[np.ndarray]:
    """Resized as floats, then normalized."""
    unit = torch.from_numpy(pixels()).permute(0, 3, 1, 2) / 255
    small = torch.nn.functional.interpolate(unit, 21, mode="bilinear")
    mean, std = (torch.tensor(values)[:, None, None] for values in (by.mean, by.std))
    return list(((small - mean) / std).numpy())


@pytest.mark.parametrize("by", [IMAGENET, HALF, ZERO_TO_ONE, RANGE_255])
def test_values_on_no_lattice_are_estimated_by_their_range(by: Statistics) -> None:
    found = recover(encode(blurred(by)).channels)
    assert (found.statistics, found.certainty) == (by, "estimated")


def test_values_on_no_lattice_take_over_what_another_part_shows() -> None:
    channels = encode(blurred(OWN)).channels
    assert recover(channels).statistics.std == pytest.approx(OWN.std, rel=0.05)
    assert recover(channels, [Usual("as test", OWN)]).statistics == OWN
    # But not what it contradicts: a test set that is normalized otherwise.
    assert recover(encode(blurred(IMAGENET)).channels, [Usual("as test", CIFAR10)]).statistics == IMAGENET


def test_codes_of_values_on_no_lattice_are_within_half_a_level() -> None:
    pictures = blurred(OWN)
    encoded = encode(pictures)
    assert encoded.max_error <= 0.5 + 1e-6
    statistics = recover(encoded.channels).statistics
    mean, std = (np.array(values)[:, None, None] for values in (statistics.mean, statistics.std))
    again = (encoded.pixels(statistics)[0].transpose(2, 0, 1) / 255 - mean) / std
    assert np.abs(again - pictures[0]).max() < 0.51 / 255 / min(statistics.std)
