"""Views: each step against a slow reference, and each example by its own draw."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from pawprint.data.views import (
    ColorJitter,
    Cutout,
    Drawn,
    Erasing,
    FlipAndShift,
    RandAugment,
    ResizedCrop,
    Step,
    View,
    steps_of,
)
from pawprint.types import RunSpec

GRAY = (127.0, 127.0, 127.0)
STEPS: dict[str, Step] = {
    "flip and shift": FlipAndShift(flip=True, largest_shift=2),
    "resized crop": ResizedCrop(0.3),
    "color jitter": ColorJitter(0.4),
    "randaugment": RandAugment(2, 30, GRAY),
    "cutout": Cutout(6, GRAY),
    "erasing": Erasing(50, GRAY),
}


def pictures(n: int, side: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def seen(step: Step, images: np.ndarray, number: int = 1, seed: int = 0) -> tuple[np.ndarray, Drawn]:
    view = View([step], seed)
    drawn = tuple(values.numpy() for values in view.draw(number, len(images))[0])
    return looked_at(view, images, number, np.arange(len(images))), drawn


def looked_at(view: View, images: np.ndarray, number: int, rows: np.ndarray) -> np.ndarray:
    """The pictures in `rows` of a set."""
    drawn = view.draw(number, len(images))
    return view(torch.from_numpy(images[rows]), drawn, torch.from_numpy(rows)).numpy()


@pytest.mark.parametrize("name", STEPS)
def test_an_examples_view_does_not_depend_on_its_batch(name: str) -> None:
    view, images = View([STEPS[name]], seed=3), pictures(9)
    together = looked_at(view, images, 2, np.arange(9))
    rows = np.array([4, 0, 8])
    assert np.array_equal(together[rows], looked_at(view, images, 2, rows))
    assert together.dtype == np.uint8
    assert together.shape == images.shape


@pytest.mark.parametrize("name", STEPS)
def test_views_differ_between_passes_seeds_and_purposes(name: str) -> None:
    images = pictures(40)
    shown = [seen(STEPS[name], images, *which)[0] for which in ((1, 0), (2, 0), (1, 1))]
    other = View([STEPS[name]], 0, "other")
    shown.append(looked_at(other, images, 1, np.arange(40)))
    assert len({view.tobytes() for view in (*shown, images)}) == 5


@pytest.mark.parametrize("name", ["randaugment"])
def test_what_torchvision_draws_leaves_torchs_generator_alone(name: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    seen(STEPS[name], pictures(9))
    assert torch.equal(torch.rand(3), expected)


def test_flips_and_shifts_are_what_a_slow_reference_makes() -> None:
    images = pictures(20, side=6)
    views, (flips, shifts) = seen(FlipAndShift(flip=True, largest_shift=2), images)
    assert 0 < flips.sum() < 20
    assert len({tuple(s) for s in shifts}) > 5
    for image, flip, (down, right), view in zip(images, flips, shifts, views, strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        expected = padded[down : down + 6, right : right + 6]
        assert np.array_equal(view, expected[:, ::-1] if flip else expected)


def test_a_resized_crop_is_the_part_that_was_drawn() -> None:
    side = 64
    across = np.broadcast_to(np.arange(side, dtype=np.uint8) * 4, (30, side, side))
    images = np.stack([across, across.transpose(0, 2, 1), np.zeros_like(across)], axis=3)  # x, y, nothing
    views, (sides, centers) = seen(ResizedCrop(0.25), images)
    assert (sides.prod(axis=1) >= 0.25 * 0.85).all()  # where a side would be more than the picture's it is cut
    assert (np.abs(centers) + sides <= 1 + 1e-9).all()
    for view, (height, width), (y, x) in zip(views, sides, centers, strict=True):
        middle = view[side // 2 - 1 : side // 2 + 1, side // 2 - 1 : side // 2 + 1].reshape(-1, 3).mean(axis=0)
        assert middle[0] == pytest.approx(4 * ((x + 1) / 2 * side - 0.5), abs=4)
        assert middle[1] == pytest.approx(4 * ((y + 1) / 2 * side - 0.5), abs=4)
        spread = view[:, -1, 0].astype(float) - view[:, 0, 0]
        assert spread.mean() == pytest.approx(4 * width * side, rel=0.08)
        assert (view[-1, :, 1].astype(float) - view[0, :, 1]).mean() == pytest.approx(4 * height * side, rel=0.08)


def test_color_jitter_is_torchvisions_one_picture_at_a_time() -> None:
    images = pictures(6)
    views, (factors,) = seen(ColorJitter(0.5), images)
    assert ((factors >= 0.5) & (factors <= 1.5)).all()
    for image, view, (brightness, contrast, saturation) in zip(images, views, factors, strict=True):
        expected = functional.adjust_brightness(torch.from_numpy(image).permute(2, 0, 1), brightness)
        expected = functional.adjust_saturation(functional.adjust_contrast(expected, contrast), saturation)
        assert np.array_equal(view, expected.permute(1, 2, 0).numpy())


def test_randaugment_draws_its_strength_and_none_changes_nothing() -> None:
    images = pictures(50)
    views, (magnitudes, seeds) = seen(RandAugment(1, 30, GRAY), images)
    assert magnitudes.min() >= 1
    assert len(set(magnitudes)) > 10
    assert len(set(seeds)) == 50
    changed = (views != images).any(axis=(1, 2, 3)).mean()
    assert 0.5 < changed < 1  # one of the fourteen operations is none


def test_a_cutout_is_a_square_of_one_color_cut_by_the_edges() -> None:
    images = np.zeros((200, 20, 20, 3), np.uint8)
    views, (sides, centers) = seen(Cutout(10, (1.0, 2.0, 3.0)), images)
    assert 0 <= sides.min() < 1
    assert 9 < sides.max() <= 10
    for view, side, (y, x) in zip(views, sides, 20 * centers, strict=True):
        expected = np.zeros((20, 20), bool)
        for row in range(20):
            for column in range(20):
                expected[row, column] = abs(row + 0.5 - y) < side / 2 and abs(column + 0.5 - x) < side / 2
        assert np.array_equal(view, np.where(expected[..., None], np.uint8([1, 2, 3]), 0))


def test_erasing_takes_the_share_of_pictures_and_of_area_that_it_says() -> None:
    images = np.zeros((400, 32, 32, 3), np.uint8)
    views, _ = seen(Erasing(50, (9.0, 9.0, 9.0)), images)
    areas = (views[..., 0] == 9).mean(axis=(1, 2))
    assert (areas > 0).mean() == pytest.approx(0.5, abs=0.1)
    erased = areas[areas > 0]
    assert 0.01 < erased.min() < 0.1
    assert 0.25 < erased.max() < 0.4
    filled = [np.argwhere(view[..., 0] == 9) for view in views if (view[..., 0] == 9).any()]
    assert all(len(places) == np.ptp(places, axis=0).__add__(1).prod() for places in filled)  # whole rectangles


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("weak", {"random_flip": False, "random_crop_percent": 0.0}, []),
        ("weak", {}, [FlipAndShift]),
        ("weak", {"resized_crop_area": 0.3, "color_jitter": 0.2}, [FlipAndShift, ResizedCrop, ColorJitter]),
        ("strong", {}, [FlipAndShift, RandAugment, Cutout]),
        ("strong", {"cutout_percent": 0.0, "erasing_percent": 25.0}, [FlipAndShift, RandAugment, Erasing]),
        ("strong", {"randaugment_ops": 0, "cutout_percent": 0.0}, [FlipAndShift]),
    ],
)
def test_a_view_has_the_steps_that_the_settings_ask_for(
    kind: Literal["weak", "strong"], settings: dict[str, object], expected: list[type], spec: RunSpec
) -> None:
    changed: Callable[..., RunSpec] = replace
    steps = steps_of(kind, changed(spec, **settings), 32, (0.5, 0.5, 0.5))
    assert [type(step) for step in steps] == expected


def test_a_view_without_steps_is_the_picture() -> None:
    images = pictures(6)
    view = View([], seed=0)
    assert np.array_equal(looked_at(view, images, 1, np.arange(6)), images)


@pytest.mark.parametrize("name", STEPS)
def test_a_view_of_a_batch_stays_on_the_device_and_waits_for_nothing(name: str) -> None:
    """On torch's device without memory: a number that comes back to the processor, and a mixture, raise there."""
    device, view = torch.device("meta"), View([STEPS[name]], seed=0)
    images, rows = torch.from_numpy(pictures(9)).to(device), torch.arange(9, device=device)
    if not view.of_batch:
        with pytest.raises((RuntimeError, NotImplementedError)):
            view(images, view.draw(1, 9, device), rows)
        return
    seen = view(images, view.draw(1, 9, device), rows)
    assert (seen.device, seen.shape, seen.dtype) == (device, images.shape, torch.uint8)
