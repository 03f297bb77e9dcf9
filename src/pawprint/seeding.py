"""Randomness that can be named: every random choice is a function of a seed and of what it is for.

Batch order and augmentation come from counter-based generators (Philox) keyed by (seed, epoch, purpose), so
they depend neither on what ran before nor on how the work is divided. Weights and dropout come from torch's
generator, seeded once a run and saved with the resumable state.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pawprint.memory import keep_freed_memory


def generator(purpose: str, *key: int) -> np.random.Generator:
    """A generator for one purpose (`"order"`, `"augment"` …) and key (seed, epoch …), all non-negative."""
    stream = zlib.crc32(purpose.encode())
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([stream, *key])))


def seed_run(seed: int, threads: int) -> None:
    """Seed torch and fix what else decides the bytes of a training, thread count and algorithms; keep its memory.

    Torch fills new memory with NaN beside deterministic algorithms, for programs that read what they never wrote:
    ours do not, and the filling is a tenth of a step at 32 px.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a module with properties
    keep_freed_memory()
    torch.manual_seed(seed)


@contextmanager
def preserve_rng() -> Iterator[None]:
    """Whatever is drawn inside leaves torch's and NumPy's global generators as they were."""
    numpy_state = np.random.get_state()
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
