"""Memory that a step frees is kept for the next.

glibc gives large blocks back to the system as soon as they are freed, and the system clears every page that it hands
out again: of a step of ResNet-18 on a processor that is about a tenth (docs/benchmarks.md, `step`). A training needs as
much in the next step, so nothing is given back before it ends. At 224 px it then needs some 8 % more at most.
"""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of glibc's malloc.h
NEVER = -1


def keep_freed_memory() -> None:
    """From now on this process keeps what it frees; nothing happens where malloc is not glibc's."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)  # large blocks come from the heap, too, which is
        mallopt(TRIM_THRESHOLD, NEVER)  # never made smaller
