"""Tiles show their numbers: zero is grey or white, one scale a row, every tile in its place."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from pawprint.figures.mosaic import MapRow, filters_figure, maps_figure, slices_figure
from pawprint.figures.style import png


def drawn(figure: Figure, panel: int = 0) -> np.ndarray:
    return np.asarray(figure.axes[panel].get_images()[0].get_array())


def test_a_weight_of_zero_is_grey_and_each_filter_has_its_own_scale() -> None:
    filters = np.zeros((2, 3, 4, 4))
    filters[0, 0, 0, 0], filters[1, 0, 0, 0] = 2.0, -0.001
    canvas = drawn(filters_figure(filters, "filters"))
    assert canvas[2, 2].tolist() == [1.0, 0.5, 0.5]
    assert canvas[47, 47].tolist() == [0.5, 0.5, 0.5]
    second = canvas[2, 48 + round(0.12 * 48) + 2]
    assert second.tolist() == [0.0, 0.5, 0.5]


def test_maps_of_one_row_share_a_scale_and_rows_do_not() -> None:
    rows = [
        MapRow("small", [3, 1], np.array([[[0.0, 1.0]], [[0.5, 0.0]]])),
        MapRow("large", [0], np.full((1, 2, 2), 90.0)),
    ]
    figure = maps_figure(rows, "maps")
    scales = [axes.get_images()[0].get_clim() for axes in figure.axes]
    assert scales[0] == (0.0, 1.0)
    assert scales[1][0] == 90.0
    numbers = [text.get_text() for text in figure.axes[0].texts]
    assert numbers == ["3", "1"]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_tiles_without_a_range_are_drawn_all_the_same(value: float) -> None:
    for figure in (
        filters_figure(np.full((3, 1, 2, 2), value), "filters"),
        slices_figure(np.full((3, 2, 2, 2), value), "slices"),
        maps_figure([MapRow("row", [0], np.full((1, 2, 2), value))], "maps"),
    ):
        assert png(figure).startswith(b"\x89PNG")
