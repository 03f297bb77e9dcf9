"""Do two small pictures show the same, but for a shift and a change of scale?

Method: a square window of the first picture is moved and scaled, from a given start and by ever smaller steps, to where
its details correlate best with the second picture's. Details are what differs from the surrounding 7 x 7 pixels, so
that light, contrast and a gradient of the background count for nothing; both are blurred a little before,
because a scaled picture is softer than one that was not. The likeness is that correlation, 1 for a copy. Where both
pictures are colored, their aligned colors must agree too, else the likeness is -1: it tells two drawings of one outline
apart. A copy in grey is spared that.

Limit: it decides by the structure of 32 x 32 pixels. Pictures with little in them (a digit, a logo on white) may be
alike without being copies, and a copy whose colors were turned into others is taken for another picture.
"""

import numpy as np
from scipy.ndimage import convolve1d, uniform_filter

from pawprint.data.hashes import Window

STEPS = (0.03, 0.03, 0.015, 0.015, 0.008, 0.004)  # shares of the side; the first is a pixel of 32
MOVES = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1),
         (1, 1, 0), (1, -1, 0), (-1, 1, 0), (-1, -1, 0))  # of center x, center y, side  # fmt: skip
LEAST_SIDE = 0.78  # of the window; what smaller ones have in common with the other picture is no copy of the whole
BLUR = np.array([0.25, 0.5, 0.25], dtype=np.float32)
SURROUNDING = 7  # pixels
MIN_COLOR = 6.0  # root mean square of red and blue less green, of 255: below, the picture counts as grey
SAME_COLOR = 0.8  # cosine between the colors of two pictures, aligned
SAME_COLOR_UNALIGNED = 0.6  # and before
EDGE = 4  # pixels
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of red, green, blue (ITU-R BT.601), as Pillow's "L"
CHUNK = 1024  # pairs compared at once


def likeness(
    pictures: np.ndarray, targets: np.ndarray, first: np.ndarray, second: np.ndarray, window: Window, screen: float
) -> tuple[np.ndarray, np.ndarray]:
    """How alike picture `first[k]`, near `window`, and target `second[k]` are, and the window's side then.

    Two times (K,) float32; the side is a share of the picture's.

    `pictures` and `targets` are (N, S, S, 3) uint8. Pairs whose plain correlation at the window itself is below
    `screen` are not aligned: their likeness is -1, as is that of pairs of other colors.
    """
    result = np.empty((2, len(first)), dtype=np.float32)
    for start in range(0, len(first), CHUNK):
        rows = slice(start, start + CHUNK)
        result[:, rows] = _aligned(pictures[first[rows]], targets[second[rows]], window, screen)
    return result[0], result[1]


def _aligned(first: np.ndarray, second: np.ndarray, window: Window, screen: float) -> tuple[np.ndarray, np.ndarray]:
    first, second = (np.moveaxis(colored.astype(np.float32), 3, 0) for colored in (first, second))  # (3, N, S, S)
    left, top, right, bottom = window
    start = ((left + right) / 2, (top + bottom) / 2, right - left)
    places = np.tile(np.array(start, dtype=np.float32), (first.shape[1], 1))  # (N, 3): center x, center y, side
    result = np.full(first.shape[1], -1, dtype=np.float32)
    alike = _correlation(_unit(_cut(_grey(first), places)), _unit(_grey(second))) >= screen
    kept = np.flatnonzero(alike)
    kept = kept[_same_colors(first[:, kept], second[:, kept], places[kept], SAME_COLOR_UNALIGNED)]
    if len(kept):
        first, second, moved = first[:, kept], second[:, kept], places[kept]
        best = _climb(_grey(first), _details(_grey(second)), moved)
        result[kept] = np.where(_same_colors(first, second, moved, SAME_COLOR), best, -1)
        places[kept] = moved
    return result, np.clip(places[:, 2], LEAST_SIDE, 1)


def _climb(pictures: np.ndarray, goal: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Each picture's best correlation with its goal; `places` are moved there, by steps that gain."""
    best = _correlation(_details(_cut(pictures, places)), goal)
    for step in STEPS:
        centers = places.copy()
        for move in MOVES:
            tried = centers + step * np.array(move, dtype=np.float32)
            found = _correlation(_details(_cut(pictures, tried)), goal)
            better = found > best
            best[better], places[better] = found[better], tried[better]
    return best


def _same_colors(first: np.ndarray, second: np.ndarray, places: np.ndarray, least: float) -> np.ndarray:
    """Whether colors agree, (N,) bool, which they also do where one of the two has none."""
    ours, theirs = _colors(np.stack([_cut(channel, places) for channel in first])), _colors(second)
    strength = [np.linalg.norm(colors, axis=1) for colors in (ours, theirs)]
    colored = np.minimum(*strength) >= MIN_COLOR * ours.shape[1] ** 0.5
    return ~colored | (_correlation(ours, theirs) >= least * strength[0] * strength[1])


def _colors(channels: np.ndarray) -> np.ndarray:
    """Red less green and blue less green as vectors; without the edge, where a rest of a colored border may be."""
    inner = channels[:, :, EDGE:-EDGE, EDGE:-EDGE]
    differences = np.stack([inner[0] - inner[1], inner[2] - inner[1]], axis=1)  # (N, 2, h, w)
    return differences.reshape(len(differences), 2 * inner.shape[2] * inner.shape[3])


def _grey(channels: np.ndarray) -> np.ndarray:
    return np.tensordot(LUMA, channels, axes=1)


def _cut(pictures: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of each picture the square at its place, scaled to the whole; places beyond the edge are moved inside."""
    side = np.clip(places[:, 2], LEAST_SIDE, 1)
    x = np.clip(places[:, 0], side / 2, 1 - side / 2)
    y = np.clip(places[:, 1], side / 2, 1 - side / 2)
    pixels = pictures.shape[1]
    across = _sampling(x - side / 2, side, pixels)
    return _sampling(y - side / 2, side, pixels) @ pictures @ across.transpose(0, 2, 1)


def _sampling(start: np.ndarray, length: np.ndarray, pixels: int) -> np.ndarray:
    """Matrices that draw `pixels` values, linearly interpolated, from [start, start + length]: (N, pixels, pixels)."""
    share = (np.arange(pixels, dtype=np.float32) + 0.5) / pixels
    where = np.clip((start[:, None] + share * length[:, None]) * pixels - 0.5, 0, pixels - 1)
    before = np.minimum(where.astype(np.int64), pixels - 2)
    weight = (where - before).astype(np.float32)
    matrices = np.zeros((len(start), pixels, pixels), dtype=np.float32)
    rows, columns = np.arange(len(start))[:, None], np.arange(pixels)[None]
    matrices[rows, columns, before] = 1 - weight
    matrices[rows, columns, before + 1] = weight
    return matrices


def _details(pictures: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        pictures = convolve1d(pictures, BLUR, axis=axis, mode="nearest")
    return _unit(pictures - uniform_filter(pictures, (0, SURROUNDING, SURROUNDING), mode="nearest"))


def _unit(pictures: np.ndarray) -> np.ndarray:
    """As vectors of mean 0 and length 1; an even picture's is 0."""
    vectors = pictures.reshape(len(pictures), -1)
    vectors = vectors - vectors.mean(axis=1, keepdims=True)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(axis=1)
