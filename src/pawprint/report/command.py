"""`pawprint report`: the page of the study in this folder."""

from pathlib import Path

from pawprint import atomic, paths
from pawprint.report.study import study_page


def report_command(out: Path | None) -> str:
    """Write the page, and return what to say of it; DataError where results are missing: then nothing is written."""
    place = out or paths.STUDY_REPORT
    page = study_page()
    atomic.write_text(place, page)
    return f"{place}: open it in any browser; it needs no network"
