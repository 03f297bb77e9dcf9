"""Files that are no weights and no state: made by other programs, by accidents, and by people who mean harm.

The pickles among them leave a file, the canary, wherever they are loaded.
"""

import io
import json
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pawprint.training.checkpoint import digest

Make = Callable[[Path], object]  # writes the bad file
ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


class Payload:
    """Unpickled, it opens the canary for writing."""

    def __init__(self, canary: Path) -> None:
        self.canary = str(canary)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.canary, "w")


def laid_out(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """As safetensors files are: the header's length, the header, the numbers."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def pickles(canary: Path) -> dict[str, bytes]:
    payload = Payload(canary)
    as_array = np.empty(1, dtype=object)
    as_array[0] = payload
    files = {f"a pickle of protocol {number}": pickle.dumps(payload, number) for number in range(6)}
    files["a state dict that torch saved"] = _saved({"w": torch.zeros(2)})
    files["what torch saved"] = _saved({"w": payload})
    files["what torch once saved"] = _saved({"w": payload}, _use_new_zipfile_serialization=False)
    files["an archive of torch.jit"] = _scripted()
    files["an array of objects"] = _written(lambda file: np.save(file, as_array, allow_pickle=True))
    files["several arrays, one of objects"] = _written(lambda file: np.savez(file, as_array))
    files["a zip bomb"] = _zip_bomb()
    return files


def broken(good: bytes) -> dict[str, bytes]:
    """safetensors that are not sound; `good` is one that is."""
    (length,) = struct.unpack("<Q", good[:8])
    header = json.loads(good[8 : 8 + length])
    first = next(name for name in header if name != "__metadata__")
    numbers = good[8 + length :]

    def entry(**changes: Any) -> bytes:
        return laid_out({**header, first: {**header[first], **changes}}, numbers)

    start, end = header[first]["data_offsets"]
    deep = b"[" * 100_000
    infinite = json.dumps({"a": {**ENTRY, "shape": [1]}}).replace("[1]", "[1e999]").encode()
    six_bits = {"a": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]}}
    return {
        "an empty file": b"",
        "seven bytes": b"1234567",
        "a page of a website": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "a pointer to a file elsewhere": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "a header of 2**63 bytes": laid_out(b"{}", length=2**63),
        "a header of 2**64 - 1 bytes": laid_out(b"{}", length=2**64 - 1),
        "a header that is longer than the file": laid_out(header, numbers, length=len(good)),
        "a header of 100 MB": laid_out(b'{"__metadata__": {"a": "' + b"x" * 100_000_000 + b'"}}'),
        "a header that is not JSON": laid_out(b"hello"),
        "a header that is a list": laid_out([header], numbers),
        "a header that is not UTF-8": laid_out(b'{"\xff": 1}'),
        "a header that nests lists": laid_out(deep + b"]" * 100_000),
        "a header that nests mappings": laid_out(b'{"a": ' * 100_000),
        "a header with a number too large": laid_out(infinite, bytes(4)),
        "a name twice": laid_out(json.dumps({"a": ENTRY, "b": ENTRY}).replace('"b"', '"a"').encode(), bytes(4)),
        "half a character in a name": laid_out(json.dumps({"\ud800": ENTRY}).encode(), bytes(4)),
        "metadata that is a list": laid_out({**header, "__metadata__": [1]}, numbers),
        "metadata that is numbers": laid_out({**header, "__metadata__": {"a": 1}}, numbers),
        "offsets that overlap": laid_out({"a": ENTRY, "b": ENTRY}, bytes(4)),
        "offsets that leave a gap": laid_out({"a": {**ENTRY, "data_offsets": [4, 8]}}, bytes(8)),
        "offsets out of range": entry(data_offsets=[start, end + 10**6]),
        "offsets of 2**63": entry(data_offsets=[2**63, 2**63 + 4]),
        "offsets below 0": entry(data_offsets=[-4, end]),
        "offsets the wrong way round": entry(data_offsets=[end, start]),
        "a shape below 0": entry(shape=[-1]),
        "a shape of 2**80 numbers": entry(shape=[2**40, 2**40]),
        "a shape that the numbers do not fill": entry(shape=[10**9]),
        "a type that does not exist": entry(dtype="F99"),
        "a type that torch lacks": laid_out(six_bits, bytes(3)),
        "more bytes than numbers": good + bytes(8),
        "cut in the header": good[: 8 + length // 2],
        "cut in the numbers": good[:-3],
        "cut after the length": good[:8],
        "no numbers": good[: 8 + length],
    }  # fmt: skip


def unfit(weights: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Whole files of weights that are not this model's."""
    first, *rest = weights
    others = {name: weights[name] for name in rest}
    return {
        "no tensors at all": {},
        "a tensor missing": others,
        "a tensor more": {**weights, "more": torch.zeros(1)},
        "a tensor of another name": {**others, "other": weights[first]},
        "a tensor of another shape": {**weights, first: weights[first][:1]},
        "a tensor of no size": {**weights, first: torch.zeros(0)},
        "a tensor of no size, and of a large shape": {**weights, first: torch.zeros(0, 2**40)},
        "doubles": {**weights, first: weights[first].double()},
        "halves": {**weights, first: weights[first].half()},
        "integers": {**weights, first: weights[first].int()},
        "complex numbers": {**weights, first: weights[first].to(torch.complex64)},
        "truth values": {**weights, first: weights[first] > 0},
    }


def skeletons(tensors: dict[str, torch.Tensor]) -> dict[str, str | None]:
    """What stands where a state's skeleton should, beside the one tensor `000000`; None: nothing stands there.

    The hash, where there is one, is right: what is wrong with them is to be found by itself.
    """

    def of(state: Any) -> str:
        return json.dumps({"format": 1, "sha256": digest(state, tensors), "state": state})

    deep: Any = {"tensor": "000000"}
    for _ in range(80):
        deep = {"list": [deep]}
    return {
        "no skeleton": None,
        "not JSON": "{",
        "nothing": "",
        "nesting without end": "[" * 100_000,
        "a number of 5,000 digits": of(None).replace("null", "9" * 5000),
        "a state of format 0": json.dumps({"dict": [["a", {"tensor": "000000"}]]}),
        "a state of a newer format": json.dumps({"format": 2, "state": {"tensor": "000000"}}),
        "a hash of something else": of({"tensor": "000000"}).replace('"sha256": "', '"sha256": "0'),
        "no hash": json.dumps({"format": 1, "state": {"tensor": "000000"}}),
        "a tensor in two places": of({"list": [{"tensor": "000000"}, {"tensor": "000000"}]}),
        "a format that is no number": json.dumps({"format": [1], "state": {"tensor": "000000"}}),
        "no state": json.dumps({"format": 1}),
        "a list": "[]",
        "a number": "1",
        "an unknown kind": of({"object": "os.system"}),
        "two kinds": of({"tensor": "000000", "value": 1}),
        "no kind": of({}),
        "a tensor that is not there": of({"list": [{"tensor": "000000"}, {"tensor": "000001"}]}),
        "a tensor by number": of({"tensor": 0}),
        "a tensor that nothing refers to": of({"value": 1}),
        "a value that is a list": of({"list": [{"tensor": "000000"}, {"value": [1]}]}),
        "a list that is text": of({"list": "000000"}),
        "a dict that is a list of names": of({"dict": ["a"]}),
        "a dict whose key is a list": of({"dict": [[["a"], {"tensor": "000000"}]]}),
        "a dict whose entry has three parts": of({"dict": [["a", {"tensor": "000000"}, 1]]}),
        "eighty levels": of(deep),
    }


def odd_places() -> dict[str, Make]:
    """What stands where a file should."""
    return {
        "a folder": Path.mkdir,
        "a pipe": os.mkfifo,
        "a link to a device without end": lambda path: path.symlink_to("/dev/zero"),
        "a link to a folder": lambda path: path.symlink_to(path.parent),
        "a link to itself": lambda path: path.symlink_to(path),
    }


def _saved(content: Any, **options: Any) -> bytes:
    return _written(lambda file: torch.save(content, file, **options))


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _scripted() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # such files will be around for long
        return _written(lambda file: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file))


def _zip_bomb() -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(50_000_000))

    return _written(write)
