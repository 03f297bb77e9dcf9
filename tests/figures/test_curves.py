"""Figures: what is drawn is what was given, readable, and the same bytes each time."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pawprint.figures.bars import Bar, Score, bars_figure
from pawprint.figures.curves import Curve, Line, Panel, draw_curves
from pawprint.figures.question import question_figure
from pawprint.figures.style import COLORS, DASHES, color, line_style, save


def curve(label: str, level: float, n_seeds: int = 2) -> Curve:
    x = np.arange(1, 6)
    return Curve(label, Line(x, x * level), [Line(x, x * level + s) for s in range(n_seeds)])


def panels(log_y: bool = False) -> list[Panel]:
    return [Panel("Loss", "nats", [curve("a", 1.0), curve("b", 2.0)], log_y=log_y)]


def drawn(panel: Panel) -> Axes:
    axes = Figure().subplots()
    draw_curves(axes, panel, "step")
    return axes


def question(n_panels: int = 5, log_y: bool = False) -> Figure:
    bars = [Bar(name, 0.5, [Score(0.4, 0.3, 0.6), Score(0.6, 0.5, 0.7)]) for name in "ab"]
    return question_figure("Rate", "faint: each seed", panels(log_y) * n_panels, "step", bars)


def test_curves_draw_a_faint_line_each_seed_and_a_bold_mean():
    axes = drawn(panels()[0])
    widths = [line.get_linewidth() for line in axes.get_lines()]
    assert sorted(widths) == [0.7, 0.7, 0.7, 0.7, 2.0, 2.0]
    bold = next(line for line in axes.get_lines() if line.get_label() == "b")
    assert np.array_equal(bold.get_ydata(), np.arange(1, 6) * 2.0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "nats")


@pytest.mark.parametrize(("log_y", "scale"), [(True, "log"), (False, "linear")])
def test_curves_axis_is_logarithmic_when_asked(log_y: bool, scale: str):
    assert drawn(panels(log_y)[0]).get_yscale() == scale


@pytest.mark.parametrize(
    ("values", "expected"), [((1e-5, 1e-1), {"1e-5", "1e-3", "0.1"}), ((1e-3, 1.41e-3), {"1e-3", "1.2e-3", "1.4e-3"})]
)
def test_rates_are_labeled_as_in_the_names(values: tuple[float, float], expected: set[str]):
    x = np.arange(2)
    axes = drawn(Panel("t", "y", [Curve("a", Line(x, np.array(values)), [])], log_y=True))
    axes.figure.draw_without_rendering()
    low, high = axes.get_ylim()
    texts = {tick.get_text() for minor in (False, True) for tick in axes.get_yticklabels(minor=minor)}
    assert low < min(values) < max(values) < high
    assert expected <= texts


def test_curves_accept_gaps_zeros_and_nothing(tmp_path: Path):
    x = np.arange(3)
    odd = [Curve("gap", Line(x, np.array([1.0, np.nan, 3.0])), []), Curve("zero", Line(x, x * 0.0), []),
           Curve("none", Line(x[:0], x[:0] * 0.0), [])]  # fmt: skip
    save(question_figure("q", "key", [Panel("t", "y", odd, log_y=True)], "x", []), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_curves_axis_ends_at_the_given_top():
    assert drawn(Panel("t", "y", [curve("a", 100.0)], top=5.0)).get_ylim()[1] == 5.0


def test_question_has_its_panels_then_the_scores_and_names_each_run_once():
    figure = question()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Loss"] * 5 + ["Test accuracy, 95 % intervals"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert figure.legends[0].get_title().get_text() == "faint: each seed"


def test_question_legend_covers_no_panel():
    figure = question()
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert all(not axes.get_tightbbox().overlaps(legend) for axes in figure.axes)


def test_question_shows_every_seed_of_a_run_in_its_color():
    axes = question().axes[-1]
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    points = [bar.lines[0] for bar in axes.containers]
    assert [(point.get_xdata()[0], point.get_color()) for point in points] == [
        (0.4, color(0)), (0.6, color(0)), (0.4, color(1)), (0.6, color(1)),
    ]  # fmt: skip


@pytest.mark.parametrize("n_panels", [1, 2, 4])
def test_question_leaves_unused_places_empty(n_panels: int):
    on = [axes for axes in question(n_panels).axes if axes.axison]
    assert len(on) == n_panels + 1


def test_styles_of_two_rounds_are_distinct():
    n = 2 * len(COLORS)
    assert len({(color(i), line_style(i)) for i in range(n)}) == n
    assert len({line_style(i) for i in range(len(DASHES))}) == len(DASHES)


def test_bars_show_every_score_and_its_interval():
    bars = [Bar("a", 0.5, [Score(0.4, 0.3, 0.6), Score(0.6, 0.5, 0.7)]), Bar("b", float("nan"), [])]
    axes = bars_figure(bars, "Test accuracy", "accuracy (%)").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert len(axes.containers) == 4  # two bars, two points with intervals


def test_same_numbers_same_bytes(tmp_path: Path):
    for name in ("one.png", "two.png"):
        save(question(), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
