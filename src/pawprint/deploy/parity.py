"""Does a file that was exported answer as the checkpoint does?

Question: whoever has the file alone, and pictures as files: does he get what training's own code got for them?
Method: every picture of test goes both ways. The checkpoint is fed what `prepare` packed, as the stage `test` feeds it;
the exported file is fed what the one decoder makes of the raw file, in batches of 1, 3 and 32 by turns, so that its
number of pictures is seen to be free. Where the source has arrays and no files, each picture is put into a PNG first.
Limit: every answer the same, every probability within 1e-5. Float32 summed in another order differs by some 1e-7 in a
probability; a forgotten standardization, other weights or another decoder differ by far more.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pawprint.data.batches import unit_range
from pawprint.data.decode import Unusable, read_picture
from pawprint.errors import DataError, PawprintError
from pawprint.test_time_augmentation import Answer
from pawprint.types import Split

BATCH_SIZES = (1, 3, 32)
MOST_DIFFERENCE = 1e-5  # of a probability
N_NAMED = 3  # pictures in a message


@dataclass(frozen=True)
class Parity:
    """How an exported file's answers lie to the checkpoint's."""

    expected: np.ndarray  # (N, K) float32 probabilities, the checkpoint's
    found: np.ndarray  # (N, K) float32

    @property
    def numbers(self) -> dict[str, float]:
        return {"same_answers": float(self._same.mean()), "largest_difference": float(self._differences.max())}

    def refuse(self, file: str, names: Sequence[str], class_names: Sequence[str]) -> None:
        """PawprintError that names the pictures, where one is answered otherwise or too differently."""
        bad = np.flatnonzero(~self._same | ~(self._differences <= MOST_DIFFERENCE))  # so that NaN is bad
        if len(bad) == 0:
            return
        lines = [f"  {names[row]}: {self._told(row, class_names)}" for row in bad[:N_NAMED]]
        more = [f"  and {len(bad) - N_NAMED} more"] if len(bad) > N_NAMED else []
        raise PawprintError(
            "\n".join([
                f"{file} does not answer as the checkpoint does: {len(bad)} of {len(names)} pictures of test differ, "
                f"by {self._differences.max():.2g} in a probability; expected: the same answers, within "
                f"{MOST_DIFFERENCE:g}",
                *lines,
                *more,
                "Nothing is exported. Either the file is not the checkpoint's model, or the raw pictures are not those "
                "that data/prepare was made of: `dvc status`",
            ])
        )  # fmt: skip

    @property
    def _same(self) -> np.ndarray:
        return self.expected.argmax(axis=1) == self.found.argmax(axis=1)

    @property
    def _differences(self) -> np.ndarray:
        return np.abs(self.expected.astype(np.float64) - self.found).max(axis=1)

    def _told(self, row: int, class_names: Sequence[str]) -> str:
        expected, found = self.expected[row], self.found[row]
        k = int(np.abs(expected.astype(np.float64) - found).argmax())
        if expected.argmax() == found.argmax():
            return f"{class_names[k]} {found[k]:.6f}, the checkpoint's {expected[k]:.6f}"
        answer, right = int(found.argmax()), int(expected.argmax())
        return f"{class_names[answer]} {found[answer]:.6f}, the checkpoint's {class_names[right]} {expected[right]:.6f}"


def raw_files(split: Split, fetched: Path) -> list[Path | bytes]:
    """The pictures of a split as they came; where they came as arrays, as PNGs in memory."""
    if (fetched / "images.npy").is_file():
        return [_as_png(image) for image in split.images]
    return [fetched / "images" / name for name in split.names]


def answers_to_files(
    answers: dict[str, Answer], files: Sequence[Path | bytes], shape: tuple[int, int, int]
) -> dict[str, np.ndarray]:
    """What each of the models answers to pictures in files, probabilities (N, K) float32; each file is decoded once.

    Raises DataError for a file that is no picture any more.
    """
    found: dict[str, list[torch.Tensor]] = {name: [] for name in answers}
    for batch in _in_turn(files):
        images = unit_range(np.stack([_decoded(file, shape) for file in batch]))
        for name, answer in answers.items():
            found[name].append(answer([images]))
    return {name: torch.cat(parts).exp().float().numpy() for name, parts in found.items()}


def _in_turn(files: Sequence[Path | bytes]) -> Iterator[Sequence[Path | bytes]]:
    start = 0
    for size in cycle(BATCH_SIZES):
        if start >= len(files):
            return
        yield files[start : start + size]
        start += size


def _decoded(file: Path | bytes, shape: tuple[int, int, int]) -> np.ndarray:
    try:
        return read_picture(file, shape[1], shape[0])
    except Unusable as error:
        raise DataError(f"{file if isinstance(file, Path) else 'a PNG'}: {error}; run `dvc repro fetch`") from None


def _as_png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(content, "PNG")
    return content.getvalue()
