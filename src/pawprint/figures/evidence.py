"""Where in pictures answers rest: each picture, and beside it a map for each class asked for.

A coarse map is laid over the picture in grey; a map of single pixels stands by itself, where the picture's own lights
would be taken for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PANEL, TITLE, HEADING, MARGIN = 1.55, 0.36, 0.3, 0.06  # inches; a panel is square
HEAT = "inferno"
STRONGEST = 0.75  # how much of the picture a map hides where it is largest
TITLE_LETTERS = 25


@dataclass(frozen=True)
class Seen:
    """A picture (H, W, C) uint8 and maps (H, W) of it, not negative; the titles may have two lines."""

    picture: np.ndarray
    title: str
    maps: Sequence[tuple[str, np.ndarray]]


def evidence_figure(
    groups: Sequence[tuple[str, Sequence[Seen]]], title: str, over_picture: bool = True, n_across: int = 2
) -> Figure:
    """Groups of pictures one below the other, each under a heading; `n_across` pictures with their maps a row."""
    n_panels = max((1 + len(seen.maps) for _, group in groups for seen in group), default=1)
    n_across = min(n_across, max((len(group) for _, group in groups), default=1))
    n_rows = sum(-(-len(group) // n_across) for _, group in groups)
    width = max(n_across * n_panels * (PANEL + MARGIN) + MARGIN, 4.0)
    height = HEADING * (1 + sum(bool(heading) for heading, _ in groups)) + n_rows * (PANEL + TITLE + MARGIN)
    figure = Figure(figsize=(width, height))
    figure.text(MARGIN / width, 1 - 0.05 / height, title, fontsize=11, va="top", parse_math=False)
    top = HEADING
    for heading, group in groups:
        figure.text(MARGIN / width, 1 - top / height, heading, fontsize=9, color="0.3", va="top", parse_math=False)
        top += 0.8 * HEADING if heading else 0
        for place, seen in enumerate(group):
            row, column = divmod(place, n_across)
            upper = top + row * (PANEL + TITLE + MARGIN) + TITLE
            left = MARGIN + column * n_panels * (PANEL + MARGIN)
            boxes = [(left + n * (PANEL + MARGIN), upper) for n in range(1 + len(seen.maps))]
            _draw(_panels(figure, boxes), seen, over_picture)
        top += -(-len(group) // n_across) * (PANEL + TITLE + MARGIN) + (0.2 * HEADING if heading else 0)
    return figure


def _panels(figure: Figure, corners: Sequence[tuple[float, float]]) -> Iterator[Axes]:
    """Square axes with their upper left corners at these inches from the figure's; without a slow layout."""
    width, height = figure.get_size_inches()
    for left, upper in corners:
        axes = figure.add_axes((left / width, 1 - (upper + PANEL) / height, PANEL / width, PANEL / height))
        axes.set_axis_off()
        yield axes


def _draw(panels: Iterator[Axes], seen: Seen, over_picture: bool) -> None:
    axes = next(panels)
    axes.imshow(seen.picture[..., 0] if seen.picture.shape[2] == 1 else seen.picture, cmap="gray", vmin=0, vmax=255)
    _title(axes, seen.title)
    grey = seen.picture.mean(axis=2)
    for axes, (title, heat) in zip(panels, seen.maps, strict=True):
        largest = float(np.nan_to_num(heat).max())
        share = np.nan_to_num(heat) / (largest or 1.0)
        if over_picture or not largest:
            axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
        if largest:
            axes.imshow(share, cmap=HEAT, vmin=0, vmax=1, alpha=STRONGEST * share**0.5 if over_picture else 1.0)
        _title(axes, title if largest else f"{title}; empty")


def _title(axes: Axes, title: str) -> None:
    lines = [line if len(line) <= TITLE_LETTERS else line[: TITLE_LETTERS - 1] + "…" for line in title.split("\n")]
    axes.set_title("\n".join(lines), fontsize=7.5, loc="left", pad=3, parse_math=False)
