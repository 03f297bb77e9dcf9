"""The largest outputs are marked and named, negative ones are not, and every answer has its bar."""

import numpy as np

from pawprint.figures.units import Units, units_figure


def test_the_largest_units_are_named() -> None:
    values = np.array([-9.0, 0.5, 3.0, 2.0, 0.0, 1.0, 4.0, -0.5])
    figure = units_figure([Units("layer 2, ReLU", values)], [("cat", 0.9), ("dog", 0.1)], "units")
    panel, answers = figure.axes
    assert panel.get_title(loc="left") == "layer 2, ReLU: 8 units; largest: 6, 2, 3, 5, 1"
    colors = [bar.get_facecolor() for bar in panel.patches]
    assert [place for place, color in enumerate(colors) if color == colors[6]] == [1, 2, 3, 5, 6]
    assert [bar.get_width() for bar in answers.patches] == [90.0, 10.0]
    assert [label.get_text() for label in answers.get_yticklabels()] == ["cat", "dog"]
