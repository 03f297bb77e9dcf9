"""What the leakage check finds and what it accuses wrongly: counts, no times.

    python -m benchmarks.leakage hashes FOLDER     distances of imagehash's hashes: copies against different pictures
    python -m benchmarks.leakage copies FOLDER     share of each kind of copy that the check finds, and false alarms
    python -m benchmarks.leakage accused PREPARED  pairs in a prepared folder, at several limits of likeness

FOLDER holds photographs; copies of them are made here: of the files, as a person or a web page would, and then
prepared as the product does. `copies` sets the originals as train and their copies as test, so that every
pair across is either the copy's own or a false alarm; pairs that are copies among the originals already are told
first, and what they bring about is no alarm.
"""

import argparse
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from rich import box
from rich.table import Table

from pawprint.checks.leakage import Settings, find
from pawprint.data.decode import as_rgb, square, upright
from pawprint.data.hashes import near_pairs, pack_bits
from pawprint.data.prepared import load
from pawprint.summary import stdout_console
from pawprint.types import Data, Split

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
HASHES = {
    "pHash": imagehash.phash,
    "dHash": imagehash.dhash,
    "wHash": imagehash.whash,
    "aHash": imagehash.average_hash,
}
RADII = (2, 6, 10, 12, 14, 16)
LIMITS = (0.80, 0.85, 0.90, 0.92, 0.94, 0.96)


