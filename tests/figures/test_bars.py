"""The panel of final scores: a run far off does not press the others together, and is told in words."""

import math
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from pawprint.figures.bars import Bar, Score, draw_scores
from pawprint.figures.curves import Curve, Line, Panel
from pawprint.figures.question import question_figure


def bar(label: str, mean: float) -> Bar:
    return Bar(label, mean, [Score(mean, mean - 0.01, mean + 0.01)])


def drawn(bars: list[Bar]) -> tuple[list[str], float]:
    """The panel's words, and where its axis begins."""
    axes = Figure().subplots()
    draw_scores(axes, bars)
    return [text.get_text() for text in axes.texts], axes.get_xlim()[0]


def test_a_run_far_off_is_told_and_the_axis_shows_the_others() -> None:
    words, left = drawn([bar("a", 0.9), bar("b", 0.88), bar("c", 0.1)])
    assert words == ["a", "b", "c", "◂ 10.0"]
    assert 0.85 < left < 0.87


@pytest.mark.parametrize("means", [[0.9, 0.88, 0.75], [0.5, 0.1], [0.9, math.nan]])
def test_runs_that_are_near_enough_are_all_drawn(means: list[float]) -> None:
    words, left = drawn([bar(str(i), mean) for i, mean in enumerate(means)])
    assert len(words) == len(means)
    assert left <= min(mean for mean in means if mean == mean)


@pytest.mark.parametrize("n_runs", [3, 9, 15])
def test_the_labels_of_a_questions_scores_overlap_nothing(n_runs: int) -> None:
    bars = [bar(f"schedule/{index}", 0.8 + index / 1000) for index in range(n_runs)]
    curves = [Curve(one.label, Line(np.arange(2), np.arange(2)), []) for one in bars]
    figure = question_figure("Schedule", "key", [Panel("Loss", "nats", curves)], "step", bars)
    figure.draw_without_rendering()
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("Test accuracy"))
    boxes = [text.get_window_extent() for text in axes.texts]
    assert all(lower.y1 < upper.y0 for upper, lower in pairwise(boxes))
    means = [line.get_segments()[0] for line in axes.collections if line.get_linewidth() == 3]
    tops = [axes.transData.transform(ends)[:, 1].max() for ends in means]
    assert all(label.y0 > top for label, top in zip(boxes, tops, strict=True))
