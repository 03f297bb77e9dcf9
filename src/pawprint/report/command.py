"""`pawprint report`: the page of the study in this folder, with what only this checkout and machine know."""

from __future__ import annotations

from pathlib import Path

from pawprint import atomic, paths
from pawprint.report import provenance
from pawprint.report.evidence import Evidence
from pawprint.report.study import page, report
from pawprint.report.timing import timing_chapter


def report_command(out: Path | None) -> str:
    """Write the page, and return what to say of it; DataError where results are missing: then nothing is written."""
    place = out or paths.REPORT_BY_HAND
    evidence = Evidence()
    made = report(
        evidence, provenance.provenance(evidence, "pawprint report", provenance.commit()), timing_chapter(evidence)
    )
    atomic.write_text(place, page(made, place.parent.resolve()))
    return f"{place}: open it in any browser; it needs no network"
