"""What the units of fully connected layers put out for one picture, and the answers that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pawprint.figures.style import COLORS

PANEL_INCHES = 1.15
N_NAMED = 5  # units of a hidden layer whose numbers are written
UNIT, NAMED = COLORS[2], COLORS[3]
LETTERS = 28  # of a class's name


@dataclass(frozen=True)
class Units:
    """Outputs of one layer for a picture."""

    label: str
    values: np.ndarray  # (units,)


def units_figure(hidden: Sequence[Units], answers: Sequence[tuple[str, float]], title: str) -> Figure:
    """A panel a layer, the first on top; `answers`: the likeliest classes and their probabilities."""
    last = 0.5 + 0.24 * len(answers)
    heights = [PANEL_INCHES] * len(hidden) + [last]
    figure = Figure(figsize=(8.0, sum(heights) + 0.5), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, units in zip(panels, hidden, strict=False):
        places = np.arange(len(units.values))
        largest = np.argsort(-np.nan_to_num(units.values), kind="stable")[:N_NAMED]
        colors = [NAMED if place in largest else UNIT for place in places]
        axes.bar(places, units.values, width=1.0 if len(places) > 100 else 0.8, color=colors)
        named = ", ".join(map(str, largest))
        axes.set_title(f"{units.label}: {len(places)} units; largest: {named}", fontsize=8.5, loc="left",
                       parse_math=False)  # fmt: skip
        axes.axhline(0, color="0.5", linewidth=0.6)
        axes.set_xlim(-0.75, len(places) - 0.25)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    _draw_answers(panels[-1], answers)
    return figure


def _draw_answers(axes: Axes, answers: Sequence[tuple[str, float]]) -> None:
    names = [name if len(name) <= LETTERS else name[: LETTERS - 1] + "…" for name, _ in answers]
    percent = [100 * probability for _, probability in answers]
    axes.barh(range(len(answers)), percent, color=[NAMED, *[UNIT] * (len(answers) - 1)], height=0.7)
    axes.set_yticks(range(len(answers)), names, fontsize=8, parse_math=False)
    axes.invert_yaxis()
    for place, share in enumerate(percent):
        axes.annotate(f"{share:.1f} %", (share, place), xytext=(4, 0), textcoords="offset points", va="center",
                      fontsize=7.5)  # fmt: skip
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
    axes.set_title("answers: the likeliest classes", fontsize=8.5, loc="left")
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
