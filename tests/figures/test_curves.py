"""Figures: what is drawn is what was given, readable, and the same bytes each time."""

import json
from pathlib import Path

import numpy as np
import pytest

from pawprint.figures.bars import Bar, Score, bars_figure
from pawprint.figures.curves import Curve, Line, Panel, curves_figure
from pawprint.figures.style import COLORS, color, line_style, save

ROOT = Path(__file__).parents[2]


def curve(label: str, level: float, n_seeds: int = 2) -> Curve:
    x = np.arange(1, 6)
    return Curve(label, Line(x, x * level), [Line(x, x * level + s) for s in range(n_seeds)])


def panels(log_y: bool = False) -> list[Panel]:
    return [Panel("Loss", "nats", [curve("a", 1.0), curve("b", 2.0)], log_y=log_y)]


def test_curves_draw_a_thin_line_each_seed_and_a_bold_mean():
    axes = curves_figure(panels(), "step").axes[0]
    widths = [line.get_linewidth() for line in axes.get_lines()]
    assert sorted(widths) == [0.7, 0.7, 0.7, 0.7, 2.0, 2.0]
    bold = next(line for line in axes.get_lines() if line.get_label() == "b")
    assert np.array_equal(bold.get_ydata(), np.arange(1, 6) * 2.0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "nats")


def test_curves_legend_names_each_run_once():
    texts = curves_figure(panels(), "step").legends[0].get_texts()
    assert [text.get_text() for text in texts] == ["a", "b"]


@pytest.mark.parametrize(("log_y", "scale"), [(True, "log"), (False, "linear")])
def test_curves_axis_is_logarithmic_when_asked(log_y: bool, scale: str):
    assert curves_figure(panels(log_y), "step").axes[0].get_yscale() == scale


def test_curves_accept_gaps_zeros_and_nothing(tmp_path: Path):
    x = np.arange(3)
    odd = [Curve("gap", Line(x, np.array([1.0, np.nan, 3.0])), []), Curve("zero", Line(x, x * 0.0), []),
           Curve("none", Line(x[:0], x[:0] * 0.0), [])]  # fmt: skip
    save(curves_figure([Panel("t", "y", odd, log_y=True)], "x"), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_curves_axis_ends_at_the_given_top():
    panel = Panel("t", "y", [curve("a", 100.0)], top=5.0)
    assert curves_figure([panel], "x").axes[0].get_ylim()[1] == 5.0


def test_styles_of_two_rounds_are_distinct():
    n = 2 * len(COLORS)
    assert len({(color(i), line_style(i)) for i in range(n)}) == n
    assert len({line_style(i) for i in range(len(COLORS))}) == len(COLORS)


@pytest.mark.parametrize("name", ["by_variant", "by_variant_log", "intervals"])
def test_dvc_templates_share_the_palette(name: str):
    template = json.loads((ROOT / f".dvc/plots/{name}.json").read_text())
    assert template["encoding"]["color"]["scale"]["range"] == list(COLORS)


def test_bars_show_every_score_and_its_interval():
    bars = [Bar("a", 0.5, [Score(0.4, 0.3, 0.6), Score(0.6, 0.5, 0.7)]), Bar("b", float("nan"), [])]
    axes = bars_figure(bars, "Test accuracy", "accuracy (%)").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert len(axes.containers) == 4  # two bars, two points with intervals


def test_same_numbers_same_bytes(tmp_path: Path):
    for name in ("one.png", "two.png"):
        save(curves_figure(panels(), "step"), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
