"""Memory that is freed stays with the process that asked for it."""

import subprocess
import sys

import pytest

HELD_AFTER = """
import numpy as np, psutil
{first}
def held():
    return psutil.Process().memory_info().rss
before = held()
for _ in range(2):
    block = np.ones({n_bytes}, dtype=np.uint8)
    del block
print(held() - before)
"""
N_BYTES = 100_000_000
KEEP = "from pawprint.memory import keep_freed_memory; keep_freed_memory()"
SEED = "from pawprint.seeding import seed_run; seed_run(0, 1)"  # as each training begins


@pytest.mark.skipif(sys.platform != "linux", reason="it is about glibc's malloc")
def test_what_is_freed_is_kept_and_used_again() -> None:
    def held_after(first: str) -> int:
        program = HELD_AFTER.format(first=first, n_bytes=N_BYTES)
        return int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout)

    assert held_after("") < N_BYTES / 2  # what there is to be changed
    for first in (KEEP, SEED):
        assert N_BYTES / 2 < held_after(first) < 1.5 * N_BYTES
