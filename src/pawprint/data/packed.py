"""Prepared data: every picture decoded once, in arrays that training memory-maps.

A prepared folder holds, for each part of train, val and test, and for unlabelled where there are such pictures,

    {part}_images.npy    (N, H, W, C) uint8
    {part}_labels.npy    (N,) int64, index into class_names; of unlabelled pictures the hidden one, or -1: nobody knows
    split.csv            image_name, label, split: train's rows in the arrays' order, then val's, test's, unlabelled's
    dropped.csv          image_name, reason: what `data.on_bad: drop` left out
    data.json            class_names, image_shape, mean and std, how pictures were resized, hashes, counts

Mean and standard deviation are of train's pixels and the unlabelled ones: a training may look at these as well, and
those of forty pictures a class would be rough.

The folder depends on the fetched pictures and the settings alone: the same bytes on every run.
"""

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pawprint.atomic import whole_folder
from pawprint.data.arrays import read_array
from pawprint.data.decode import RESIZE, read_picture, square
from pawprint.data.faults import Fault, counted, how_to_go_on, read_faults, write_faults
from pawprint.data.index import PARTS, UNLABELLED, labels_in, parts_of, read_table, write_table
from pawprint.data.screen import screen
from pawprint.data.split import split_hash
from pawprint.errors import DataError
from pawprint.types import DataSettings

CHUNK = 256  # pictures looked at together
NOBODY_KNOWS = -1  # the label of a picture that has none
ADVICE = how_to_go_on("`dvc repro --force fetch` and `dvc repro`", "data.on_bad")


def pack(folder: Path, out: Path, settings: DataSettings, advice: str = ADVICE) -> None:
    """Prepare the fetched `folder` as `out`, completely or not at all.

    As `settings.on_bad` says, what cannot be used is left out, with a line on stderr, or raises one DataError
    that lists it all and ends with `advice`.
    """
    index = read_table(folder / "index.csv")
    read, n_channels = _reader(folder, index, settings.image_size)
    shape = (len(index), settings.image_size, settings.image_size, n_channels)
    row_of = {name: row for row, name in enumerate(index["image_name"])}
    _refuse_lack_of_space(out, shape)
    with whole_folder(out) as unfinished:
        # Every picture, on disk, until it is known which can be used: only then the split can be drawn.
        decoded = np.lib.format.open_memmap(unfinished / "decoded.npy", "w+", np.uint8, shape)

        def decode(name: str) -> None:
            decoded[row_of[name]] = read(name)

        table, dropped = screen(index, read_faults(folder / "faults.csv"), settings, decode, advice)
        for part in parts_of(table):
            rows = [row_of[name] for name in table["image_name"][table["split"] == part]]
            _copy_rows(decoded, rows, unfinished / f"{part}_images.npy")
        (unfinished / "decoded.npy").unlink()
        _describe(unfinished, table, dropped, settings)
    if dropped:
        print(f"left out {len(dropped)}: {counted(dropped)}; all are listed in {out / 'dropped.csv'}", file=sys.stderr)


