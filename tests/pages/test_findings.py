"""A page that stands alone: it says all that the findings say, and nothing that a name in them would like it to do."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from pawprint.pages.findings import N_ROWS_SHOWN, VERDICTS, Entry, Group, findings_page, verdict_line
from pawprint.pages.page import rounded
from pawprint.types import Finding

VOID = {"meta", "img", "br", "link"}
HOSTILE = "<script>alert(1)</script> \"'> $x_1$ {{ title }} & &lt; " + "y" * 400


class Page(HTMLParser):
    """What a page holds; raises where a tag is closed that was not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open and self.open[-1] != "style" else ""

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attributes[attribute] for name, attributes in self.tags if name == tag and attribute in attributes]


def curve() -> Figure:
    figure = Figure(layout="constrained")
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def finding(name: str = "leakage", figure: bool = True) -> Finding:
    return Finding(
        name=name,
        question="Are pictures shared?",
        numbers={"n_pairs": 1234.0, "share_percent": 5.33333},
        passed=False,
        limit="no pair",
        reading=f"two pairs of {name}; one of them mirrored",
        remedy="put both into one part",
        figure=curve() if figure else None,
        table=({"first": "a.png", "likeness": 0.98765}, {"first": "b.png", "second": "c.png"}),
    )


def page(*groups: Group) -> str:
    return findings_page("Audit", ["What was tested."], list(groups))


def test_every_part_of_a_finding_is_on_the_page() -> None:
    entries = [Entry(finding(f"test_{v.replace(' ', '_')}"), v, "warn") for v in VERDICTS]
    parsed = Page(page(Group("pictures", entries[:2]), Group("model", entries[2:])))
    assert parsed.open == []
    for entry in entries:
        found = entry.finding
        for text in (found.name, found.question, found.reading, found.limit, found.remedy, entry.verdict, "5.333"):
            assert str(text) in parsed.text
    assert all(said in parsed.text for said in ("What was tested.", "pictures", "model", "1,234", "a.png", "c.png"))
    targets = [link.removeprefix("#") for link in parsed.all("a", "href")]
    assert len(set(targets)) == len(entries)
    assert set(targets) <= {value for _, attributes in parsed.tags if (value := attributes.get("id"))}


def test_nothing_is_fetched_and_nothing_runs() -> None:
    parsed = Page(page(Group("pictures", [Entry(finding(), "failed")])))
    assert all(source.startswith("data:image/png;base64,") for source in parsed.all("img", "src"))
    assert all(link.startswith("#") for link in parsed.all("a", "href"))
    assert "default-src 'none'" in parsed.all("meta", "content")[0]
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    assert not re.search(r"url\(|@import", page())


def test_figures_say_in_words_what_they_show() -> None:
    parsed = Page(
        page(Group("pictures", [Entry(finding(), "failed"), Entry(finding("other", figure=False), "passed")]))
    )
    assert parsed.all("img", "alt") == ["Are pictures shared? two pairs of leakage; one of them mirrored"]


def test_hostile_strings_are_text() -> None:
    hostile = replace(
        finding(HOSTILE), question=HOSTILE, limit=HOSTILE, remedy=HOSTILE, numbers={HOSTILE: 1.0},
        table=({HOSTILE: HOSTILE, "raw": "\udcff.png"},),
    )  # fmt: skip
    written = findings_page(HOSTILE, [HOSTILE], [Group(HOSTILE, [Entry(hostile, "failed", HOSTILE)])])
    parsed = Page(written)
    assert parsed.open == []
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert HOSTILE in parsed.text
    assert HOSTILE in parsed.all("img", "alt")[0]
    assert r"\udcff.png" in parsed.text
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)


def test_equal_findings_make_equal_bytes() -> None:
    found = finding()
    groups = Group("pictures", [Entry(found, "failed")])
    assert page(groups) == page(groups) == page(Group("pictures", [Entry(finding(), "failed")]))


def test_long_tables_are_cut_and_say_so() -> None:
    rows = tuple({"name": f"row_{i}"} for i in range(1234))
    text = Page(page(Group("pictures", [Entry(replace(finding(), table=rows), "failed")]))).text
    assert f"row_{N_ROWS_SHOWN - 1}" in text
    assert f"row_{N_ROWS_SHOWN}" not in text
    assert "Table (1,234 rows)" in text
    assert f"The first {N_ROWS_SHOWN} of 1,234 rows." in text


def test_the_page_leaves_out_what_a_finding_has_not() -> None:
    bare = replace(finding(figure=False), numbers={}, table=(), remedy=None)
    parsed = Page(page(Group("model", [Entry(bare, "measured")])))
    assert not {"img", "details"} & {tag for tag, _ in parsed.tags}
    assert "Remedy" not in parsed.text
    assert "No test was run." in Page(page()).text


def test_the_top_counts_and_names_what_failed() -> None:
    in_both = Entry(finding("output_shape"), "failed")
    groups = [
        Group("pictures", [Entry(finding("leakage"), "failed"), Entry(finding("size"), "passed")]),
        Group("mlp", [in_both, Entry(finding("calibration"), "could not run")]),
        Group("resnet18", [in_both, Entry(finding("rotation"), "measured")]),
    ]
    assert verdict_line(groups) == (
        "3 of 6 tests failed: leakage, output_shape (mlp), output_shape (resnet18); 1 could not run: calibration; "
        "1 measured; 1 passed"
    )
    assert verdict_line([Group("mlp", [Entry(finding(), "passed")])]) == "None of 1 test failed; 1 passed"


@pytest.mark.parametrize(
    ("reading", "line"),
    [
        ("short; and whole", "short; and whole"),
        (f"{'many words ' * 8}here; {'and more ' * 20}", f"{'many words ' * 8}here"),
        (f"short; {'word ' * 40}", f"short; {'word ' * 26}…"),
        ("x" * 500, "x" * 140 + " …"),
    ],
)
def test_the_overview_has_a_line_of_each_reading(reading: str, line: str) -> None:
    table = page(Group("model", [Entry(replace(finding(), reading=reading), "passed")])).partition("</table>")[0]
    assert f"<td>{line}</td>" in table


def test_a_verdict_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of passed, .*; found 'fine'"):
        Entry(finding(), "fine")


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (1234567, "1,234,567"), (12345.678, "12,346"), (0.0533333, "0.05333"), (1e-6, "1e-6"), (1e20, "1e+20"),
     (float("nan"), "not a number"), (float("-inf"), "-∞"), (None, "–"), (True, "True"), ("a", "a")],
)  # fmt: skip
def test_numbers_are_rounded_sensibly(value: object, text: str) -> None:
    assert rounded(value) == text
