"""The range test's figure: nothing overlaps, however many rates there are and wherever they lie."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from pawprint.figures.range_test import ConfiguredRate, RangeCurve, range_test_figure

CLOSE = ("baseline", "onecycle", "batch_64", "pretrained", "batch_64_lr_sqrt", "batch_64_adam_full_rule", "sgd_long")


def drawn(configured: list[ConfiguredRate], exploded: float = 50.0) -> Figure:
    rates = np.geomspace(1e-7, 10, 100)
    smoothed = np.exp(np.interp(np.log10(rates), [-7, -4, -2, -1, 1], np.log([2, 2, 1, 2, exploded])))
    losses = smoothed.copy()
    losses[-1] = np.inf
    points = {"fastest fall": 3e-3, "lowest": 1e-2, "lowest ÷ 10": 1e-3, "back at its start": 0.1}
    figure = range_test_figure(RangeCurve(rates, losses, smoothed), (1e-5, 6e-2), points, configured, "subject")
    FigureCanvasAgg(figure).draw()
    return figure


def many(n: int) -> list[ConfiguredRate]:
    close = [ConfiguredRate(name, 1e-3 * (1 + i / 10), True) for i, name in enumerate(CLOSE)]
    far = [ConfiguredRate(f"lr_1e{e}", 10.0**e, False) for e in (-6, -5, -4, -2, -1)]
    return (close + far)[:n]


@pytest.mark.parametrize("n", [0, 1, 5, 12])
def test_names_overlap_nothing(n: int) -> None:
    figure = drawn(many(n))
    axes, legend = figure.axes[0], figure.legends[0]
    assert len(axes.texts) == n
    assert figure._suptitle is not None
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line that leads to it
    others = [axes.get_window_extent(), figure._suptitle.get_window_extent(), legend.get_window_extent()]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert not any(box.overlaps(other) for box in boxes for other in others)
    assert all(figure.bbox.y0 < box.y0 and box.y1 < figure.bbox.y1 for box in boxes)


def test_equal_rates_have_a_name_each() -> None:
    figure = drawn([ConfiguredRate(name, 1e-3, None) for name in "abc"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["a  1e-3", "b  1e-3", "c  1e-3"]


def test_divergence_does_not_flatten_the_rest() -> None:
    low, high = drawn(many(1), exploded=1e6).axes[0].get_ylim()
    assert low < 1 < 2 < high < 3


def test_rates_outside_the_test_are_in_the_picture_and_zero_is_left_out() -> None:
    figure = drawn([ConfiguredRate("tiny", 1e-9, False), ConfiguredRate("huge", 1e3, False),
                    ConfiguredRate("zero", 0.0, False)])  # fmt: skip
    left, right = figure.axes[0].get_xlim()
    assert left < 1e-9 < 1e3 < right
    assert len(figure.axes[0].texts) == 2
