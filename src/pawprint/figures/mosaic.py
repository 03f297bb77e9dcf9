"""Tiles side by side in one image: the filters of a layer, and what channels make of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

GAP = 0.12  # between tiles, in tiles
WIDTH_INCHES = 9.0
LARGEST_TILE_INCHES = 0.85
N_COLUMNS = 16  # of filters
SIGNED, LIGHT = "RdBu", "viridis"  # color maps: of weights, white at 0; of activations


@dataclass(frozen=True)
class MapRow:
    """Channels of one layer for one picture."""

    label: str
    channels: Sequence[int]  # which ones, of all the layer's
    maps: np.ndarray  # (channels, h, w)


def filters_figure(filters: np.ndarray, title: str) -> Figure:
    """`filters`: (units, C, h, w); three channels are drawn as red, green and blue, else the first one alone.

    Each filter is scaled by its own largest weight, so that 0 is grey, or white where there is one channel.
    """
    n_columns = min(N_COLUMNS, len(filters))
    finite = _finite(filters)
    largest = np.abs(finite).max(axis=(1, 2, 3), keepdims=True)
    scaled = finite / np.where(largest > 0, largest, 1)
    tiles = (scaled.transpose(0, 2, 3, 1) + 1) / 2 if filters.shape[1] == 3 else scaled[:, 0]
    side = min(LARGEST_TILE_INCHES, WIDTH_INCHES / n_columns)
    n_rows = -(-len(tiles) // n_columns)
    figure, axes = _figure(n_columns * side * (1 + GAP), n_rows * side * (1 + GAP), title)
    _show(axes, tiles, n_columns, SIGNED, (-1.0, 1.0))
    axes.set_axis_off()
    return figure


def slices_figure(kernels: np.ndarray, title: str) -> Figure:
    """`kernels`: (filters, channels, h, w), a row a filter and a column a channel that it reads; one scale for all."""
    n_filters, n_channels = kernels.shape[:2]
    side = 0.5
    figure, axes = _figure((n_channels + 1) * side, (n_filters + 1) * side, title)
    finite = _finite(kernels)
    largest = float(np.abs(finite).max()) or 1.0
    height, width = _show(axes, finite.reshape(-1, *kernels.shape[2:]), n_channels, SIGNED, (-largest, largest))
    axes.set_xticks([width * (c + 0.5 - GAP / 2) for c in range(n_channels)], [str(c) for c in range(n_channels)])
    axes.set_yticks([height * (f + 0.5 - GAP / 2) for f in range(n_filters)], [str(f) for f in range(n_filters)])
    axes.set(xlabel="channel", ylabel="filter")
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    return figure


def maps_figure(rows: Sequence[MapRow], title: str) -> Figure:
    """A row for each layer, the first on top, with the channels' numbers; one scale for each row, dark is least."""
    n_columns = max(len(row.channels) for row in rows)
    side = min(LARGEST_TILE_INCHES, WIDTH_INCHES / n_columns)
    shapes = [row.maps.shape[1] / row.maps.shape[2] for row in rows]
    heights = [side * shape + 0.42 for shape in shapes]
    figure = Figure(figsize=(n_columns * side * (1 + GAP), sum(heights) + 0.35), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    panels = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, row in zip(panels, rows, strict=True):
        shown = _finite(row.maps)
        bounds = float(shown.min()), max(float(shown.max()), float(shown.min()) + 1e-12)
        _, width = _show(axes, shown, n_columns, LIGHT, bounds)
        for place, channel in enumerate(row.channels):
            axes.text(width * place, -0.04 * width, str(channel), fontsize=6, color="0.4", va="bottom")
        axes.set_title(row.label, fontsize=8.5, loc="left", pad=13, parse_math=False)
        axes.set_axis_off()
    return figure


def _finite(values: np.ndarray) -> np.ndarray:
    """With 0 for what is no number, as a diverged training leaves."""
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _figure(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(max(width, 4.5), height + 0.45), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    axes: Axes = figure.subplots()
    axes.set_anchor("NW")
    return figure, axes


def _show(
    axes: Axes, tiles: np.ndarray, n_columns: int, colors: str, bounds: tuple[float, float],
) -> tuple[float, float]:  # fmt: skip
    """Draw tiles (n, h, w) or (n, h, w, 3) row by row; height and width of a tile with its gap, in the axes' units.

    Enlarged without smoothing, so that a gap is as wide for maps of 2 x 2 as for those of 64 x 64.
    """
    n, height, width = tiles.shape[:3]
    times = max(1, round(48 / width))
    tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
    height, width = height * times, width * times
    gap = round(GAP * width)
    n_rows = -(-n // n_columns)
    canvas = np.full((n_rows * (height + gap), n_columns * (width + gap), *tiles.shape[3:]), np.nan)
    for place, tile in enumerate(tiles):
        top, left = place // n_columns * (height + gap), place % n_columns * (width + gap)
        canvas[top : top + height, left : left + width] = tile
    if tiles.ndim == 4:
        canvas = np.nan_to_num(canvas, nan=1.0)
    axes.imshow(canvas, cmap=colors, vmin=bounds[0], vmax=bounds[1], interpolation="nearest")
    return height + gap, width + gap
