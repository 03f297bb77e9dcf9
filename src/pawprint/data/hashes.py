"""Perceptual hashes of pictures, and the search for pairs of hashes that are alike.

The hash is imagehash's pHash: the signs, against their median, of the 8 x 8 lowest frequencies of a cosine transform
of the picture in 32 x 32 grey (Krawetz, "Looks like it", 2011; Zauner, "Implementation and benchmarking of perceptual
image hash functions", 2010). 64 bits, one machine word. It outlives recompression, other sizes, other brightness and
the loss of color; it does not outlive mirroring, crops and borders, for which the hashes of the mirrored picture and
of windows of it (`WINDOWS`) are to be searched as well. That hashes are alike proves no copy: see likeness.py.

pHash was chosen among imagehash's by its distances on 886 photographs of Oxford-IIIT Pet (`python -m
benchmarks.leakage hashes`): dHash separates as well but crops are further off under brightness; wHash and aHash
are near each other for hundreds of pairs of different photographs.
"""

from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image

SIDE = 32  # pixels; what pHash reduces a picture to
BITS = 64
Window = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the side
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)
# Crops of a tenth: from the middle, from each corner; then what is left of a border of a tenth all round.
WINDOWS: tuple[Window, ...] = (
    WHOLE,
    (0.05, 0.05, 0.95, 0.95),
    (0.0, 0.0, 0.9, 0.9),
    (0.1, 0.0, 1.0, 0.9),
    (0.0, 0.1, 0.9, 1.0),
    (0.1, 0.1, 1.0, 1.0),
    (0.1, 0.1, 0.9, 0.9),
)

POPCOUNT_PAIRS = 2**28  # compared by numpy, in about a second; beyond, faiss is worth its import
BLOCK_PAIRS = 2**22  # compared at once: their distances fill the processor's cache and not the memory
FAISS_BLOCKS = 32  # a search of a set in itself leaves out 31/64 of the comparisons


class Pairs(NamedTuple):
    """Indices and distances, ordered by the first, then by the second."""

    first: np.ndarray  # (P,) int64
    second: np.ndarray  # (P,) int64
    distance: np.ndarray  # (P,) int64, bits


def thumbnails(images: np.ndarray) -> np.ndarray:
    """(N, H, W, C) uint8 pictures as (N, SIDE, SIDE, 3) uint8, with antialiasing."""
    small = np.empty((len(images), SIDE, SIDE, 3), dtype=np.uint8)
    for row, image in enumerate(images):
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("RGB")
        small[row] = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return small


def phashes(thumbs: np.ndarray, window: Window = WHOLE) -> np.ndarray:
    """The pHash of each thumbnail's part inside `window`: (N,) uint64."""
    left, top, right, bottom = (SIDE * share for share in window)
    bits = np.empty((len(thumbs), BITS), dtype=bool)
    for row, thumb in enumerate(thumbs):
        picture = Image.fromarray(thumb).convert("L")
        if window != WHOLE:
            picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
        bits[row] = imagehash.phash(picture).hash.ravel()
    return pack_bits(bits)


def pack_bits(bits: np.ndarray) -> np.ndarray:
    """(N, 64) bool as (N,) uint64."""
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def near_pairs(hashes: np.ndarray, radius: int) -> Pairs:
    """All pairs i < j of (N,) uint64 hashes that differ in at most `radius` bits; exact."""
    n = len(hashes)
    if n * (n - 1) // 2 <= POPCOUNT_PAIRS:
        pairs = popcount_search(hashes, hashes, radius)
        return _chosen(pairs, pairs.first < pairs.second)
    parts = []
    for rows in np.array_split(np.arange(n), min(n, FAISS_BLOCKS)):
        start = int(rows[0])
        found = faiss_search(hashes[rows], hashes[start:], radius)
        parts.append(Pairs(found.first + start, found.second + start, found.distance))
    pairs = Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return _chosen(pairs, pairs.first < pairs.second)


def near_pairs_between(first: np.ndarray, second: np.ndarray, radius: int) -> Pairs:
    """All pairs of one of `first` and one of `second` that differ in at most `radius` bits; exact."""
    few = len(first) * len(second) <= POPCOUNT_PAIRS
    return (popcount_search if few else faiss_search)(first, second, radius)


def popcount_search(first: np.ndarray, second: np.ndarray, radius: int) -> Pairs:
    """Every pair compared by numpy, block by block."""
    rows_at_once = max(1, BLOCK_PAIRS // max(1, len(second)))
    parts = []
    for start in range(0, len(first), rows_at_once):
        distance = np.bitwise_count(first[start : start + rows_at_once, None] ^ second[None, :])
        rows, columns = np.nonzero(distance <= radius)
        parts.append((rows + start, columns, distance[rows, columns].astype(np.int64)))
    if not parts:
        return Pairs(*(np.empty(0, dtype=np.int64) for _ in range(3)))
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def faiss_search(first: np.ndarray, second: np.ndarray, radius: int) -> Pairs:
    """Every pair compared by faiss's flat binary index, on all cores.

    The flat one because it was measured to be the fastest that is exact. A million random hashes in themselves, one
    thread: 0.5 ns a comparison at any radius; IndexBinaryMultiHash (four words of 16 bits) is exact to radius 7 with
    one flip, where it takes as long, and to radius 11 with two, where it takes ten times as long.
    """
    import faiss  # costs a part of a second that small data need not pay

    index = faiss.IndexBinaryFlat(BITS)
    index.add(_as_bytes(second))
    limits, distance, columns = index.range_search(_as_bytes(first), radius + 1)  # strictly below
    rows = np.repeat(np.arange(len(first)), np.diff(limits).astype(np.intp))
    order = np.lexsort((columns, rows))  # threads finish in any order
    return Pairs(rows[order], columns[order].astype(np.int64), distance[order].astype(np.int64))


def _as_bytes(hashes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), BITS // 8)


def _chosen(pairs: Pairs, keep: np.ndarray) -> Pairs:
    return Pairs(*(column[keep] for column in pairs))