def jpeg(image: Image.Image, quality: int = 85) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def crop(image: Image.Image, share: float, draws: np.random.Generator) -> Image.Image:
    """A window that is smaller by `share` of each side, anywhere."""
    width, height = (round(side * (1 - share)) for side in image.size)
    left = int(draws.integers(0, image.width - width + 1))
    top = int(draws.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def border(image: Image.Image, share: float, draws: np.random.Generator) -> Image.Image:
    """`share` of the shorter side added at each edge, in black, white or red."""
    color = ("black", "white", "red")[int(draws.integers(3))]
    return ImageOps.expand(image, round(share * min(image.size)), color)


def light(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L").convert("RGB")


CHANGES: dict[str, Change] = {
    "JPEG 30": lambda image, draws: jpeg(image, 30),
    "JPEG 50": lambda image, draws: jpeg(image, 50),
    "JPEG 70": lambda image, draws: jpeg(image, 70),
    "half the size": lambda image, draws: jpeg(half(image)),
    "mirrored": lambda image, draws: jpeg(ImageOps.mirror(image)),
    "crop 5 %": lambda image, draws: jpeg(crop(image, 0.05, draws)),
    "crop 10 %": lambda image, draws: jpeg(crop(image, 0.1, draws)),
    "light x 0.7": lambda image, draws: jpeg(light(image, 0.7)),
    "light x 1.3": lambda image, draws: jpeg(light(image, 1.3)),
    "grey": lambda image, draws: jpeg(grey(image)),
    "border 5 %": lambda image, draws: jpeg(border(image, 0.05, draws)),
    "border 10 %": lambda image, draws: jpeg(border(image, 0.1, draws)),
    "mirrored, crop 10 %": lambda image, draws: jpeg(crop(ImageOps.mirror(image), 0.1, draws)),
    "grey, border 5 %, JPEG 50": lambda image, draws: jpeg(border(grey(image), 0.05, draws), 50),
    "half, light x 0.7, JPEG 30": lambda image, draws: jpeg(half(light(image, 0.7)), 30),
    "mirrored, light x 1.3, border 10 %": lambda image, draws: jpeg(
        border(light(ImageOps.mirror(image), 1.3), 0.1, draws)
    ),
    "crop 5 %, light x 1.3, JPEG 50": lambda image, draws: jpeg(light(crop(image, 0.05, draws), 1.3), 50),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leakage", description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("hashes", "copies", "accused"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pixels", type=int, nargs="+", default=[32, 64, 224], help="sides of the prepared pictures")
    parser.add_argument("--every", type=int, default=1, help="use every n-th photograph")
    options = parser.parse_args()
    if options.what == "accused":
        stdout_console().print(accused_table(load(options.folder)))
        return
    paths = sorted(p for p in options.folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    photographs = [as_rgb(upright(Image.open(path))) for path in paths[:: options.every]]
    if options.what == "hashes":
        stdout_console().print(hashes_table(photographs, options.pixels))
    else:
        stdout_console().print(copies_table(photographs, options.pixels))


def hashes_table(photographs: list[Image.Image], sizes: list[int]) -> Table:
    """The 95th percentile of a copy's distance, by change; below, the pairs of originals within each radius."""
    columns: dict[str, list[str]] = {}
    originals: list[tuple[str, list[Image.Image]]] = [
        ("file", photographs),
        *((f"{s} px", [Image.fromarray(square(p, s)) for p in photographs]) for s in sizes),
    ]
    for label, pictures in originals:
        for name, hashed in HASHES.items():
            bits = np.stack([hashed(picture).hash.ravel() for picture in pictures])
            cells = []
            for change in CHANGES.values():
                copies = _changed(photographs, change)
                side = pictures[0].width if label != "file" else None
                shown = copies if side is None else [Image.fromarray(square(copy, side)) for copy in copies]
                distance = (np.stack([hashed(copy).hash.ravel() for copy in shown]) != bits).sum(axis=1)
                cells.append(f"{np.quantile(distance, 0.95):.0f}")
            found = near_pairs(pack_bits(bits), max(RADII)).distance
            columns[f"{name}\n{label}"] = [*cells, *(str(int((found <= radius).sum())) for radius in RADII)]
    rows = [*CHANGES, *(f"pairs of originals within {radius}" for radius in RADII)]
    return _table("bits, 95th percentile", rows, columns)


def copies_table(photographs: list[Image.Image], sizes: list[int]) -> Table:
    """The share found of each change, percent, by size; and pairs across that are neither a copy's nor known."""
    columns: dict[str, list[str]] = {}
    known_rows = ["copies among the originals", "false alarms, all changes"]
    for size in sizes:
        originals = np.stack([square(photograph, size) for photograph in photographs])
        known = _pairs_across(originals, originals)
        cells, alarms = [], set()
        for change in CHANGES.values():
            copies = np.stack([square(copy, size) for copy in _changed(photographs, change)])
            found = _pairs_across(originals, copies)
            own = {(row, row) for row in range(len(originals))}
            cells.append(f"{100 * len(found & own) / len(own):.1f}")
            alarms |= found - own - known
        n_known = sum(i < j for i, j in known)
        columns[f"{size} px"] = [*cells, str(n_known), f"{len(alarms)}: {sorted(alarms)[:4]}" if alarms else "0"]
    return _table("found, %", [*CHANGES, *known_rows], columns)


def accused_table(data: Data) -> Table:
    """Pairs, across parts and inside, by the limit of likeness; 0 is what the hash alone would accuse (screened)."""
    found = find(data, replace(Settings(), likeness=min(LIMITS))).pairs
    n = sum(len(split) for split in (data.train, data.val, data.test))
    counts = [str(sum(pair.likeness >= limit for pair in found)) for limit in LIMITS]
    best = f"{max((pair.likeness for pair in found), default=0):.3f}"
    rows = [*(f"likeness {limit:.2f} or more" for limit in LIMITS), "most alike"]
    return _table("pairs", rows, {f"{n:,} pictures": [*counts, best]})


def _changed(photographs: list[Image.Image], change: Change) -> list[Image.Image]:
    draws = np.random.default_rng(0)
    return [change(photograph, draws) for photograph in photographs]


def _pairs_across(originals: np.ndarray, copies: np.ndarray) -> set[tuple[int, int]]:
    """(row of the original, row of the copy) of all pairs that the check finds across them."""

    def split(part: str, images: np.ndarray) -> Split:
        return Split([f"{part}_{row}" for row in range(len(images))], images, np.zeros(len(images), dtype=np.int64))

    side = originals.shape[1]
    empty = split("val", originals[:0])
    data = Data(
        split("train", originals), empty, split("test", copies), None, ["any"], (3, side, side), (0.0,), (1.0,), "", ""
    )
    pairs = find(data, Settings()).pairs
    return {(pair.first.row, pair.second.row) for pair in pairs if pair.crosses}


def _table(corner: str, rows: list[str], columns: dict[str, list[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column(corner, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for index, row in enumerate(rows):
        table.add_row(row, *(cells[index] for cells in columns.values()))
    return table


if __name__ == "__main__":
    main()
