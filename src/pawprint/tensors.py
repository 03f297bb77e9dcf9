"""Tensors in a file, read with suspicion: safetensors, which holds numbers and text, and nothing that could run.

What a file claims to be is held against what it is before anything is made of it, so that no claim costs memory.
"""

import json
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from pawprint.errors import PawprintError, shown

LENGTH_BYTES = 8  # of the header's length, with which a safetensors file begins
MAX_HEADER_BYTES = 10_000_000  # names, shapes and a state's skeleton; ResNet-18's weights have 15 kB
N_NAMED = 3  # tensors in a message
RUNS_CODE = {b"PK\x03\x04": "a zip archive, as torch.save writes", b"\x80": "a pickle, as torch.save once wrote"}


@dataclass(frozen=True)
class Tensors:
    """What a safetensors file holds."""

    by_name: dict[str, torch.Tensor]
    metadata: dict[str, str]


def read_tensors(path: Path) -> Tensors:
    """The tensors and the text of a whole file; FileNotFoundError, or PawprintError that says what is wrong with it."""
    reason = _why_unreadable(path)
    if reason is None:
        try:
            with safe_open(path, framework="pt") as file:
                by_name = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return Tensors(by_name, file.metadata() or {})
        except (SafetensorError, RuntimeError, ValueError, TypeError, OSError) as error:
            reason = str(error)
    raise PawprintError(f"{path}: not a whole safetensors file ({reason})")


def why_unfit(given: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> str | None:
    """How names, shapes or number types of `given` differ from `expected`; None if they do not."""
    differences = {
        "missing": [name for name in expected if name not in given],
        "not expected": [shown(name) for name in given if name not in expected],
        "of another shape": [
            f"{name} {list(given[name].shape)}, expected {list(expected[name].shape)}"
            for name in expected
            if name in given and given[name].shape != expected[name].shape
        ],
        "of another type": [  # torch would convert it without a word
            f"{name} {given[name].dtype}, expected {expected[name].dtype}"
            for name in expected
            if name in given and given[name].dtype != expected[name].dtype
        ],
    }
    told = [f"{len(names)} {what} ({_listed(names)})" for what, names in differences.items() if names]
    return "; ".join(told) or None


def _listed(names: list[str]) -> str:
    return ", ".join(names[:N_NAMED]) + (" …" if len(names) > N_NAMED else "")


def _why_unreadable(path: Path) -> str | None:
    """What a look at the file's kind, size and header finds."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a named pipe would be waited for, a device never ends
            return "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        with path.open("rb") as file:
            start = file.read(LENGTH_BYTES)
            if len(start) < LENGTH_BYTES:
                return f"{len(start)} bytes long"
            (length,) = struct.unpack("<Q", start)
            if length > min(MAX_HEADER_BYTES, status.st_size - LENGTH_BYTES):
                kinds = (kind for magic, kind in RUNS_CODE.items() if start.startswith(magic))
                unsafe = next((f"{kind}: it may hold code, and is not opened" for kind in kinds), None)
                return unsafe or f"its header claims {length:,} bytes, of {status.st_size:,} in all"
            json.loads(file.read(length), object_pairs_hook=_once)
    except FileNotFoundError:
        raise
    except OSError as error:
        return str(error.strerror)
    except (ValueError, RecursionError) as error:
        return f"its header is not JSON: {error}"
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("a name stands twice")
    return entries
