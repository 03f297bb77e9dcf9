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

import math
from itertools import combinations
from typing import Any, NamedTuple

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
LISTS_AT_ONCE = 2**20  # that hashes are looked for in: their numbers take 8 MB
# What a search costs, measured on one thread with a million random hashes, ns: a comparison by faiss with every hash,
# one with those of a list, and finding a list. Only their proportions matter, and only to speed.
FLAT_NS, LISTED_NS, LIST_NS = 0.4, 0.9, 60.0
WIDTHS = range(8, 19)  # bits of a word that lists go by


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
    pairs = near_pairs_between(hashes, hashes, radius)
    return _chosen(pairs, pairs.first < pairs.second)


def near_pairs_between(first: np.ndarray, second: np.ndarray, radius: int) -> Pairs:
    """All pairs of one of `first` and one of `second` that differ in at most `radius` bits; exact."""
    if len(first) * len(second) <= POPCOUNT_PAIRS:
        return popcount_search(first, second, radius)
    words = cheapest_words(first, second, radius)
    return indexed_search(first, second, radius, words) if words else flat_search(first, second, radius)


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


def flat_search(first: np.ndarray, second: np.ndarray, radius: int) -> Pairs:
    """Every pair compared by faiss, on all cores."""
    import faiss  # costs a part of a second that small data need not pay

    index = faiss.IndexBinaryFlat(BITS)
    index.add(_as_bytes(second))
    return _ordered(*index.range_search(_as_bytes(first), radius + 1))  # strictly below


class Word(NamedTuple):
    """Some bits of a hash, in which near hashes differ little."""

    shift: int
    width: int
    radius: int  # bits in which two hashes may differ there to be compared

    def of(self, hashes: np.ndarray) -> np.ndarray:
        """(N,) int64."""
        return ((hashes >> np.uint64(self.shift)) & np.uint64(2**self.width - 1)).astype(np.int64)

    @property
    def flips(self) -> np.ndarray:
        """All words with at most `radius` bits set, (F,) int64."""
        bits = [2**place for place in range(self.width)]
        return np.array([sum(some) for n in range(self.radius + 1) for some in combinations(bits, n)], dtype=np.int64)


def words_of(n_words: int, width: int, radius: int) -> list[Word]:
    """Words of which one at least is within its own radius in any two hashes that are within `radius`.

    Were each pair further apart than that in every word, it would be so by sum(radii + 1) = radius + 1 bits at least:
    the pigeonhole principle as Norouzi, Punjani and Fleet use it (arXiv 1307.2982, section 3.1).
    """
    total = radius + 1 - n_words
    return [Word(k * width, width, total // n_words + (k < total % n_words)) for k in range(n_words)]


def cheapest_words(first: np.ndarray, second: np.ndarray, radius: int) -> list[Word]:
    """By which a search costs the least; none where comparing every pair costs less."""
    best: list[Word] = []
    least = FLAT_NS * len(second)  # a hash of `first`
    for n_words in range(1, min(radius + 1, BITS // WIDTHS[0]) + 1):
        for width in (width for width in WIDTHS if n_words * width <= BITS):
            words = words_of(n_words, width, radius)
            n_lists = sum(math.comb(width, n) for word in words for n in range(word.radius + 1))
            if n_lists * (LIST_NS + LISTED_NS * len(second) / 2**width) < least:  # were they evenly spread
                cost = sum(_cost(word, first, second) for word in words)
                best, least = (words, cost) if cost < least else (best, least)
    return best


def indexed_search(first: np.ndarray, second: np.ndarray, radius: int, words: list[Word]) -> Pairs:
    """Only pairs compared that are alike in one of the words, by faiss on all cores: multi-index hashing.

    Pictures in lists by each of the words (an inverted file of faiss, whose lists are the word's values); a hash is
    looked for in the lists of all values near its own. Of a million random hashes in themselves it compares 6 % of the
    pairs at 14 bits, in an eighth of the time of comparing all; at 2 bits it takes seconds. faiss's own
    IndexBinaryMultiHash does the same with lists of numbers in place of hashes, one memory access a comparison, and
    took longer than comparing all. In the long run the time grows as n^(1 + H(radius / 64)), H the binary entropy:
    n^1.76 at 14 bits.
    """
    from faiss.contrib.ivf_tools import range_search_preassigned

    indexes = [_inverted(word.of(second), word.width, second) for word in words]
    rows_at_once = max(1, LISTS_AT_ONCE // max(len(word.flips) for word in words))
    parts = []
    for start in range(0, len(first), rows_at_once):
        some = first[start : start + rows_at_once]
        for number, (word, index) in enumerate(zip(words, indexes, strict=True)):
            lists = word.of(some)[:, None] ^ word.flips
            index.nprobe = lists.shape[1]
            found = _ordered(*range_search_preassigned(index, _as_bytes(some), radius + 1, lists))
            apart = some[found.first] ^ second[found.second]
            is_new = np.ones(len(apart), dtype=bool)  # not found by an earlier word
            for earlier in words[:number]:
                is_new &= np.bitwise_count(earlier.of(apart)) > earlier.radius
            new = _chosen(found, is_new)
            parts.append(new._replace(first=new.first + start))
    pairs = Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return _chosen(pairs, np.lexsort((pairs.second, pairs.first)))


def _inverted(keys: np.ndarray, width: int, hashes: np.ndarray) -> Any:
    """A faiss index with a list for each word of so many bits, and in it the hashes that have the word."""
    import faiss
    from faiss.contrib.ivf_tools import add_preassigned

    index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(BITS), BITS, 2**width)
    index.is_trained = True  # which finds the lists' centers: here they are known
    add_preassigned(index, _as_bytes(hashes), keys)
    return index


def _cost(word: Word, first: np.ndarray, second: np.ndarray) -> float:
    """What looking for a hash of `first` costs, on average, ns; lists near a hash's own are taken to be as long."""
    lengths = [np.bincount(word.of(hashes), minlength=2**word.width) for hashes in (first, second)]
    compared = float(lengths[0] @ lengths[1]) / len(first)
    return len(word.flips) * (LIST_NS + LISTED_NS * compared)


def _ordered(limits: np.ndarray, distance: np.ndarray, columns: np.ndarray) -> Pairs:
    """What faiss found: threads finish in any order."""
    rows = np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.intp))
    order = np.lexsort((columns, rows))
    return Pairs(rows[order], columns[order].astype(np.int64), distance[order].astype(np.int64))


def _as_bytes(hashes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), BITS // 8)


def _chosen(pairs: Pairs, keep: np.ndarray) -> Pairs:
    return Pairs(*(column[keep] for column in pairs))
