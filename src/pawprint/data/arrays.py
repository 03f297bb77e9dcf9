"""Arrays in .npy files, memory-mapped and never unpickled: an array of objects, which could run code, is refused."""

from pathlib import Path

import numpy as np

from pawprint.errors import DataError


def read_array(path: Path, kind: type[np.generic], n_dimensions: int) -> np.ndarray:
    """The array in the file, read-only; DataError if there is none of this kind and number of dimensions.

    What is mapped costs no memory, whatever size the file claims; one that it does not have is refused.
    """
    if not path.is_file():
        raise DataError(f"{path}: {'expected a file' if path.exists() else 'no such file'}")
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, OverflowError, TypeError, SyntaxError) as error:
        raise DataError(f"{path}: not a whole .npy file of numbers ({error})") from None
    if array.dtype != kind or array.ndim != n_dimensions:
        found = f"{array.dtype} in {array.ndim}"
        raise DataError(f"{path}: expected {kind.__name__} in {n_dimensions} dimensions, found {found}")
    return array
