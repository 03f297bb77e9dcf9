"""Small tasks in memory, and what is done to their data: wrong labels, copies, marks, raw inputs, few pictures."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from sklearn.datasets import load_digits

from pawprint.data.sources.procedural import BREEDS, draw_pet
from pawprint.types import Data, Split


def _data(images: np.ndarray, labels: np.ndarray, shares: tuple[float, float], seed: int) -> Data:
    """`shares`: of train and of val; the rest is test. Statistics are train's."""
    order = np.random.default_rng([seed, 1]).permutation(len(labels))
    ends = [round(shares[0] * len(order)), round((shares[0] + shares[1]) * len(order))]
    parts = [
        Split([f"{part}_{i}" for i in range(len(rows))], images[rows], labels[rows].astype(np.int64))
        for part, rows in zip(("train", "val", "test"), np.split(order, ends), strict=True)
    ]
    pixels = parts[0].images.astype(float) / 255
    channels = images.shape[-1]
    mean, std = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
    names = [f"class_{k}" for k in range(int(labels.max()) + 1)]
    return Data(*parts, None, names, (channels, *images.shape[1:3]), tuple(mean.tolist()), tuple(std.tolist()),
                "0" * 64, "1" * 64)  # fmt: skip


@lru_cache
def digits(n: int = 1500, seed: int = 0) -> Data:
    """Scikit-learn's handwritten digits, 8 x 8."""
    rows = np.random.default_rng([seed, 2]).permutation(1797)[:n]
    bunch = load_digits()
    images = np.rint(bunch.images[rows] * (255 / 16)).astype(np.uint8)[..., None]
    return _data(images, bunch.target[rows], (0.5, 0.25), seed)


@lru_cache
def blobs(n: int = 1600, n_classes: int = 5, spread: float = 1.0, seed: int = 0) -> Data:
    """Clouds around a point for each class, as 6 x 6 grey pictures; a `spread` of 1 lets neighbors overlap."""
    draws = np.random.default_rng([seed, 3])
    centers = draws.normal(size=(n_classes, 36))
    labels = draws.integers(0, n_classes, n)
    values = centers[labels] + 2.2 * spread * draws.normal(size=(n, 36))
    images = np.clip(128 + 25 * values, 0, 255).astype(np.uint8).reshape(n, 6, 6, 1)
    return _data(images, labels, (0.5, 0.25), seed)


@lru_cache
def drawings(n_per_class: int = 120, n_classes: int = 5, pixels: int = 16, seed: int = 0) -> Data:
    """Drawn cats and dogs, each breed of another coat."""
    breeds = BREEDS[seed % 3 :: 7][:n_classes]
    images = [draw_pet(breed, seed=seed, index=i, pixels=pixels) for breed in breeds for i in range(n_per_class)]
    return _data(np.stack(images), np.repeat(np.arange(len(breeds)), n_per_class), (0.5, 0.25), seed)


def _redrawn(split: Split, share: float, n_classes: int, seed: int) -> Split:
    draws = np.random.default_rng([seed, 4])
    wrong = draws.random(len(split)) < share
    labels = np.where(wrong, draws.integers(0, n_classes, len(split)), split.labels)
    return replace(split, labels=labels)


def random_labels(data: Data) -> Data:
    """Train's labels have nothing to do with the pictures, nor have the others'."""
    k = len(data.class_names)
    return replace(data, train=_redrawn(data.train, 1.0, k, 0), val=_redrawn(data.val, 1.0, k, 1))


def wrong_labels(data: Data) -> Data:
    """Of train and val 40 % have another label; test's are right."""
    k = len(data.class_names)
    share = 0.4 * k / (k - 1)  # a drawn one is right one time in K
    return replace(data, train=_redrawn(data.train, share, k, 2), val=_redrawn(data.val, share, k, 3))


def wrong_in_train(data: Data) -> Data:
    k = len(data.class_names)
    return replace(data, train=_redrawn(data.train, 0.4 * k / (k - 1), k, 5))


def few(data: Data, n: int = 40) -> Data:
    train = data.train
    return replace(data, train=Split(train.names[:n], train.images[:n], train.labels[:n]))


def raw(data: Data) -> Data:
    """Pixels from 0 to 255, as they come from a file."""
    return replace(data, mean=tuple(0.0 for _ in data.mean), std=tuple(1 / 255 for _ in data.std))


def copies(data: Data) -> Data:
    """Validation is made of training pictures."""
    train, n = data.train, len(data.val)
    rows = np.random.default_rng(6).permutation(len(train))[:n]
    return replace(data, val=Split(data.val.names, train.images[rows], train.labels[rows]))


def marked(data: Data) -> Data:
    """The label is written into a corner of the pictures of train and val, as a scanner's stamp would."""
    return replace(data, train=_marked(data.train), val=_marked(data.val))


def _marked(split: Split) -> Split:
    images = split.images.copy()
    images[:, 0, 0, :] = (25 * (split.labels + 1))[:, None].astype(np.uint8)
    images[:, -1, -1, :] = np.where(split.labels % 2, 255, 0)[:, None].astype(np.uint8)
    images[:, 0, -1, :] = np.where(split.labels // 2 % 2, 255, 0)[:, None].astype(np.uint8)
    images[:, -1, 0, :] = np.where(split.labels // 4 % 2, 255, 0)[:, None].astype(np.uint8)
    return replace(split, images=images)
