"""Progress for a person: a bar on a terminal, a plain line now and then elsewhere, nothing with --quiet.

Everything here goes to stderr; stdout is for results. Colours follow NO_COLOR (rich does).
PAWPRINT_PROGRESS=plain asks for lines on a terminal too (two trainings side by side), =quiet for nothing.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY_SECONDS = 15.0


class Reporter:
    """Tells how far a piece of work is: `advance()` after each part of it, `note(...)` what to show beside."""

    def __init__(self, name: str, total: int, done: int, bar: Progress | None) -> None:
        self.name, self.total, self.done = name, total, done
        self.bar = bar
        self.task = bar.add_task(name, total=total, completed=done, note="") if bar else None
        self.said_at = time.monotonic()
        self.noted = ""

    def advance(self, n: int = 1) -> None:
        self.done += n
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=self.done)
        elif time.monotonic() - self.said_at >= PLAIN_EVERY_SECONDS:
            self.say(f"{self.done}/{self.total}  {self.noted}")

    def note(self, text: str) -> None:
        """Shown beside the bar, or in the next periodic line."""
        self.noted = text
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, note=text)

    def say(self, text: str) -> None:
        """A line that stays."""
        self.said_at = time.monotonic()
        if self.bar is not None:
            self.bar.console.print(f"{self.name}  {text}", markup=False, highlight=False)
        else:
            tell(self.name, text)


def tell(name: str, text: str) -> None:
    """A line of `name`'s that stays, where there is no bar; nothing with --quiet."""
    if os.environ.get("PAWPRINT_PROGRESS", "") != "quiet":
        print(f"{name}  {text}", file=sys.stderr, flush=True)


@contextmanager
def progress(name: str, total: int, done: int = 0) -> Iterator[Reporter]:
    """Report `total` parts of work under `name`, of which `done` are done already."""
    style = os.environ.get("PAWPRINT_PROGRESS", "")
    if style == "quiet" or style == "plain" or not sys.stderr.isatty():
        yield Reporter(name, total, done, bar=None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
               TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Reporter(name, total, done, bar=bar)
