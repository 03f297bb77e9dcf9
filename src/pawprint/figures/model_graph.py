"""A graph of operations as boxes and arrows, computed from the top down.

A box's row is the longest way to it from the input (networkx's topological generations); the longest way of all is one
column, and what runs beside it stands to its right, as shortcuts do. A chain without branches is folded into several
columns where it is long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

WIDTH, HEIGHT, PITCH, APART = 2.3, 0.4, 0.58, 0.5  # inches: of a box, from row to row, between columns
MOST_ROWS = 20  # of a chain; a longer one is folded
COLORS: Mapping[str, str] = {
    "convolution": "#cfe3f3",
    "fully connected": "#f6dcc0",
    "normalization": "#e6e6e6",
    "activation": "#cdebdc",
    "pooling": "#eadcf0",
    "sum": "#fbe9a6",
    "block": "#ffffff",
    "other": "#ffffff",
}
Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """One operation, in two lines."""

    title: str
    note: str
    role: str  # one of COLORS


@dataclass(frozen=True)
class Boxes:
    """A graph to draw: its title, boxes by name, and from which to which there are arrows."""

    title: str
    by_name: Mapping[str, Box]
    arrows: Sequence[tuple[str, str]]


def model_graph_figure(graphs: Sequence[Boxes], title: str) -> Figure:
    """The first is the model; the others, side by side to its right, are what is in its blocks."""
    placed = [_places(boxes) for boxes in graphs]
    widths = [_extent(places)[0] for places in placed]
    height = max(_extent(places)[1] for places in placed)
    figure = Figure(figsize=(sum(widths), height + 0.95))
    figure.suptitle(title, x=0.02, y=1 - 0.1 / (height + 0.95), ha="left", va="top", fontsize=11, parse_math=False)
    left = 0.0
    for boxes, places, width in zip(graphs, placed, widths, strict=True):
        axes = figure.add_axes((left / sum(widths), 0, width / sum(widths), height / (height + 0.95)))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(APART / 2, 0.0, boxes.title, fontsize=9, color="0.3", va="bottom", parse_math=False)
        _draw(axes, boxes, places)
        left += width
    roles = {box.role for boxes in graphs for box in boxes.by_name.values()}
    marks = [FancyBboxPatch((0, 0), 1, 1, facecolor=COLORS[role], edgecolor="0.4", label=role) for role in COLORS
             if role in roles and role not in ("other", "block")]  # fmt: skip
    figure.legend(handles=marks, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.33 / (height + 0.95)), frameon=False,
                  fontsize=7.5, ncols=min(len(marks), 3) or 1 if sum(widths) < 5 else len(marks) or 1,
                  handlelength=1.2, columnspacing=1.0)  # fmt: skip
    return figure


def _places(boxes: Boxes) -> dict[str, Point]:
    """The upper left corner of each box, in inches."""
    graph = nx.DiGraph(boxes.arrows)
    graph.add_nodes_from(boxes.by_name)
    rows = {name: row for row, names in enumerate(nx.topological_generations(graph)) for name in names}
    n_rows = max(rows.values()) + 1
    if n_rows > MOST_ROWS and n_rows == len(graph) == len(graph.edges) + 1:
        n_columns = -(-n_rows // MOST_ROWS)
        in_column = -(-n_rows // n_columns)
        return {name: _corner(row // in_column, row % in_column) for name, row in rows.items()}
    longest = set(nx.dag_longest_path(graph))
    places, taken = {}, set()
    for name, row in rows.items():
        lane = 0 if name in longest else 1
        while (lane, row) in taken:
            lane += 1
        taken.add((lane, row))
        places[name] = _corner(lane, row)
    return places


def _corner(column: int, row: int) -> Point:
    return APART / 2 + column * (WIDTH + APART), 0.15 + row * PITCH


def _extent(places: Mapping[str, Point]) -> Point:
    return max(x for x, _ in places.values()) + WIDTH + APART, max(y for _, y in places.values()) + PITCH


def _draw(axes: Axes, boxes: Boxes, places: Mapping[str, Point]) -> None:
    for source, target in boxes.arrows:
        *way, before, end = _way(places[source], places[target])
        axes.plot(*zip(*way, before, strict=True), color="0.35", linewidth=1, solid_joinstyle="round", zorder=1)
        axes.annotate("", xy=end, xytext=before, zorder=1,
                      arrowprops={"arrowstyle": "-|>", "color": "0.35", "lw": 1, "shrinkA": 0, "shrinkB": 0,
                                  "mutation_scale": 9})  # fmt: skip
    for name, box in boxes.by_name.items():
        x, y = places[name]
        is_block = box.role == "block"
        axes.add_patch(FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.06",
                                      facecolor=COLORS[box.role], edgecolor="0.2" if is_block else "0.55",
                                      linewidth=1.6 if is_block else 0.8, zorder=2))  # fmt: skip
        middle = y + HEIGHT / 2
        axes.text(x + WIDTH / 2, middle - (0.075 if box.note else 0), box.title, fontsize=7.5, ha="center",
                  va="center", parse_math=False, zorder=3)  # fmt: skip
        axes.text(x + WIDTH / 2, middle + 0.09, box.note, fontsize=6.5, color="0.3", ha="center", va="center",
                  parse_math=False, zorder=3)  # fmt: skip


def _way(source: Point, target: Point) -> list[Point]:
    """The corners of an arrow's way, in right angles and around the boxes between."""
    (x, y), (to_x, to_y) = source, target
    center, to_center = x + WIDTH / 2, to_x + WIDTH / 2
    if to_y < y:  # from the foot of a folded chain's column to the head of the next
        between = x + WIDTH + APART / 2
        return [(center, y + HEIGHT), (center, y + HEIGHT + 0.09), (between, y + HEIGHT + 0.09),
                (between, to_y - 0.12), (to_center, to_y - 0.12), (to_center, to_y)]  # fmt: skip
    if x == to_x and to_y - y < 1.5 * PITCH:
        return [(center, y + HEIGHT), (center, to_y)]
    if x == to_x:
        aside = x + WIDTH + APART / 3
        return [(x + WIDTH, y + HEIGHT / 2), (aside, y + HEIGHT / 2), (aside, to_y + HEIGHT / 2),
                (to_x + WIDTH, to_y + HEIGHT / 2)]  # fmt: skip
    if to_x > x:
        return [(x + WIDTH, y + HEIGHT / 2), (to_center, y + HEIGHT / 2), (to_center, to_y)]
    return [(center, y + HEIGHT), (center, to_y + HEIGHT / 2), (to_x + WIDTH, to_y + HEIGHT / 2)]
