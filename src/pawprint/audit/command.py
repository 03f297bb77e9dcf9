"""`pawprint audit`: an audit as a table on the terminal, as a page to keep, and as JSON for programs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pawprint import atomic, paths
from pawprint.audit.audit import PACKAGES, PROBED, Audit, Verdict, audit
from pawprint.audit.pictures import MAX_PICTURES
from pawprint.errors import SettingsError
from pawprint.pages.findings import Entry, Group, findings_page, verdict_line
from pawprint.params import cut

COLORS: dict[Verdict, str] = {
    "passed": "green",
    "failed": "bold red",
    "measured": "cyan",
    "left out": "dim",
    "could not run": "yellow",
}
TITLE = "Audit of "  # how our own pages begin, by which they are known
STDOUT = "-"


def audit_command(
    file: Path,
    json_to: str | None = None,
    out: Path | None = None,
    only: Sequence[str] = (),
    limit: int = MAX_PICTURES,
    probed: int = PROBED,
    threads: int = 1,
) -> int:
    """Audit `file`, tell what was found, write the page; the exit code.

    With `json_to` "-" stdout holds the JSON and nothing else. Raises SettingsError before any work if one of the
    files to write is a person's own.
    """
    page_path = _page(file, out)
    json_path = None if json_to in (None, STDOUT) else _json(file, Path(str(json_to)))
    here = Console(stderr=True, highlight=False)
    here.print(f"pawprint audit runs the code in {escape(str(file))}, with your rights: audit only what you would run.")
    found = audit(file, only, limit, probed, threads, lambda text: here.print(f"… {text}", style="dim", markup=False))
    atomic.write_text(page_path, as_page(found))
    as_text = json.dumps(found.as_json(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    if json_path:
        atomic.write_text(json_path, as_text)
    if json_to == STDOUT:
        sys.stdout.write(as_text)
    else:
        show(found, Console(highlight=False))
    here.print(f"page: {escape(str(page_path))}", soft_wrap=True)
    return found.exit_code


def show(found: Audit, console: Console) -> None:
    """The notes, a table of the tests, and what to do about those that failed."""
    for note in found.notes:
        console.print(f"- {note}", markup=False)
    for when in PACKAGES:
        tests = [test for test in found.tests if test.when == when]
        if not tests:
            continue
        columns = ("test", "verdict", "what was found")
        table = Table(*columns, title=f"\n{when.capitalize()}", title_justify="left", box=SIMPLE_HEAD, show_lines=True)
        table.columns[0].no_wrap = table.columns[1].no_wrap = True
        for test in tests:
            verdict = f"[{COLORS[test.verdict]}]{test.verdict}[/]"
            table.add_row(test.name, verdict, escape(test.finding.reading))
        console.print(table)
    for test in found.tests:
        if test.verdict == "failed" and test.finding.remedy:
            console.print(f"[bold]{test.name}[/]: {escape(test.finding.remedy)}.")
    console.print(f"{verdict_line(_groups(found))}.", markup=False)


def as_page(found: Audit) -> str:
    """The audit as one HTML file."""
    lead = [
        f"What model tests say about the work in {found.file}, each with its own settings, on what the file offers: "
        f"{', '.join(f'{name}()' for name in found.offered)}. "
        + (f"It does not offer {', '.join(f'{name}()' for name in found.missing)}." if found.missing else ""),
        *(f"{note if note.startswith('get_') else note[0].upper() + note[1:]}." for note in found.notes),
    ]
    return findings_page(f"{TITLE}{found.file}", lead, _groups(found))


def _groups(found: Audit) -> list[Group]:
    return [
        Group(when.capitalize(), [Entry(test.finding, test.verdict) for test in found.tests if test.when == when])
        for when in PACKAGES
        if any(test.when == when for test in found.tests)
    ]


def _page(file: Path, out: Path | None) -> Path:
    """Named for the file and its folder, which two works with one file name do not share."""
    folder = out or paths.runs() / "audit"
    if reason := atomic.why_unwritable(folder):
        raise SettingsError([f"--out {cut(str(folder))}: expected a folder that can be written to: {reason}"])
    path = folder / f"{file.resolve().parent.name}-{file.stem}.html"
    if path.exists() and f"<title>{TITLE}" not in path.read_text(encoding="utf-8", errors="replace"):
        raise SettingsError([f"--out {folder}: {path.name} is there and no page of an audit; choose another folder"])
    return path


def _json(file: Path, path: Path) -> Path:
    if path.suffix != ".json" or path.resolve() == file.resolve():
        raise SettingsError([f"--json {cut(str(path))}: expected a path that ends in .json, or {STDOUT} for stdout"])
    if reason := "it is a folder" if path.is_dir() else atomic.why_unwritable(path.parent):
        raise SettingsError([f"--json {cut(str(path))}: cannot be written: {reason}"])
    return path