def pixel_statistics(*arrays: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation per channel, of all (N, H, W, C) uint8 pixels as 0 to 1.

    From counts of the 256 values, so that the result is exact and no order of summation matters.
    """
    n_channels = arrays[0].shape[-1]
    counts = np.zeros((n_channels, 256), dtype=np.int64)
    chunks = (images[start : start + CHUNK] for images in arrays for start in range(0, len(images), CHUNK))
    for chunk in chunks:
        for channel in range(n_channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    n_pixels = counts.sum(axis=1)
    mean = (counts * values).sum(axis=1) / n_pixels  # (C,)
    variance = (counts * (values - mean[:, None]) ** 2).sum(axis=1) / n_pixels
    return mean.tolist(), np.sqrt(variance).tolist()


def _reader(folder: Path, index: pd.DataFrame, pixels: int) -> tuple[Callable[[str], np.ndarray], int]:
    """How to get a picture by name as (pixels, pixels, C) uint8, and C."""
    if not (folder / "images.npy").is_file():
        return lambda name: read_picture(folder / "images" / name, pixels), 3
    images = read_array(folder / "images.npy", np.uint8, 4)  # (N, H, W, C)
    if len(images) != len(index):
        raise DataError(f"{folder}: images.npy holds {len(images)} pictures, index.csv {len(index)}")
    row_of = {name: row for row, name in enumerate(index["image_name"])}

    def read(name: str) -> np.ndarray:
        image = np.asarray(images[row_of[name]])
        if image.shape[:2] == (pixels, pixels):
            return image
        return square(Image.fromarray(image.squeeze()), pixels).reshape(pixels, pixels, -1)

    return read, images.shape[-1]


def _refuse_lack_of_space(out: Path, shape: tuple[int, ...]) -> None:
    """Raise DataError now: a full disk under a memory-mapped file ends the process without a word."""
    needed = 2 * math.prod(shape)  # as decoded, and in the parts' arrays
    free = shutil.disk_usage(next(folder for folder in out.absolute().parents if folder.exists())).free
    if needed > free:
        raise DataError(
            f"{out}: packing {shape[0]:,} pictures of {shape[1]} px takes {needed / 1e9:,.1f} GB, and"
            f" {free / 1e9:,.1f} GB are free: lower data.image_size, make room, or work elsewhere"
        )


def _copy_rows(images: np.ndarray, rows: list[int], path: Path) -> None:
    """Write the pictures in these rows as an array of their own."""
    copy = np.lib.format.open_memmap(path, "w+", np.uint8, (len(rows), *images.shape[1:]))
    for start in range(0, len(rows), CHUNK):
        copy[start : start + CHUNK] = images[rows[start : start + CHUNK]]
    copy.flush()


def _describe(folder: Path, table: pd.DataFrame, dropped: list[Fault], settings: DataSettings) -> None:
    """Write labels, split.csv, dropped.csv and data.json beside the images."""
    part_tables = {part: table[table["split"] == part] for part in parts_of(table)}
    class_names = sorted(labels_in(table))
    number = {name: number for number, name in enumerate(class_names)} | {"": NOBODY_KNOWS}
    for part, rows in part_tables.items():
        np.save(folder / f"{part}_labels.npy", np.array([number[label] for label in rows["label"]], dtype=np.int64))
    write_table(pd.concat(part_tables.values(), ignore_index=True), folder / "split.csv")
    write_faults(dropped, folder / "dropped.csv")
    learned = [part for part in ("train", UNLABELLED) if part in part_tables]
    images, *others = (read_array(folder / f"{part}_images.npy", np.uint8, 4) for part in learned)
    mean, std = pixel_statistics(images, *others)
    description = {
        "source": settings.source,
        "class_names": class_names,
        "image_shape": [images.shape[3], *images.shape[1:3]],  # C, H, W
        "mean": mean,
        "std": std,
        "resize": RESIZE,
        "split_hash": split_hash(table),
        "content_hash": _content_hash(folder, list(part_tables)),
        **{f"n_{part}": int((table["split"] == part).sum()) for part in (*PARTS, UNLABELLED)},
        "n_dropped": len(dropped),  # lines of dropped.csv
    }
    text = json.dumps(description, indent=2, ensure_ascii=False)
    (folder / "data.json").write_text(text + "\n", encoding="utf-8")


def _content_hash(folder: Path, parts: Sequence[str]) -> str:
    """sha256 over shapes and values of all arrays, and the split."""
    digest = hashlib.sha256()
    for part, kind in product(parts, ("images", "labels")):
        array = np.lib.format.open_memmap(folder / f"{part}_{kind}.npy", mode="r")
        digest.update(f"{part}_{kind} {array.dtype} {array.shape}\n".encode())
        for start in range(0, len(array), CHUNK):
            digest.update(array[start : start + CHUNK].tobytes())
    digest.update((folder / "split.csv").read_bytes())
    return digest.hexdigest()
