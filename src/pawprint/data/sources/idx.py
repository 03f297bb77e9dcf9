"""Arrays in idx files, in which MNIST and its kin are handed out.

The format (LeCun, Cortes and Burges, "The MNIST database of handwritten digits"): two zero bytes, a byte for the type
of number, a byte for how many dimensions there are; the dimensions, each as a big-endian integer of four bytes; the
numbers, the last dimension running fastest. Only unsigned bytes are read, which is what pictures and labels are.

A file is unpacked if its content is gzip's, whatever its name says, and never further than to the array that is
expected: what a small file may unpack to has no limit.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pawprint.errors import DataError

GZIP = b"\x1f\x8b"  # first bytes
UNSIGNED_BYTE = 0x08
ADVICE = "fetch the file again"


def read_idx(path: Path, shape: tuple[int, ...], most: int) -> np.ndarray:
    """The examples in a file, (N, *shape) uint8, 1 <= N <= `most`; `shape` is one example's.

    Raises DataError, with what was found and expected: not such a file, of another shape, with more than `most`
    examples, cut short, or damaged.
    """
    try:
        with path.open("rb") as packed:
            is_packed = packed.read(len(GZIP)) == GZIP
            packed.seek(0)
            if not is_packed:
                return _read(path, packed, shape, most)
            with gzip.open(packed) as file:
                return _read(path, file, shape, most)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except EOFError:
        raise DataError(f"{path}: cut short (gzip's end is missing); {ADVICE}") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged, it cannot be unpacked ({error}); {ADVICE}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _read(path: Path, file: BinaryIO | gzip.GzipFile, shape: tuple[int, ...], most: int) -> np.ndarray:
    n_dimensions = 1 + len(shape)
    magic = bytes([0, 0, UNSIGNED_BYTE, n_dimensions])
    found = file.read(len(magic))
    if found != magic:
        raise DataError(
            f"{path}: begins with {found.hex(' ') or 'nothing'}; expected {magic.hex(' ')}, an idx file of unsigned"
            f" bytes in {n_dimensions} dimensions: is it another file under this name?"
        )
    header = file.read(4 * n_dimensions)
    if len(header) < 4 * n_dimensions:
        raise DataError(f"{path}: cut short in its first {4 + 4 * n_dimensions} bytes; {ADVICE}")
    n, *of_one = (int(size) for size in np.frombuffer(header, dtype=">u4"))
    if tuple(of_one) != shape or not 1 <= n <= most:
        sizes, expected = _by([n, *of_one]), _by([f"1 to {most:,}", *shape])
        raise DataError(f"{path}: holds {sizes}; expected {expected}: is it another set's?")
    n_bytes = math.prod((n, *shape))
    content = file.read(n_bytes + 1)  # one more: whether there is more, and with gzip its checksum
    if len(content) != n_bytes:
        count = f"{len(content):,}" if len(content) < n_bytes else "more"
        cut = "cut short" if len(content) < n_bytes else "too long"
        raise DataError(f"{path}: {cut}: {count} bytes follow where {_by([n, *shape])} are {n_bytes:,}; {ADVICE}")
    return np.frombuffer(content, dtype=np.uint8).reshape(n, *shape)


def _by(sizes: list[int | str]) -> str:
    return " x ".join(str(size) for size in sizes)
