"""Pairs of pictures side by side, for a reader to judge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PAIRS_PER_ROW = 2
PANEL_INCHES = 1.75  # side of one picture
NAME_LETTERS = 24  # of a name that are written; a picture's width


@dataclass(frozen=True)
class ShownPair:
    """Two pictures, (H, W, C) uint8 each, and a word on what they are to each other."""

    first: np.ndarray
    second: np.ndarray
    first_name: tuple[str, str]  # part, name
    second_name: tuple[str, str]
    relation: str


def pairs_figure(pairs: Sequence[ShownPair], title: str) -> Figure:
    """Two pairs a row; the relation stands below the first of each pair."""
    n_rows = max(1, -(-len(pairs) // PAIRS_PER_ROW))
    n_columns = 2 * PAIRS_PER_ROW
    figure = Figure(figsize=(n_columns * PANEL_INCHES, n_rows * (PANEL_INCHES + 0.7) + 0.4), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    panels = grid.reshape(-1, 2)
    for (left, right), pair in zip(panels, pairs, strict=False):
        _show(left, pair.first, pair.first_name)
        _show(right, pair.second, pair.second_name)
        left.text(0, -0.04, pair.relation, transform=left.transAxes, fontsize=8, color="0.35", va="top")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _show(axes: Axes, image: np.ndarray, part_and_name: tuple[str, str]) -> None:
    grey = image.shape[2] == 1
    axes.imshow(image[..., 0] if grey else image, cmap="gray" if grey else None, vmin=0, vmax=255)
    # The end of a long name tells more than its beginning; $ would start a formula.
    part, name = part_and_name
    short = name if len(name) <= NAME_LETTERS else "…" + name[1 - NAME_LETTERS :]
    axes.set_title(f"{part}\n{short}", fontsize=8, loc="left", parse_math=False)
