"""The maps of histograms: parts as finely as there is room for, shares over steps, and what is not finite."""

import numpy as np
import pandas as pd

from pawprint.diagnostics.histograms import BINS, KINDS
from pawprint.figures.histograms import AROUND_ZERO, MOST_PARTS, histograms_figure, parts


def test_parts_are_what_names_say_as_finely_as_there_is_room_for() -> None:
    blocks = [f"layer{i}.{j}.{name}" for i in range(1, 5) for j in range(2) for name in ("conv1", "bn1", "conv2")]
    of_part = parts(["conv1", "bn1", *blocks, "fc"])
    assert list(dict.fromkeys(of_part.values())) == [
        "conv1", "bn1", *(f"layer{i}.{j}" for i in range(1, 5) for j in range(2)), "fc",
    ]  # fmt: skip
    assert parts(["0", "2.a.b"]) == {"0": "0", "2.a.b": "2.a.b"}


def test_neighbors_are_joined_where_there_is_no_room() -> None:
    of_part = parts([str(number) for number in range(30)])
    assert len(set(of_part.values())) == MOST_PARTS
    assert of_part["0"] == of_part["2"] == "0 – 2"
    assert of_part["3"] != of_part["2"]


def table() -> pd.DataFrame:
    """Two layers, two seeds and two steps; the second layer's last gradients of the first seed are not finite."""
    rows = []
    for step in (1, 50):
        for seed in (0, 1):
            for kind in KINDS:
                for layer in ("first", "second"):
                    broken = (step, seed, kind, layer) == (50, 0, "gradients", "second")
                    rows.append([step, seed, kind, layer, int(broken), *([0] * len(BINS))])
                    rows[-1][5 + AROUND_ZERO + seed * 10] = 3
    return pd.DataFrame(rows, columns=["step", "seed", "kind", "layer", "not_finite", *BINS])


def test_a_map_has_shares_of_all_seeds_and_what_is_not_finite_is_left_open() -> None:
    figure = histograms_figure(table(), "a run")
    maps = [np.ma.filled(axes.collections[0].get_array(), np.nan) for axes in figure.axes]
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == list(KINDS)
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["first", "second"]
    assert all(drawn.shape == (len(BINS), 2) for drawn in maps)
    assert maps[0][AROUND_ZERO].tolist() == maps[0][AROUND_ZERO + 10].tolist() == [0.5, 0.5]
    assert np.isnan(maps[4][:, 1]).all()  # the second layer's gradients
    assert sum(np.isnan(drawn).any() for drawn in maps) == 1
