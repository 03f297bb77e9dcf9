"""The panel of final scores: a run far off does not press the others together, and is told in words."""

import math

import pytest
from matplotlib.figure import Figure

from pawprint.figures.bars import Bar, Score, draw_scores


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
