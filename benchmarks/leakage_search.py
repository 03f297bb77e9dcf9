"""What the search for near hashes costs, against the double loop that people write, and how it grows.

Theirs: imagehash's own objects, every pair by `a - b`. Ours: `near_pairs` over packed words. Random hashes: the search
looks at every pair whatever they are. The double loop over the 7,390 pictures of Oxford-IIIT Pet is run once.
"""

import math
from functools import partial
from itertools import pairwise

import imagehash
import numpy as np

from benchmarks.ratio import Comparison, in_turn, timed
from pawprint.checks.leakage import Settings
from pawprint.data.hashes import BITS, near_pairs, pack_bits

PETS = 7_390  # pictures of Oxford-IIIT Pet
GROWTH = (7_390, 30_000, 100_000, 300_000)  # hashes, of which our search alone is timed
REPEATS = 3


def run() -> list[Comparison]:
    """The double loop at the size of the pets, and our growth from size to size as a note."""
    bits = np.random.default_rng(0).random((max(GROWTH), BITS)) < 0.5
    hashes, radius = pack_bits(bits), Settings().radius
    objects = [imagehash.ImageHash(one.reshape(8, 8)) for one in bits[:PETS]]
    theirs = timed(partial(_double_loop, objects, radius))()
    ours = in_turn({"ours": timed(partial(near_pairs, hashes[:PETS], radius))}, REPEATS)["ours"]
    times = {n: timed(partial(near_pairs, hashes[:n], radius))() for n in GROWTH[1:]}
    times = {PETS: sorted(ours)[len(ours) // 2], **times}
    powers = [
        f"n^{math.log(times[b] / times[a]) / math.log(b / a):.2f} to {b:,} ({times[b]:.1f} s)"
        for a, b in pairwise(GROWTH)
    ]
    note = f"leakage: our search grows as {', '.join(powers)}; it looks at every pair, which is exact"
    return [Comparison(f"leakage, {PETS:,} hashes", "double loop over imagehash", ours, [theirs] * REPEATS, note)]


def _double_loop(hashes: list[imagehash.ImageHash], radius: int) -> list[tuple[int, int]]:
    found = []
    for i in range(len(hashes)):
        for j in range(i + 1, len(hashes)):
            if hashes[i] - hashes[j] <= radius:
                found.append((i, j))
    return found
