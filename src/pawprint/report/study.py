"""A study's report as one HTML page that stands alone, and as the LaTeX that is handed in."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from pawprint import paths
from pawprint.comparison import RunComparison
from pawprint.pages.page import render
from pawprint.report.answers import Answer, Chapter, chapters
from pawprint.report.evidence import Evidence
from pawprint.report.quote import Quote
from pawprint.report.sources import SOURCES, Source
from pawprint.summary import notes

STYLE = "bw"  # pygments': told apart by weight and slant, so that it prints


@dataclass(frozen=True)
class Report:
    """All that page and LaTeX show."""

    title: str
    lead: list[str]
    chapters: list[Chapter]
    claims: list[dict[str, Any]]
    notes: list[str]
    provenance: dict[str, str]
    language: str

    @property
    def sources(self) -> list[Source]:
        """What is cited, in the order of SOURCES."""
        cited = {key for chapter in self.chapters for answer in chapter.answers for key in answer.sources}
        return [source for key, source in SOURCES.items() if key in cited]


def report(evidence: Evidence, provenance: dict[str, str], more: Sequence[Chapter] = ()) -> Report:
    """`more`: chapters that only this machine has. DataError naming what is missing, with what makes it."""
    study = evidence.study
    found = [*chapters(evidence), *more]
    return Report(
        title=f"{study.study}: {sum(len(chapter.answers) for chapter in found)} questions, answered",
        lead=_lead(evidence),
        chapters=found,
        claims=evidence.claims,
        notes=[note for note in notes(evidence.rows) if ": as " not in note],
        provenance=provenance,
        language=study.language,
    )


def page(made: Report, folder: Path) -> str:
    """As HTML. `folder`: where it will lie, from which the links to the source go."""
    colors = HtmlFormatter(style=STYLE).get_style_defs(".code")

    def link(quote: Quote) -> str:
        return f"{os.path.relpath(paths.PACKAGE / quote.file, folder)}#L{quote.line}"

    content = {"title": made.title, "report": made, "code_style": Markup(colors), "SOURCES": SOURCES}
    filters: dict[str, Callable[..., Any]] = {"highlighted": _highlighted, "link": link, "code": _code}
    return render("study.html.jinja", content, filters, package="pawprint.report")


def _highlighted(quote: Quote) -> Markup:
    """Pygments escapes what it is given."""
    return Markup(highlight(quote.text, PythonLexer(), HtmlFormatter(nowrap=True)))


def _code(text: str) -> Markup:
    """A sentence with what stands between backticks set as code; an odd one is no mark."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def _lead(evidence: Evidence) -> list[str]:
    study, rows = evidence.study, evidence.rows
    n_trainings = sum(row.n_seeds for row in rows)
    where = f" from {Path(study.data.path).name}" if study.data.path else ""
    return [
        f"{len(rows)} runs of {len(study.variants)} variants, {n_trainings} trainings, on pictures of "
        f"{study.data.source}{where}, {study.data.image_size} x {study.data.image_size} pixels. The weights of each "
        f"training were chosen on val; test ({rows[0].n_test:,} pictures) chose nothing.",
        "A run is called better or worse where its change is larger than what luck may make of it; else the two are no "
        "different above the noise, which is not the same as equal. Readings are rules over the numbers, each in the "
        "source that is linked beside it.",
        *_warnings(evidence),
        *_headline(rows),
    ]


def _warnings(evidence: Evidence) -> list[str]:
    """What was found wrong with the pictures themselves: no score below is better than they are."""
    faults = {name: found for name, found in evidence.checks.get(paths.PICTURES, {}).items() if found.passed is False}
    return [
        f"Not to be trusted: {name} failed before training, and with it every score here: {found.reading}."
        for name, found in faults.items()
    ]


def _headline(rows: Sequence[RunComparison]) -> list[str]:
    """What was better than its reference, in one sentence."""
    better = [row.label for row in rows if row.verdict == "better"]
    return (
        [f"Better than what they are held against, above the noise: {', '.join(better) or 'none'}."]
        if len(rows) > 1
        else []
    )


def summary(made: Report) -> dict[str, dict[str, Any]]:
    """name → question, outcome, readings and remedies: the report in short, for programs."""
    return {
        answer.name: {
            "question": answer.question, "outcome": answer.verdict, "readings": answer.readings,
            "remedies": answer.remedies,
        }
        for chapter in made.chapters for answer in chapter.answers
    }  # fmt: skip


def answers_of(made: Report) -> list[Answer]:
    return [answer for chapter in made.chapters for answer in chapter.answers]
