"""What is in `.dvc` is what `make plots-page` writes; and what a chart reads, the tables have."""

import json
import re
from pathlib import Path

import pytest

from pawprint.dvc_plots.__main__ import files
from pawprint.dvc_plots.templates import DASHES, NUMBERS, SHAPES, templates
from pawprint.figures.style import COLORS

ROOT = Path(__file__).parents[2]


def test_the_repository_has_what_is_written() -> None:
    written = files()
    assert {path.name for path in (ROOT / ".dvc/plots").iterdir()} == {f"{name}.json" for name in templates()}
    for name, content in written.items():
        assert (ROOT / ".dvc" / name).read_text(encoding="utf-8") == content, f"{name}: run `make plots-page`"


def test_the_page_asks_no_network_and_has_what_dvc_fills() -> None:
    page = files()["plots.html"]
    assert page.count("{plot_divs}") == page.count("{refresh_tag}") == 1
    assert "{scripts}" not in page
    without_scripts = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert len(without_scripts) < 4_000
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=|@import|url\(", without_scripts)


def test_runs_have_colors_and_shapes_and_revisions_dashes_of_their_own() -> None:
    assert len(set(COLORS)) == len(set(SHAPES)) == len(COLORS) == len(SHAPES)
    assert len({tuple(dash) for dash in DASHES}) == len(DASHES)


@pytest.mark.parametrize("name", templates())
def test_a_chart_reads_its_numbers_as_numbers(name: str) -> None:
    """DVC hands on text: a column that is drawn as a number and not parsed would be sorted as text."""
    text = json.dumps(templates()[name])
    fields = re.findall(r'"field": "(\w+)", "type": "quantitative"', text)
    made_in_the_chart = set(re.findall(r'"as": "(\w+)"', text))
    assert fields
    assert set(fields) <= {*NUMBERS, *made_in_the_chart}
