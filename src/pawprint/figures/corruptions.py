"""Accuracy against the strength of each corruption of the pictures, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pawprint.figures.interval_curve import Interval
from pawprint.figures.style import COLORS, dress

LINE, FAINT = COLORS[2], "0.45"
N_COLUMNS = 2
PANEL_INCHES = (4.6, 2.9)  # width, height


@dataclass(frozen=True)
class CorruptionPanel:
    """One corruption, from mild to strong."""

    name: str
    strength: str  # what it is measured in
    points: Sequence[Interval]


def corruptions_figure(panels: Sequence[CorruptionPanel], unaltered: Interval, title: str, chance: float) -> Figure:
    """A panel for each corruption: the strengths side by side at equal steps, the pictures as they are on the left."""
    n_columns = min(N_COLUMNS, len(panels))
    n_rows = -(-len(panels) // n_columns)
    size = (PANEL_INCHES[0] * n_columns, PANEL_INCHES[1] * n_rows + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False).flatten()
    for ax, panel in zip(axes, panels, strict=False):
        _draw(ax, panel, unaltered, chance)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[::n_columns]:
        ax.set_ylabel("test accuracy, %")
    figure.suptitle(f"{title}: corrupted test pictures", x=0.01, ha="left", fontsize=12)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    return figure


def _draw(axes: Axes, panel: CorruptionPanel, unaltered: Interval, chance: float) -> None:
    points = [unaltered, *panel.points]
    percent = [100 * p.accuracy for p in points]
    errors = [[100 * (p.accuracy - p.low) for p in points], [100 * (p.high - p.accuracy) for p in points]]
    axes.errorbar(range(len(points)), percent, yerr=errors, marker="o", color=LINE, capsize=3,
                  label="accuracy, 95 % interval")  # fmt: skip
    for x, point in enumerate(points):
        axes.annotate(f"{100 * point.accuracy:.1f}", (x, 100 * point.high), textcoords="offset points",
                      xytext=(0, 4), ha="center", fontsize=8.5, color=LINE, zorder=4,
                      bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5})  # fmt: skip
    axes.axhline(100 * unaltered.accuracy, color=COLORS[1], linestyle="--",
                 label=f"as they are ({100 * unaltered.accuracy:.1f} %)")  # fmt: skip
    axes.axhline(100 * chance, color=FAINT, linestyle=":", label=f"a guess ({100 * chance:.1f} %)")
    dress(axes, panel.strength, "", panel.name)
    axes.set_xticks(range(len(points)), ["as they are", *(f"{p.strength:g}" for p in panel.points)])
    axes.set(ylim=(0, 110))
    axes.margins(x=0.12)
