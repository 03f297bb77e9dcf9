"""Weights and states: what is none is refused with a reason, nothing in it runs, and no claim of its costs anything."""

import json
import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from pawprint.errors import PawprintError
from pawprint.training.checkpoint import load_weights, read_state, save_state, save_weights
from tests.guarantees.bad_tensors import Make, broken, odd_places, pickles, skeletons, unfit
from tests.guarantees.row import Row

LONGEST_SECONDS = 20  # of one file; a named pipe would be waited for without end
SPARE_BYTES = 1_500_000_000  # of addresses that reading may take: a file of 100 MB is mapped, its header parsed
STATE = {"model": {"w": torch.arange(6.0).reshape(2, 3)}, "step": 3, "best": float("inf"), "betas": (0.9, [None, True])}

LOADED = "it was loaded"
Verdict = str | None  # why a file is not answered as it should be; None: it is


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def bad_checkpoints(scratch: Path, n_cut: int, number: int, failures: list[str] | None = None) -> list[Row]:
    """Rows on weights and states; `n_cut` files of each are damaged at random, `failures` is filled."""
    failures = [] if failures is None else failures
    scratch.mkdir(parents=True, exist_ok=True)
    canary = scratch / "canary"
    weights, states = _bad_weights(scratch, canary), _bad_states(scratch, canary)
    told = {
        "what is no weights file is refused, and nothing in it runs": _tried(scratch, weights, _load_weights, canary),
        "what is no state is refused, and nothing in it runs": _tried(scratch, states, read_state, canary),
        "weights damaged at random places are refused, or other weights": _damaged(
            scratch, n_cut, number, _good_weights(scratch), _load_weights
        ),
        "a state damaged at random places is refused": _damaged(
            scratch, n_cut, number, _good_state(scratch), read_state
        ),
    }
    hows = (
        "pickles of each protocol, torch.save, torch.jit, .npy, a zip bomb, unsound safetensors, weights of another "
        "model, pipes, devices; an error that names the file, no canary, within 1.5 GB of addresses",
        "the same, and skeletons that are not ours, or of another format",
        "a bit flipped, bytes cut, added or exchanged; an error that names the file (of weights DVC knows the hash)",
        "the same; the state holds its own hash",
    )
    for verdicts in told.values():
        failures += [verdict for verdict in verdicts if verdict]
    return [
        Row(guarantee, len(verdicts), verdicts.count(None), how)
        for (guarantee, verdicts), how in zip(told.items(), hows, strict=True)
    ]


@contextmanager
def bounded() -> Iterator[None]:
    """Inside, too much time raises TimeoutError, and too much memory MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    handler = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (now + SPARE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


def refused(path: Path, load: Callable[[Path], object]) -> Verdict:
    """Whether loading ends in a PawprintError that names the file."""
    try:
        with bounded():
            load(path)
    except PawprintError as error:
        said = str(error)
        if str(path) not in said or "memory" in said or len(said) > 2000 + len(str(path)):
            return f"said {said[:500]}"
        return None
    except Exception as error:  # noqa: BLE001 any other error is what must not be
        return f"{type(error).__name__}: {error}"
    return LOADED


def _tried(scratch: Path, files: dict[str, Make], load: Callable[[Path], object], canary: Path) -> list[Verdict]:
    """A verdict for each file."""
    verdicts: list[Verdict] = []
    for number, (what, make) in enumerate(files.items()):
        path = scratch / f"{load.__name__}-{number}.safetensors"
        make(path)
        verdict = refused(path, load)
        if canary.exists():
            canary.unlink()
            verdict = "its code ran"
        verdicts.append(verdict and f"{what}: {verdict}")
    return verdicts


def _bad_weights(scratch: Path, canary: Path) -> dict[str, Make]:
    files = _of_bytes({**pickles(canary), **broken(_good_weights(scratch))})
    for what, weights in unfit(model().state_dict()).items():
        files[what] = lambda path, weights=weights: save_weights(path, weights)
    files["a state in place of weights"] = lambda path: save_state(path, STATE)
    return {**files, **odd_places()}


def _bad_states(scratch: Path, canary: Path) -> dict[str, Make]:
    files = _of_bytes({**pickles(canary), **broken(_good_state(scratch))})
    tensors = {"000000": torch.zeros(2)}
    for what, skeleton in skeletons(tensors).items():
        metadata = None if skeleton is None else {"skeleton": skeleton}
        files[f"a skeleton: {what}"] = lambda path, metadata=metadata: path.write_bytes(save(tensors, metadata))
    files["weights in place of a state"] = lambda path: save_weights(path, model().state_dict())
    return {**files, **odd_places()}


def _of_bytes(contents: dict[str, bytes]) -> dict[str, Make]:
    return {what: lambda path, content=content: path.write_bytes(content) for what, content in contents.items()}


def _damaged(scratch: Path, n: int, number: int, good: bytes, load: Callable[[Path], object]) -> list[Verdict]:
    """Random damage, more of it in the header than its share. Weights with another number in them are weights."""
    draws, path = random.Random(number), scratch / f"damaged-{load.__name__}.safetensors"
    length = int.from_bytes(good[:8], "little")
    verdicts = []
    for _ in range(n):
        place = draws.randrange(8 + length if draws.random() < 0.8 else len(good))
        kind = draws.choice(["flip", "cut", "add", "exchange"])
        content = bytearray(good)
        if kind == "flip":
            content[place] ^= 1 << draws.randrange(8)
        elif kind == "cut":
            del content[place : place + draws.choice([1, 7, 10**9])]
        elif kind == "add":
            content[place:place] = draws.randbytes(draws.choice([1, 8, 100]))
        else:
            content[place : place + 4] = draws.randbytes(4)
        path.write_bytes(content)
        verdict = refused(path, load)
        only_numbers = load is _load_weights and len(content) == len(good)
        may_load = bytes(content) == good or only_numbers
        verdicts.append(verdict and (None if may_load and verdict == LOADED else f"{kind} at {place}: {verdict}"))
    return verdicts


def _good_weights(scratch: Path) -> bytes:
    save_weights(scratch / "good", model().state_dict())
    return (scratch / "good").read_bytes()


def _good_state(scratch: Path) -> bytes:
    save_state(scratch / "good", STATE)
    assert json.dumps(read_state(scratch / "good")["betas"]) == json.dumps(STATE["betas"])
    return (scratch / "good").read_bytes()


def _load_weights(path: Path) -> nn.Module:
    return load_weights(path, model())


def _too_long(*_: object) -> None:
    raise TimeoutError(f"not refused within {LONGEST_SECONDS} seconds")
