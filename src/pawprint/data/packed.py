"""Prepared data: every picture decoded once, in arrays that training memory-maps.

A prepared folder holds, for each part of train, val and test,

    {part}_images.npy    (N, H, W, C) uint8
    {part}_labels.npy    (N,) int64, index into class_names
    split.csv            image_name, label, split: train's rows in the arrays' order, then val's, then test's
    data.json            class_names, image_shape, mean and std of train, hashes, counts

It depends on the fetched pictures and the settings alone: the same bytes on every run.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pawprint.atomic import whole_folder
from pawprint.data.decode import read_picture, square
from pawprint.data.index import PARTS, read_table, write_table
from pawprint.data.split import assign_splits, split_hash
from pawprint.errors import DataError
from pawprint.progress import progress
from pawprint.types import DataSettings

CHUNK = 256  # pictures looked at together


def pack(folder: Path, out: Path, settings: DataSettings) -> None:
    """Prepare the fetched `folder` as `out`, completely or not at all.

    Raises DataError naming every picture that cannot be read, each with its reason.
    """
    index = read_table(folder / "index.csv")
    table = assign_splits(index, settings)
    part_tables = [table[table["split"] == part] for part in PARTS]
    table = pd.concat(part_tables, ignore_index=True)
    class_names = sorted(table["label"].unique())
    read, n_channels = _reader(folder, index, settings.image_size)
    with whole_folder(out) as unfinished:
        for part, rows in zip(PARTS, part_tables, strict=True):
            labels = np.array([class_names.index(label) for label in rows["label"]], dtype=np.int64)
            np.save(unfinished / f"{part}_labels.npy", labels)
        _write_images(unfinished, table, read, (settings.image_size, settings.image_size, n_channels))
        write_table(table, unfinished / "split.csv")
        mean, std = pixel_statistics(np.load(unfinished / "train_images.npy", mmap_mode="r"))
        description = {
            "source": settings.source,
            "class_names": class_names,
            "image_shape": [n_channels, settings.image_size, settings.image_size],  # C, H, W
            "mean": mean,
            "std": std,
            "split_hash": split_hash(table),
            "content_hash": _content_hash(unfinished),
            **{f"n_{part}": len(rows) for part, rows in zip(PARTS, part_tables, strict=True)},
        }
        text = json.dumps(description, indent=2, ensure_ascii=False)
        (unfinished / "data.json").write_text(text + "\n", encoding="utf-8")


def pixel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation per channel, of (N, H, W, C) uint8 pixels as 0 to 1.

    From counts of the 256 values, so that the result is exact and no order of summation matters.
    """
    n_channels = images.shape[-1]
    counts = np.zeros((n_channels, 256), dtype=np.int64)
    for start in range(0, len(images), CHUNK):
        chunk = np.asarray(images[start : start + CHUNK])
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
    images = np.load(folder / "images.npy", mmap_mode="r")  # (N, H, W, C)
    if len(images) != len(index):
        raise DataError(f"{folder}: images.npy holds {len(images)} pictures, index.csv {len(index)}")
    row_of = {name: row for row, name in enumerate(index["image_name"])}

    def read(name: str) -> np.ndarray:
        image = np.asarray(images[row_of[name]])
        if image.shape[:2] == (pixels, pixels):
            return image
        return square(Image.fromarray(image.squeeze()), pixels).reshape(pixels, pixels, -1)

    return read, images.shape[-1]


def _write_images(
    folder: Path, table: pd.DataFrame, read: Callable[[str], np.ndarray], shape: tuple[int, int, int]
) -> None:
    """Fill {part}_images.npy with pictures of `shape` (H, W, C), in the table's order.

    One after the other: on two cores, two threads took 0.8 to 1.0 of the time for real photographs.
    Raises DataError naming every picture that cannot be read.
    """
    broken = []
    with progress("prepare", len(table)) as reporter:
        for part, rows in table.groupby("split"):
            path = folder / f"{part}_images.npy"
            images = np.lib.format.open_memmap(path, "w+", np.uint8, (len(rows), *shape))
            for row, name in enumerate(rows["image_name"]):
                broken += _fault(images, row, name, read)
                reporter.advance()
            images.flush()
    if broken:
        raise DataError(
            f"{len(broken)} of {len(table)} pictures cannot be read:\n  " + "\n  ".join(sorted(broken)) + "\n"
            "mend them or take them out where they come from, then `dvc repro --force fetch` and `dvc repro`"
        )


def _fault(images: np.ndarray, row: int, name: str, read: Callable[[str], np.ndarray]) -> list[str]:
    """Put the picture into its row; why it could not be read, if it could not."""
    try:
        images[row] = read(name)
    except ValueError as error:
        return [f"{name}: {error}"]
    return []


def _content_hash(folder: Path) -> str:
    """sha256 over shapes and values of all arrays, and the split."""
    digest = hashlib.sha256()
    for part in PARTS:
        for kind in ("images", "labels"):
            array = np.load(folder / f"{part}_{kind}.npy", mmap_mode="r")
            digest.update(f"{part}_{kind} {array.dtype} {array.shape}\n".encode())
            for start in range(0, len(array), CHUNK):
                digest.update(array[start : start + CHUNK].tobytes())
    digest.update((folder / "split.csv").read_bytes())
    return digest.hexdigest()
