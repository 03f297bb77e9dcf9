"""Ten kinds of drawn things, 32 x 32 pixels: a CIFAR-10 that needs no download."""

import io

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.utils.data import Dataset

SIDE = 32
LARGE = 2 * SIDE  # drawn at this size, then scaled down
# Of each kind the shapes in the order of drawing: which of the picture's three colors, and corners x, y from -1 to 1.
# Two corners span an ellipse, more are a polygon.
KINDS = {
    "fish": [(1, (0.3, 0, 0.95, -0.55, 0.95, 0.55)), (0, (-0.9, -0.45, 0.55, 0.45)), (2, (-0.65, -0.2, -0.45, 0.0))],
    "bird": [(0, (-0.6, -0.3, 0.6, 0.5)), (0, (-0.9, -0.7, -0.3, -0.1)), (1, (-1, -0.5, -0.8, -0.5, -0.8, -0.25)),
             (2, (-0.3, 0, 0.5, -0.2, 0.9, -0.8)), (2, (-0.75, -0.55, -0.6, -0.4))],
    "cat": [(0, (-0.7, -0.9, -0.1, -0.4, -0.65, -0.1)), (0, (0.7, -0.9, 0.1, -0.4, 0.65, -0.1)),
            (0, (-0.7, -0.55, 0.7, 0.75)), (2, (-0.4, -0.2, -0.15, 0.1)), (2, (0.15, -0.2, 0.4, 0.1)),
            (1, (-0.15, 0.25, 0.15, 0.25, 0, 0.45))],
    "snail": [(1, (-0.9, 0.5, 0.9, 0.8)), (1, (-0.95, -0.3, -0.65, 0.7)), (0, (-0.4, -0.6, 0.75, 0.6)),
              (2, (-0.1, -0.3, 0.45, 0.3)), (0, (0.05, -0.15, 0.3, 0.15))],
    "butterfly": [(0, (-0.1, 0, -0.9, -0.85, -0.95, 0.1)), (0, (0.1, 0, 0.9, -0.85, 0.95, 0.1)),
                  (1, (-0.1, 0, -0.75, 0.8, -0.2, 0.75)), (1, (0.1, 0, 0.75, 0.8, 0.2, 0.75)),
                  (2, (-0.12, -0.6, 0.12, 0.7))],
    "tree": [(1, (-0.15, 0.2, 0.15, 0.2, 0.2, 0.95, -0.2, 0.95)), (0, (-0.8, -0.3, 0.2, 0.4)),
             (0, (-0.2, -0.3, 0.8, 0.4)), (0, (-0.5, -0.9, 0.5, 0.1))],
    "house": [(0, (-0.65, -0.1, 0.65, -0.1, 0.65, 0.85, -0.65, 0.85)), (1, (-0.9, -0.1, 0, -0.9, 0.9, -0.1)),
              (2, (-0.15, 0.3, 0.2, 0.3, 0.2, 0.85, -0.15, 0.85))],
    "boat": [(0, (-0.9, 0.3, 0.9, 0.3, 0.55, 0.8, -0.55, 0.8)), (1, (-0.05, -0.9, -0.05, 0.2, -0.7, 0.2)),
             (2, (0.1, -0.7, 0.1, 0.2, 0.6, 0.2))],
    "car": [(1, (-0.5, -0.1, -0.3, -0.55, 0.3, -0.55, 0.55, -0.1)),
            (0, (-0.95, -0.1, 0.95, -0.1, 0.95, 0.4, -0.95, 0.4)), (2, (-0.7, 0.2, -0.25, 0.65)),
            (2, (0.25, 0.2, 0.7, 0.65))],
    "mushroom": [(1, (-0.25, 0, 0.25, 0, 0.3, 0.9, -0.3, 0.9)),
                 (0, (-0.9, 0.1, -0.6, -0.6, 0, -0.85, 0.6, -0.6, 0.9, 0.1)), (2, (-0.45, -0.4, -0.15, -0.1)),
                 (2, (0.2, -0.55, 0.5, -0.25))],
}  # fmt: skip
CLASSES = list(KINDS)


class Pictures(Dataset):
    """Pictures (N, 32, 32, 3) uint8 as tensors (3, 32, 32), normalized by `mean` and `std`, and their labels."""

    classes = CLASSES

    def __init__(self, images, labels, mean, std):
        self.images, self.labels = images, labels
        self.mean, self.std = (torch.as_tensor(v, dtype=torch.float32)[:, None, None] for v in (mean, std))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        pixels = torch.from_numpy(self.images[index]).permute(2, 0, 1) / 255
        return (pixels - self.mean) / self.std, int(self.labels[index])


def draw_set(seed, n_per_class):
    """`n_per_class` pictures of each kind, and their labels."""
    labels = np.arange(n_per_class * len(CLASSES)) % len(CLASSES)
    chance = np.random.default_rng(seed)
    return np.stack([draw(CLASSES[label], chance) for label in labels]), labels


def draw(kind, chance):
    """One thing, turned, scaled and placed at random, before a few blots, in some light."""
    picture = Image.fromarray(chance.integers(60, 200, (3, 3, 3), dtype=np.uint8)).resize((LARGE, LARGE))
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y, w, h = chance.uniform(-10, LARGE, 2).tolist() + chance.uniform(4, 22, 2).tolist()
        pen.ellipse((x, y, x + w, y + h), fill=tuple(chance.integers(40, 220, 3)))
    thing = Image.new("RGBA", (LARGE, LARGE))
    pen = ImageDraw.Draw(thing)
    colors = chance.integers([[150] * 3, [90] * 3, [0] * 3], [[256] * 3, [220] * 3, [80] * 3])
    for color, corners in KINDS[kind]:
        at = LARGE / 2 * (1 + 0.8 * (np.array(corners) + chance.uniform(-0.06, 0.06, len(corners))))
        shape = pen.ellipse if len(corners) == 4 else pen.polygon
        shape(at.tolist(), fill=tuple(colors[color]), outline=(20, 20, 20), width=1)
    thing = thing.rotate(chance.uniform(-25, 25), Image.Resampling.BICUBIC)
    if chance.random() < 0.5:
        thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    side = int(chance.uniform(0.7, 1) * LARGE)
    place = chance.integers(-4, LARGE - side + 5, 2).tolist()
    thing = thing.resize((side, side))
    picture.paste(thing, place, thing)
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    light = chance.uniform(0.55, 1.15) * chance.uniform(0.85, 1.15, 3) * (1.05, 1.0, 0.9)
    return (light * small + chance.normal(0, 4, small.shape)).clip(0, 255).astype(np.uint8)


def recompress(image, quality=85):
    """As it comes back from a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def statistics(images):
    """Mean and standard deviation of each channel, of pixels from 0 to 1."""
    return images.mean(axis=(0, 1, 2)) / 255, images.std(axis=(0, 1, 2)) / 255
