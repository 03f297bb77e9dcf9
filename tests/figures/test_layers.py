"""The map of what is measured of layers: each run's layers and steps, and what is not finite."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pawprint.figures.layers import edges, layers_figure
from pawprint.types import DEAD, GRADIENT, UPDATE


def layers(last: float, n_layers: int = 3, n_steps: int = 5, of: str = GRADIENT) -> pd.DataFrame:
    """Gradients of 1, but `last` for the last layer at the last step, with two seeds."""
    rows = [(step, seed, f"{of}l{layer}", 1.0)
            for step in range(1, n_steps + 1) for seed in (0, 1) for layer in range(n_layers)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["step", "seed", "quantity", "value"])
    table.loc[len(table) - 1, "value"] = last
    return table


def drawn(figure: Figure) -> list[np.ndarray]:
    return [np.ma.filled(axes.collections[0].get_array().astype(float), np.nan) for axes in figure.axes[:-1]]


def test_a_map_has_a_row_a_layer_and_a_column_a_step_and_means_over_seeds() -> None:
    figure = layers_figure({"sound": layers(1.0), "grown": layers(100.0)})
    sound, grown = drawn(figure)
    assert sound.shape == grown.shape == (3, 5)
    assert (sound == 1).all()
    assert grown[-1, -1] == pytest.approx(10)  # the geometric mean of 1 and 100
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["l0", "l1", "l2"]
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["sound", "grown"]


def test_what_is_not_finite_is_left_open_and_said_and_zero_is_drawn() -> None:
    figure = layers_figure({"broken": layers(float("inf")), "dead": layers(0.0)})
    broken, dead = drawn(figure)
    assert np.isnan(broken[-1, -1])
    assert np.isfinite(dead).all()
    assert dead[-1, -1] < 1e-10
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["broken: orange, not finite", "dead"]


def test_only_the_quantity_that_is_asked_for_is_drawn_and_shares_as_shares() -> None:
    runs = {"run": pd.concat([layers(100.0, of=UPDATE), layers(0.5, of=DEAD), layers(7.0)])}
    (updates,), (dead,) = (drawn(layers_figure(runs, quantity)) for quantity in (UPDATE, DEAD))
    assert updates[-1, -1] == pytest.approx(10)
    assert dead[-1, -1] == 0.75  # the mean of 1 and 0.5
    assert layers_figure(runs, DEAD).axes[0].collections[0].norm(0.5) == 0.5


def test_a_column_reaches_half_way_to_the_steps_beside_it() -> None:
    assert edges(np.array([1.0, 50.0, 100.0])).tolist() == [-23.5, 25.5, 75.0, 125.0]
    assert edges(np.array([1.0])).tolist() == [0.5, 1.5]
