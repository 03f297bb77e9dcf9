"""What the search for near hashes costs, against the double loop that people write, and how it grows.

Theirs: imagehash's own objects, every pair by `a - b`, once over as many hashes as Oxford-IIIT Pet has pictures. Ours:
`near_pairs` over packed words. Then ours with ever more hashes against ours with so many: a set that is k times as
large may take k^1.3 times as long. Random hashes, at the radius of the check.
"""

import math
from dataclasses import replace
from functools import partial

import imagehash
import numpy as np

from benchmarks.ratio import Comparison, Work, in_turn, timed
from pawprint.checks.leakage import Settings
from pawprint.data.hashes import BITS, near_pairs, pack_bits

PETS = 7_390  # pictures of Oxford-IIIT Pet
LARGER = {100_000: 3, 1_000_000: 1}  # hashes → repeats
TARGET, POWER = 0.01, 1.3
REPEATS = 5


def run() -> list[Comparison]:
    """The double loop at the size of the pets, then larger sets against that one."""
    bits = np.random.default_rng(0).random((max(LARGER), BITS)) < 0.5
    hashes, radius = pack_bits(bits), Settings().radius
    return [*compare(bits[:PETS], radius, REPEATS), *grown(hashes, radius, PETS, LARGER)]


def compare(bits: np.ndarray, radius: int, repeats: int) -> list[Comparison]:
    """Hashes (N, BITS) bool."""
    objects = [imagehash.ImageHash(one.reshape(8, 8)) for one in bits]
    theirs = timed(partial(double_loop, objects, radius))()
    ours = in_turn({"ours": timed(partial(near_pairs, pack_bits(bits), radius))}, repeats)["ours"]
    name = f"leakage, {len(bits):,} hashes, within {radius} bits"
    return [Comparison(name, "double loop over imagehash, once", ours, [theirs] * repeats, target=TARGET)]


def grown(hashes: np.ndarray, radius: int, n_least: int, larger: dict[int, int]) -> list[Comparison]:
    """Each larger set's search in turn with that of the first `n_least`."""
    rows = []
    for n, repeats in larger.items():
        works: dict[str, Work] = {
            "more": timed(partial(near_pairs, hashes[:n], radius)),
            "least": timed(partial(near_pairs, hashes[:n_least], radius)),
        }
        seconds = in_turn(works, repeats, warm_up=0 if repeats == 1 else 1)
        row = Comparison(
            f"leakage, {n:,} hashes", f"ours, {n_least:,} hashes", seconds["more"], seconds["least"],
            target=round((n / n_least) ** POWER, 1),
        )  # fmt: skip
        power = math.log(row.ratio.median) / math.log(n / n_least)
        rows.append(replace(row, note=f"leakage: from {n_least:,} to {n:,} hashes as n^{power:.2f}, n^{POWER} asked"))
    return rows


def double_loop(hashes: list[imagehash.ImageHash], radius: int) -> list[tuple[int, int]]:
    found = []
    for i in range(len(hashes)):
        for j in range(i + 1, len(hashes)):
            if hashes[i] - hashes[j] <= radius:
                found.append((i, j))
    return found
