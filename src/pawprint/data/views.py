"""Augmentation of a whole batch, each example by its own draw.

What happens to an example in an epoch is a function of (seed, epoch, example index) alone, so that neither
batch size nor order nor worker count changes it. torchvision's transforms on a batch draw once for all.
"""

import numpy as np

from pawprint.seeding import generator


class FlipAndCrop:
    """Mirror every second picture; shift each by up to `crop_percent` of its side, edges reflected."""

    def __init__(self, n_examples: int, image_size: int, flip: bool, crop_percent: float, seed: int) -> None:
        self.n_examples, self.flip, self.seed = n_examples, flip, seed
        self.largest_shift = min(round(image_size * crop_percent / 100), image_size - 1)  # pixels

    @property
    def changes_pictures(self) -> bool:
        return self.flip or self.largest_shift > 0

    def draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """For each example of the set: mirrored or not (N,), and its shift (N, 2) in pixels, from 0."""
        draws = generator("augment", self.seed, epoch)
        flips = draws.random(self.n_examples) < 0.5 * self.flip
        shifts = draws.integers(0, 2 * self.largest_shift, size=(self.n_examples, 2), endpoint=True)
        return flips, shifts

    def __call__(self, images: np.ndarray, flips: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """Apply the drawn parameters: (B, H, W, C) uint8 → the same shape."""
        if not self.changes_pictures:
            return images
        size_y, size_x, pad = images.shape[1], images.shape[2], self.largest_shift
        columns = np.where(flips[:, None], np.arange(size_x)[::-1], np.arange(size_x))  # (B, W)
        padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect") if pad else images
        example = np.arange(len(images))[:, None, None]
        rows = (shifts[:, :1] + np.arange(size_y))[:, :, None]  # (B, H, 1)
        return padded[example, rows, (shifts[:, 1:] + columns)[:, None, :]]
