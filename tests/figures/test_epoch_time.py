"""The figure of epochs' times: what is drawn is what was given."""

import numpy as np

from pawprint.figures.curves import Curve, Line
from pawprint.figures.epoch_time import Epoch, epoch_time_figure
from pawprint.figures.style import png

EPOCHS = [Epoch("1", 1, [20.0, 21.0], 0.3, 20.0), Epoch("256", 256, [0.4, 0.41], 0.3, 0.1)]


def test_times_and_losses_are_drawn() -> None:
    curves = [Curve(epoch.label, Line(np.array([1.0, 2.0]), np.array([2.0, 1.0 + i])), []) for i, epoch in
              enumerate(EPOCHS)]  # fmt: skip
    figure = epoch_time_figure(EPOCHS, curves)
    left, right = figure.axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in left.lines}  # type: ignore[arg-type]
    assert drawn["compute, by picture"] == [0.3, 0.3]
    assert drawn["overhead, by step"] == [20.0, 0.1]
    assert drawn["measured"] == [20.0, 21.0]
    assert [text.get_text() for text in left.get_xticklabels()] == ["1", "256"]
    assert [list(line.get_ydata()) for line in right.lines] == [[2.0, 1.0], [2.0, 2.0]]  # type: ignore[arg-type]
    assert png(figure).startswith(b"\x89PNG")
