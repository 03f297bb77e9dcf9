"""The README says what the graph left: its table is that of metrics/compare, and its figures and links are there."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from pawprint import paths, readme
from pawprint.errors import DataError

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_committed_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of those in the working tree: another processor may round another way."""
    committed = subprocess.run(["git", "show", f"HEAD:{paths.COMPARISON}"], cwd=ROOT, capture_output=True, check=True)
    monkeypatch.chdir(tmp_path)
    paths.COMPARISON.parent.mkdir(parents=True)
    paths.COMPARISON.write_bytes(committed.stdout)
    assert readme.with_table(README, readme.table()) == README, "run `make readme`"


def test_another_table_replaces_the_old_one_alone() -> None:
    other = readme.with_table(README, "other\n")
    assert "```text\nother\n```" in other
    kept = [text.split(readme.BEGIN)[0] + text.split(readme.END)[1] for text in (README, other)]
    assert kept[0] == kept[1]


def test_averages_over_views_are_those_of_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each training that was looked at: with one pass nothing was averaged, and nothing is gained."""
    monkeypatch.chdir(ROOT / "studies/semi")
    lines = [line for line in readme.averages().splitlines() if ", seed " in line]
    found = [json.loads(path.read_text())["tta"] for path in sorted(Path("metrics/probe").glob("*.json"))]
    numbers = [finding["numbers"] for of_variant in found for finding in of_variant.values()]
    assert len(lines) == len(numbers)
    for line, number in zip(lines, numbers, strict=True):
        assert f"{100 * number['test_accuracy_chosen']:.1f} (" in line
        assert (f"{100 * number['test_gain']:+.1f} " in line) == (number["passes_chosen"] > 1)


@pytest.mark.parametrize("text", ["", readme.BEGIN, readme.END])
def test_a_readme_without_marks_is_told(text: str) -> None:
    with pytest.raises(DataError, match="expected the lines"):
        readme.with_table(text, "t\n")


def test_every_picture_and_file_that_is_linked_is_there() -> None:
    linked = re.findall(r"\]\((?!https?://|#)([^)]+)\)", README)
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []


def test_a_command_s_tables_take_the_place_of_its_last_ones() -> None:
    begin, text = "<!-- from here: make it -->\n", "before\n<!-- from here: make it -->\nold\n<!-- to here -->\nafter\n"
    for made in ("new\n", "newer\n"):
        text = readme.between_marks(text, made, Path("d.md"), begin)
        assert text == f"before\n{begin}{made}<!-- to here -->\nafter\n"
    with pytest.raises(DataError, match=r"d\.md: expected the lines `<!-- from here: make that -->`"):
        readme.between_marks(text, "new\n", Path("d.md"), "<!-- from here: make that -->\n")
