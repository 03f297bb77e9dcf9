"""A map's largest value is where the light is, and an empty map is said to be."""

import numpy as np
from matplotlib.figure import Figure

from pawprint.figures.evidence import Seen, evidence_figure


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def seen(*maps: np.ndarray) -> Seen:
    return Seen(np.full((8, 8, 3), 128, np.uint8), "as it is", [(f"class {n}", m) for n, m in enumerate(maps)])


def test_each_map_is_scaled_by_its_own_largest_value() -> None:
    heat = np.zeros((8, 8))
    heat[2, 5] = 1e-4
    figure = evidence_figure([("right", [seen(heat)])], "evidence")
    over = figure.axes[1].get_images()[1]
    assert np.asarray(over.get_array())[2, 5] == 1
    assert np.argmax(over.get_alpha()) == 2 * 8 + 5


def test_an_empty_map_is_called_so() -> None:
    figure = evidence_figure([("right", [seen(np.zeros((8, 8)), np.full((8, 8), np.nan))])], "evidence")
    assert titles(figure) == ["as it is", "class 0; empty", "class 1; empty"]


def test_all_groups_have_their_panels_apart() -> None:
    heat = np.ones((8, 8))
    figure = evidence_figure(
        [("right", [seen(heat)] * 3), ("wrong", [seen(heat)] * 2), ("none", [])], "evidence", False
    )
    boxes = [axes.get_position().bounds for axes in figure.axes]
    assert len(boxes) == 10
    for place, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, *_ in boxes[place + 1 :]:
            assert abs(x - other_x) >= width or abs(y - other_y) >= height
        assert x >= 0
        assert y >= 0
