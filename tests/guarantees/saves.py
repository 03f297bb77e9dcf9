"""SIGKILL in the middle of saving a state, with TMPDIR on another file system; then files that are cut or damaged."""

import os
import random
import signal
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import torch

from pawprint.types import RunSpec
from tests.guarantees.forks import fork_server
from tests.guarantees.row import Row

OTHER_FILE_SYSTEM = Path("/dev/shm")
N_VALUES = 1_000_000  # 4 MB: a save takes long enough to be hit


def resumable() -> Any:
    """The place of a training's state, of no training in particular."""
    from pawprint.training.resumable import Resumable

    return Resumable(RunSpec(study="s", variant="v", run="r", seed=0), {"settings": "a", "code": "b"})


def state(number: int) -> dict[str, Any]:
    """All of it says which save it belongs to."""
    return {"number": number, "weights": torch.full((N_VALUES,), float(number))}


def is_whole(saved: dict[str, Any] | None) -> bool:
    return saved is not None and bool((saved["weights"] == saved["number"]).all())


def save_for_ever(folder: Path, first: int, last_done: "Synchronized[int]") -> None:
    """What is killed. `last_done`: the number of the last save that came to its end."""
    os.environ["PAWPRINT_RUNS"] = str(folder)
    os.environ["TMPDIR"] = str(OTHER_FILE_SYSTEM)
    place, number = resumable(), first
    while True:
        place.save(state(number))
        last_done.value = number
        number += 1


def killed_saves(folder: Path, n: int, seed: int) -> Row:
    """SIGKILL `n` times; after each the state is whole, and not older than the last save that came to its end."""
    context, draws, held = fork_server(), random.Random(seed), 0
    last_done = context.Value("q", 0)
    for _ in range(n):
        begun = last_done.value
        process = context.Process(target=save_for_ever, args=(folder, begun + 1, last_done))
        process.start()
        deadline = time.monotonic() + 60
        while last_done.value == begun and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(draws.uniform(0, 0.03))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        saved = resumable().load()
        held += is_whole(saved) and saved["number"] >= last_done.value - 1
        last_done.value = max(last_done.value, saved["number"])
    how = "SIGKILL while a state is saved again and again, TMPDIR on another file system; the state read afterwards is "
    return Row("a save that is killed leaves a whole state", n, held, how + "whole, and the last one or the one before")


def damaged_states(folder: Path, n: int, seed: int) -> Row:
    """The newest of two states is cut short or has one bit turned: the one before it is taken."""
    draws, held = random.Random(seed), 0
    for number in range(n):
        place = resumable()
        place.save(state(2 * number))
        place.save(state(2 * number + 1))
        content = bytearray(place.file.read_bytes())
        if draws.random() < 0.5:
            del content[draws.randrange(len(content)):]  # fmt: skip
        else:
            content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        place.file.write_bytes(content)
        saved = place.load()
        held += is_whole(saved) and saved["number"] == 2 * number
    how = "the newest state cut at a random byte, or one bit of it turned; what is read is the one before it, whole"
    return Row("a damaged state is passed over for the one before it", n, held, how)
