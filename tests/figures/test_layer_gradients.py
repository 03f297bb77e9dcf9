"""The map of layers' gradients: each run's layers and steps, and what is not finite."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pawprint.figures.layer_gradients import layer_gradients_figure


def layers(last: float, n_layers: int = 3, n_steps: int = 5) -> pd.DataFrame:
    """Gradients of 1, but `last` for the last layer at the last step, with two seeds."""
    rows = [(step, seed, f"gradient_of_layer_l{layer}", 1.0)
            for step in range(1, n_steps + 1) for seed in (0, 1) for layer in range(n_layers)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["step", "seed", "quantity", "value"])
    table.loc[len(table) - 1, "value"] = last
    return table


def drawn(figure: Figure) -> list[np.ndarray]:
    return [np.ma.filled(axes.images[0].get_array().astype(float), np.nan) for axes in figure.axes if axes.images]


def test_a_map_has_a_row_a_layer_and_a_column_a_step_and_means_over_seeds() -> None:
    figure = layer_gradients_figure({"sound": layers(1.0), "grown": layers(100.0)})
    sound, grown = drawn(figure)
    assert sound.shape == grown.shape == (3, 5)
    assert (sound == 1).all()
    assert grown[-1, -1] == pytest.approx(10)  # the geometric mean of 1 and 100
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["l0", "l1", "l2"]
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["sound", "grown"]


def test_what_is_not_finite_is_left_open_and_said_and_zero_is_drawn() -> None:
    figure = layer_gradients_figure({"broken": layers(float("inf")), "dead": layers(0.0)})
    broken, dead = drawn(figure)
    assert np.isnan(broken[-1, -1])
    assert np.isfinite(dead).all()
    assert dead[-1, -1] < 1e-10
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["broken: orange, not finite", "dead"]
