"""Boxes do not cover each other, and arrows go around them."""

from itertools import combinations, pairwise

import pytest

from pawprint.figures.model_graph import HEIGHT, MOST_ROWS, WIDTH, Box, Boxes, _places, _way, model_graph_figure
from pawprint.figures.style import png


def graph(arrows: list[tuple[str, str]]) -> Boxes:
    names = dict.fromkeys(name for arrow in arrows for name in arrow)
    return Boxes("a model", {name: Box(name, "gives 3", "other") for name in names}, arrows)


def chain(n: int) -> list[tuple[str, str]]:
    return [(f"{a}", f"{b}") for a, b in pairwise(range(n))]


GRAPHS = {
    "chain": graph(chain(6)),
    "folded": graph(chain(3 * MOST_ROWS)),
    "shortcut": graph([*chain(6), ("1", "4")]),
    "branch": graph([*chain(6), ("1", "side"), ("side", "4")]),
    "three ways": graph([("0", "a"), ("0", "b"), ("0", "c"), ("a", "1"), ("b", "1"), ("c", "1")]),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_do_not_touch(name: str) -> None:
    places = _places(GRAPHS[name])
    assert set(places) == set(GRAPHS[name].by_name)
    for (x, y), (other_x, other_y) in combinations(places.values(), 2):
        assert abs(x - other_x) > WIDTH or abs(y - other_y) > HEIGHT


@pytest.mark.parametrize("name", ["chain", "folded", "shortcut", "branch"])
def test_arrows_end_at_their_boxes_and_cross_no_other(name: str) -> None:
    boxes = GRAPHS[name]
    places = _places(boxes)
    for source, target in boxes.arrows:
        way = _way(places[source], places[target])
        for end, (x, y) in ((way[0], places[source]), (way[-1], places[target])):
            assert x <= end[0] <= x + WIDTH
            assert y <= end[1] <= y + HEIGHT
        for (a_x, a_y), (b_x, b_y) in pairwise(way):
            assert a_x == b_x or a_y == b_y
            for x, y in (place for box, place in places.items() if box not in (source, target)):
                is_beside = max(a_x, b_x) <= x or min(a_x, b_x) >= x + WIDTH
                is_above_or_below = max(a_y, b_y) <= y or min(a_y, b_y) >= y + HEIGHT
                assert is_beside or is_above_or_below


def test_a_long_chain_is_folded_and_a_long_graph_with_shortcuts_is_not() -> None:
    assert len({x for x, _ in _places(GRAPHS["folded"]).values()}) == 3
    assert len({x for x, _ in _places(graph([*chain(3 * MOST_ROWS), ("1", "4")])).values()}) == 1


def test_the_same_graph_gives_the_same_bytes() -> None:
    once, again = (png(model_graph_figure([GRAPHS["branch"], GRAPHS["chain"]], "a $title$")) for _ in range(2))
    assert once == again
