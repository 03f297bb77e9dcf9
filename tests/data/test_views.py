import numpy as np

from pawprint.data.views import FlipAndCrop


def test_an_examples_view_does_not_depend_on_its_batch() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    augment = FlipAndCrop(6, 8, flip=True, crop_percent=25, seed=3)
    flips, shifts = augment.draw(epoch=2)
    together = augment(images, flips, shifts)
    order = [4, 0, 5]
    alone = augment(images[order], flips[order], shifts[order])
    assert np.array_equal(together[order], alone)


def test_flips_and_shifts_are_what_a_slow_reference_makes() -> None:
    images = np.random.default_rng(1).integers(0, 256, (20, 6, 6, 1), dtype=np.uint8)
    augment = FlipAndCrop(20, 6, flip=True, crop_percent=34, seed=0)
    flips, shifts = augment.draw(epoch=1)
    assert augment.largest_shift == 2
    assert 0 < flips.sum() < 20
    assert {tuple(s) for s in shifts} > {(0, 0)} or len({tuple(s) for s in shifts}) > 5
    for image, flip, (down, right), view in zip(images, flips, shifts, augment(images, flips, shifts), strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        expected = padded[down : down + 6, right : right + 6]
        assert np.array_equal(view, expected[:, ::-1] if flip else expected)


def test_views_differ_between_epochs_and_seeds() -> None:
    draw = FlipAndCrop(50, 8, flip=True, crop_percent=25, seed=0).draw
    other = FlipAndCrop(50, 8, flip=True, crop_percent=25, seed=1).draw
    assert not np.array_equal(draw(1)[1], draw(2)[1])
    assert not np.array_equal(draw(1)[1], other(1)[1])


def test_switched_off_views_are_the_pictures() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    augment = FlipAndCrop(6, 8, flip=False, crop_percent=0, seed=0)
    assert np.array_equal(augment(images, *augment.draw(1)), images)
