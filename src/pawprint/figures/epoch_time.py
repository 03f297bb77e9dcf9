"""What an epoch's time is made of at each batch size, and what each size has learned by when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pawprint.figures.curves import Curve, ShortLog
from pawprint.figures.style import COLORS, color, dress, line_style

SIZE = (11.0, 4.6)  # inches


@dataclass(frozen=True)
class Epoch:
    """One batch size: seconds of an epoch."""

    label: str
    batch_size: int
    seconds: Sequence[float]  # measured
    compute: float
    overhead: float


def epoch_time_figure(epochs: Sequence[Epoch], losses: Sequence[Curve]) -> Figure:
    """Left the times; right each size's training loss over seconds, a curve each, in the order of `epochs`."""
    figure = Figure(figsize=SIZE, layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_times(left, epochs)
    for index, curve in enumerate(losses):
        right.plot(curve.mean.x, curve.mean.y, color=color(index), linestyle=line_style(index), linewidth=2.0,
                   label=curve.label)  # fmt: skip
    right.set_xscale("log")
    right.xaxis.set_major_formatter(ShortLog(labelOnlyBase=True))
    dress(right, "seconds of training", "training loss, mean over an epoch", "Loss against time")
    for axes, place in ((left, -0.27), (right, -0.16)):
        axes.legend(frameon=False, fontsize=9, ncols=3, loc="upper center", bbox_to_anchor=(0.5, place))
    return figure


def _draw_times(axes: Axes, epochs: Sequence[Epoch]) -> None:
    sizes = [epoch.batch_size for epoch in epochs]
    for epoch in epochs:
        axes.plot([epoch.batch_size] * len(epoch.seconds), epoch.seconds, "o", color="black", markersize=4,
                  markeredgecolor="white", label="measured" if epoch is epochs[0] else None)  # fmt: skip
    axes.plot(sizes, [epoch.compute for epoch in epochs], color=COLORS[2], linestyle=line_style(1), linewidth=1.8,
              label="compute, by picture")  # fmt: skip
    axes.plot(sizes, [epoch.overhead for epoch in epochs], color=COLORS[3], linestyle=line_style(2), linewidth=1.8,
              label="overhead, by step")  # fmt: skip
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sizes, [epoch.label for epoch in epochs], rotation=45)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(ShortLog(labelOnlyBase=True))
    dress(axes, "batch size", "seconds", "Time of an epoch")
