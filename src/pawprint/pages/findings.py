"""A page of findings that stands alone: text, numbers and figures in one HTML file, nothing fetched.

Its bytes depend on the findings alone. All text is escaped, and the page's content security policy allows neither a
script nor anything from elsewhere, because names of pictures and classes are a stranger's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pawprint.pages.page import render
from pawprint.types import Finding

VERDICTS = ("passed", "failed", "measured", "no verdict", "left out", "could not run")
NAMED_VERDICTS = ("failed", "could not run")  # of these the top of the page names each test
N_ROWS_SHOWN = 200  # of a finding's table
LINE_LETTERS = 140  # of a reading in the overview


@dataclass(frozen=True)
class Entry:
    """A finding and the verdict on it, which is also told where there is no finding worth the name."""

    finding: Finding
    verdict: str  # one of VERDICTS
    level: str | None = None  # what a failure does: stop or warn

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict: expected one of {', '.join(VERDICTS)}; found {self.verdict!r}")


@dataclass(frozen=True)
class Group:
    """Findings about one subject."""

    name: str
    entries: list[Entry]


def findings_page(title: str, lead: list[str], groups: list[Group]) -> str:
    """The page as HTML; `lead` are its first paragraphs."""
    filters: dict[str, Callable[..., Any]] = {"shortened": _shortened, "columns": _columns}
    content = {"title": title, "lead": lead, "groups": groups, "verdict_line": verdict_line(groups)}
    return render("findings.html.jinja", {**content, "N_ROWS_SHOWN": N_ROWS_SHOWN}, filters)


def verdict_line(groups: Sequence[Group]) -> str:
    """`2 of 12 tests failed: leakage, output_shape; 10 passed`, or that none did."""
    entries = [(group, entry) for group in groups for entry in group.entries]
    if not entries:
        return "No test was run"
    counts = Counter(entry.verdict for _, entry in entries)
    tests = f"{len(entries)} test{'s' * (len(entries) > 1)}"
    parts = [f"{counts['failed'] or 'None'} of {tests} failed{_named(entries, 'failed')}"]
    parts += [f"{counts[v]} {v}{_named(entries, v)}" for v in reversed(VERDICTS) if v != "failed" and counts[v]]
    return "; ".join(parts)


def _named(entries: Sequence[tuple[Group, Entry]], verdict: str) -> str:
    """Which tests have it, with the group where a test is in several."""
    if verdict not in NAMED_VERDICTS:
        return ""
    in_groups = Counter(entry.finding.name for _, entry in entries)
    names = [
        entry.finding.name + (f" ({group.name})" if in_groups[entry.finding.name] > 1 else "")
        for group, entry in entries
        if entry.verdict == verdict
    ]
    return f": {', '.join(names)}" if names else ""


def _shortened(reading: str) -> str:
    """As many clauses of a reading as fit a line or two of the overview, or words where the first is longer."""
    if len(reading) <= LINE_LETTERS:
        return reading
    cut = reading[:LINE_LETTERS]
    end = cut.rfind("; ")
    return cut[:end] if end > LINE_LETTERS / 2 else (cut.rpartition(" ")[0] or cut) + " …"


def _columns(table: Sequence[dict[str, Any]]) -> list[str]:
    """Every key of the rows, in order of appearance."""
    return list(dict.fromkeys(key for row in table for key in row))
