"""The searches find exactly the pairs that an obvious loop finds; the hash outlives what it is to outlive."""

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from
from PIL import Image

from pawprint.data import hashes
from pawprint.data.hashes import (
    WINDOWS,
    cheapest_words,
    flat_search,
    indexed_search,
    near_pairs,
    near_pairs_between,
    pack_bits,
    phashes,
    popcount_search,
    thumbnails,
    words_of,
)
from pawprint.data.sources.procedural import BREEDS, draw_pet


def slow_pairs(first: np.ndarray, second: np.ndarray, radius: int) -> list[tuple[int, int, int]]:
    """Each with each, by the bits of Python's integers."""
    found = []
    for i, a in enumerate(first.tolist()):
        for j, b in enumerate(second.tolist()):
            if (a ^ b).bit_count() <= radius:
                found.append((i, j, (a ^ b).bit_count()))
    return found


def planted(n: int, seed: int) -> np.ndarray:
    """Random hashes, every third a neighbor of the one before: 0 to 17 bits off, so on both sides of any radius."""
    draws = np.random.default_rng(seed)
    values = draws.integers(0, 2**64, n, dtype=np.uint64)
    for i in range(1, n, 3):
        bits = draws.permutation(64)[: int(draws.integers(0, 18))]
        values[i] = values[i - 1] ^ np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64), initial=np.uint64(0))
    return values


def as_list(pairs: hashes.Pairs) -> list[tuple[int, int, int]]:
    return list(zip(*(column.tolist() for column in pairs), strict=True))


@pytest.mark.parametrize("radius", [0, 1, 7, 14, 64])
@pytest.mark.parametrize("search", [popcount_search, flat_search])
def test_both_searches_are_exact(search, radius: int) -> None:
    first, second = planted(90, seed=1), np.concatenate([planted(90, seed=1)[::2], planted(40, seed=2)])
    assert as_list(search(first, second, radius)) == slow_pairs(first, second, radius)


@given(
    seed=integers(0, 10**6),
    n=integers(1, 60),
    n_equal=integers(0, 40),
    radius=sampled_from([0, 1, 2, 7, 14, 16]),
    n_words=integers(1, 8),
    at_once=sampled_from([1, 2**20]),
)
@settings(max_examples=60, deadline=None)
def test_the_indexed_search_is_exact(seed: int, n: int, n_equal: int, radius: int, n_words: int, at_once: int) -> None:
    """By any words that it may go by, over duplicates, and however few hashes are looked for at once."""
    first, second = planted(n, seed), np.concatenate([planted(n, seed)[::2], np.full(n_equal, planted(n, seed)[0])])
    words = words_of(min(n_words, radius + 1), width=8, radius=radius)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashes, "LISTS_AT_ONCE", at_once)
        found = indexed_search(first, second, radius, words)
    assert as_list(found) == slow_pairs(first, second, radius)


def test_the_largest_radius_is_searched_by_words_where_hashes_are_many() -> None:
    """So that what the test above holds is what a large set goes through; and one in which all are equal does not."""
    many = np.random.default_rng(0).integers(0, 2**64, 200_000, dtype=np.uint64)
    for radius in (0, 14, 16):
        words = cheapest_words(many, many, radius)
        assert words
        assert sum(word.radius + 1 for word in words) == radius + 1
        assert len({word.shift for word in words}) == len(words)
        assert all(word.shift + word.width <= 64 for word in words)
    assert not cheapest_words(np.full_like(many, 5), np.full_like(many, 5), 14)


def test_a_large_set_is_searched_as_pair_by_pair() -> None:
    many = planted(30_000, seed=5)
    assert cheapest_words(many, many, 14)
    found = near_pairs_between(many, many, 14)
    assert len(found.first) > 40_000
    for ours, theirs in zip(found, flat_search(many, many, 14), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("few", [0, hashes.POPCOUNT_PAIRS])
@pytest.mark.parametrize("radius", [0, 10])
def test_pairs_within_a_set_are_told_once(monkeypatch, few: int, radius: int) -> None:
    monkeypatch.setattr(hashes, "POPCOUNT_PAIRS", few)
    values = planted(150, seed=3)
    values[140:] = values[7]  # a cluster
    expected = [(i, j, d) for i, j, d in slow_pairs(values, values, radius) if i < j]
    assert as_list(near_pairs(values, radius)) == expected
    assert as_list(near_pairs_between(values, values[:9], radius)) == slow_pairs(values, values[:9], radius)


@pytest.mark.parametrize("few", [0, hashes.POPCOUNT_PAIRS])
@pytest.mark.parametrize("n", [0, 1, 2])
def test_the_smallest_sets(monkeypatch, few: int, n: int) -> None:
    monkeypatch.setattr(hashes, "POPCOUNT_PAIRS", few)
    values = np.full(n, 5, dtype=np.uint64)
    assert as_list(near_pairs(values, 3)) == [(0, 1, 0)] * (n == 2)


def test_blocks_join_without_a_gap(monkeypatch) -> None:
    values = planted(100, seed=4)
    whole = as_list(popcount_search(values, values, 12))
    monkeypatch.setattr(hashes, "BLOCK_PAIRS", 700)  # 7 rows at once, which do not divide 100
    assert as_list(popcount_search(values, values, 12)) == whole


def test_packing_keeps_every_bit() -> None:
    bits = np.random.default_rng(0).random((20, 64)) < 0.5
    packed = pack_bits(bits)
    distances = [[(a ^ b).bit_count() for b in packed.tolist()] for a in packed.tolist()]
    assert distances == (bits[:, None] != bits[None]).sum(axis=2).tolist()


def test_the_whole_pictures_hash_is_that_of_imagehash() -> None:
    images = np.stack([draw_pet(BREEDS[0], seed=0, index=i, pixels=32) for i in range(3)])
    expected = pack_bits(np.stack([imagehash.phash(Image.fromarray(image)).hash.ravel() for image in images]))
    assert (phashes(thumbnails(images)) == expected).all()


def test_a_window_of_a_picture_has_the_hash_of_the_crop() -> None:
    images = np.stack([draw_pet(breed, seed=0, index=0, pixels=160) for breed in BREEDS[:8]])
    for window in WINDOWS[1:]:
        left, top, right, bottom = (round(160 * share) for share in window)
        crops = phashes(thumbnails(images[:, top:bottom, left:right]))
        whole = phashes(thumbnails(images))
        matched = np.bitwise_count(phashes(thumbnails(images), window) ^ crops)
        assert matched.max() <= 6
        assert matched.mean() < np.bitwise_count(whole ^ crops).mean() / 2


def test_grey_pictures_have_one_channel() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 1), dtype=np.uint8)
    assert (thumbnails(grey) == thumbnails(grey.repeat(3, axis=3))).all()
