"""What a report quotes is there, and is the source's own text."""

import ast

import pytest

from pawprint import paths
from pawprint.report.questions import CHECKS, PROBES, quoted
from pawprint.report.quote import quote


@pytest.mark.parametrize("place", sorted(quoted()))
def test_every_place_that_may_be_quoted_is_there(place: str) -> None:
    found = quote(place)
    lines = (paths.PACKAGE / found.file).read_text(encoding="utf-8").splitlines()
    assert found.text.splitlines()[0].strip() == lines[found.line - 1].strip()
    (node,) = ast.parse(found.text).body  # whole, and at the left margin
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    assert node.name == found.name.rsplit(".", maxsplit=1)[-1]


@pytest.mark.parametrize("place", ["types:RunSpec.no_such_thing", "training.loop:no_such_thing"])
def test_what_is_not_there_cannot_be_quoted(place: str) -> None:
    with pytest.raises(LookupError, match="no_such_thing"):
        quote(place)


def test_every_check_and_probe_has_its_question_in_chinese() -> None:
    for folder, asked in (("checks", CHECKS), ("probes", PROBES)):
        assert set(asked) == {file.stem for file in (paths.PACKAGE / folder).glob("*.py")} - {"__init__"}
        assert all(any("\u4e00" <= letter <= "\u9fff" for letter in one.zh) for one in asked.values())
