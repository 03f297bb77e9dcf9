"""What a model is fed beside what it should be, and what feeding it otherwise costs."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pawprint.figures.style import COLORS, dress

FED, RIGHT, MISTAKE = COLORS[3], COLORS[2], COLORS[1]
ROW_INCHES = 0.5
APART = 0.12  # of a channel's width, between fed and right


@dataclass(frozen=True)
class Channel:
    """Statistics of one channel of the test set."""

    name: str
    fed_mean: float
    fed_std: float
    right_mean: float
    right_std: float


@dataclass(frozen=True)
class Bar:
    """Test accuracy when pictures are fed in one way, shares."""

    name: str
    accuracy: float
    low: float
    high: float


def normalization_figure(channels: Sequence[Channel], bars: Sequence[Bar], title: str, chance: float) -> Figure:
    """Left: mean and standard deviation by channel, fed and right. Right: accuracy in each way of feeding."""
    figure = Figure(figsize=(11, max(3.8, 1.6 + ROW_INCHES * len(bars))), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    places = range(len(channels))
    for shift, name, color, marker, means, stds in (
        (-APART, "as fed", FED, "o", [c.fed_mean for c in channels], [c.fed_std for c in channels]),
        (APART, "as in training", RIGHT, "s", [c.right_mean for c in channels], [c.right_std for c in channels]),
    ):
        left.errorbar([p + shift for p in places], means, yerr=stds, fmt=marker, color=color, capsize=4, label=name)
    dress(left, "", "what the model is fed", "test set: mean ± standard deviation")
    left.set_xticks(places, [c.name for c in channels])
    left.margins(x=0.25)
    left.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, -0.24))
    _draw_bars(right, bars, chance)
    figure.suptitle(f"{title}: what it is fed", x=0.01, ha="left", fontsize=12)
    return figure


def _draw_bars(axes: Axes, bars: Sequence[Bar], chance: float) -> None:
    accuracy = [100 * b.accuracy for b in bars]
    errors = [[100 * (b.accuracy - b.low) for b in bars], [100 * (b.high - b.accuracy) for b in bars]]
    colors = [FED, RIGHT] + [MISTAKE] * (len(bars) - 2)
    axes.barh(range(len(bars)), accuracy, xerr=errors, color=colors, height=0.6, ecolor="0.3", capsize=3)
    for y, bar in enumerate(bars):
        axes.annotate(f"{100 * bar.accuracy:.1f}", (100 * bar.high, y), textcoords="offset points", xytext=(5, 0),
                      va="center", fontsize=9)  # fmt: skip
    axes.axvline(100 * chance, color="0.45", linestyle=":")
    axes.annotate("a guess", (100 * chance, 1), xycoords=("data", "axes fraction"), xytext=(3, -2),
                  textcoords="offset points", va="top", fontsize=8, color="0.35")  # fmt: skip
    dress(axes, "test accuracy, %, with 95 % interval", "", "accuracy, pictures fed otherwise")
    axes.set_yticks(range(len(bars)), [textwrap.fill(b.name, 34) for b in bars], fontsize=9)
    axes.set(xlim=(0, 112), ylim=(len(bars) - 0.4, -0.75))
