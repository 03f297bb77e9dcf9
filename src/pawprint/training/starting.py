"""A training that cannot start, or cannot go on for what this machine has: the setting to change is told.

Torch, NumPy and the operating system say what they lacked, each in its own words and none in the settings'. Here the
words are sorted into four causes by what is known of them: memory (of the processor, of an accelerator), the device
itself, a model that does not fit the size of its pictures, and the processes that make batches. What is none of these
goes on as it was raised. A process that the system kills for its memory says nothing any more; nor can it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from pawprint.errors import SettingsError
from pawprint.types import Data, RunSpec

Cause = Literal["workers", "memory", "device", "shape"]
FAULTS = (RuntimeError, ValueError, MemoryError, OSError)  # what torch, NumPy and the system raise
# In this order: a worker's death or a full /dev/shm also speaks of memory, and lack of memory of shapes.
WORDS: dict[Cause, re.Pattern[str]] = {
    "workers": re.compile(
        r"DataLoader worker \(pid.*(killed|exited)|shared memory|/dev/shm|/torch_\d+|Too many open files"
        r"|received \d+ items of ancdata|Resource temporarily unavailable", re.DOTALL),
    "memory": re.compile(
        r"out of memory|can't allocate memory|cannot allocate memory|not enough memory|unable to allocate"
        r"|ALLOC_FAILED|bad_alloc|could not create a (primitive|memory)|Invalid buffer size|Storage size calculation"
        r" overflowed", re.IGNORECASE),
    "device": re.compile(
        r"No CUDA GPUs are available|CUDA driver|no kernel image is available|devices are busy|NVIDIA driver"
        r"|not compiled with CUDA|invalid device ordinal|no supported gpu backend", re.IGNORECASE),
    "shape": re.compile(
        r"Output size is too small|Kernel size can't be greater|Calculated padded input size"
        r"|shapes cannot be multiplied|to have \d+ channels|Expected more than 1 value per channel"
        r"|size mismatch|Sizes of tensors must match|must match the size of tensor|shape '.*' is invalid"),
}  # fmt: skip
ASKED = re.compile(
    r"(?:tried to allocate|unable to allocate)\s+(?P<n>[\d.]+)\s*(?P<unit>bytes|[KMGT]i?B)", re.IGNORECASE
)
SINGLE = "Expected more than 1 value per channel"  # batch normalization's, of a batch of one
WIDTHS = {"mlp": ("mlp_widths",), "cnn": ("cnn_widths", "cnn_hidden", "cnn_grid"), "resnet18": ()}


@contextmanager
def told_by_setting(spec: RunSpec, data: Data, workers: int = 0) -> Iterator[None]:
    """Raise what torch, NumPy or the system lack as a SettingsError that names the setting; all else as it is."""
    try:
        yield
    except FAULTS as error:
        told = setting_to_change(error, spec, data, workers)
        if told is None:
            raise
        raise SettingsError([f"{spec.variant}: {told}"]) from error


def setting_to_change(error: BaseException, spec: RunSpec, data: Data, workers: int = 0) -> str | None:
    """What was found and which setting to change; None for an error of another kind."""
    match cause_of(error):
        case "workers" if workers:
            return _of_workers(error, workers)
        case "memory":
            return _of_memory(error, spec, data, workers)
        case "device":
            return (
                f"accelerator: {spec.accelerator}: the device cannot be used here ({_first_line(error)}); set "
                "accelerator: cpu, or mend the driver"
            )
        case "shape":
            return _of_shape(error, spec, data)
    return None


def cause_of(error: BaseException) -> Cause | None:
    said = str(error)
    found = next((cause for cause, words in WORDS.items() if words.search(said)), None)
    return "memory" if found is None and isinstance(error, MemoryError) else found


def _of_memory(error: BaseException, spec: RunSpec, data: Data, workers: int) -> str:
    asked = ASKED.search(str(error))
    size = f" for {_bytes(asked['n'], asked['unit'])} more" if asked else ""
    where = "the accelerator's memory" if "CUDA" in str(error) else "memory"
    widths = [f"{name} {_value(spec, name)}" for name in WIDTHS[spec.model] if getattr(spec, name)]
    model = f"the model ({', '.join(widths)})" if widths else f"the model ({spec.model})"
    others = " or unlabelled_ratio" if spec.learns_unlabelled else ""
    own = f", or fewer workers (workers: {workers})" if workers else ""
    return (
        f"batch_size: {spec.batch_size} pictures of {_shape(data)} and {spec.model}: {where} has no room{size}; lower "
        f"batch_size{others} first, then data.image_size, or make {model} smaller{own}"
    )


def _of_shape(error: BaseException, spec: RunSpec, data: Data) -> str:
    said = _first_line(error)
    if SINGLE in said:
        return (
            f"batch_size: {spec.batch_size}: {spec.model}'s batch normalization has no variance of a single value "
            f"({said}); set batch_size: 2 or more, or a larger data.image_size"
        )
    if spec.model == "cnn":
        n = len(spec.cnn_widths)
        return (
            f"cnn_widths: {n} convolutions, each of which halves the picture, do not fit pictures of {_shape(data)} "
            f"({said}); expected at most {max(1, min(data.image_shape[1:]).bit_length() - 1)}: list fewer cnn_widths, "
            "or raise data.image_size"
        )
    return (
        f"model: {spec.model} does not fit pictures of {_shape(data)} ({said}); set another model or data.image_size, "
        "or prepare the pictures anew: dvc repro prepare"
    )


def _of_workers(error: BaseException, workers: int) -> str:
    said = _first_line(error)
    return (
        f"workers: {workers} processes that make batches ahead: one was killed, or could not be started or answer "
        f"({said}); lower workers, or set workers: 0, which needs neither memory of theirs nor /dev/shm"
    )


def _first_line(error: BaseException) -> str:
    """Of what was said; of an error that came from a worker, the last line, which is its own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if lines[0].startswith("Caught ") else 0].rstrip(".")


def _bytes(number: str, unit: str) -> str:
    if unit.lower() != "bytes":
        return f"{number} {unit}"
    return f"{float(number) / 2**30:.3g} GiB"


def _shape(data: Data) -> str:
    channels, height, width = data.image_shape
    return f"{height} x {width} px ({channels} channel{'s' * (channels != 1)})"


def _value(spec: RunSpec, name: str) -> str:
    value = getattr(spec, name)
    return str(list(value)) if isinstance(value, tuple) else str(value)
