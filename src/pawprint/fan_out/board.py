"""Where each variant is: a table on a terminal, a line for each change elsewhere; at the end the table, and why."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from pawprint.fan_out.job import FIRST
from pawprint.progress import tell
from pawprint.summary import stdout_console


@dataclass
class Place:
    """Of one variant."""

    node: str = "–"
    what: str = "waiting"
    since: float = field(default_factory=time.monotonic)  # of its first move on its node
    seconds: float | None = None  # once it has ended


class Board:
    """Hears what the jobs tell, and shows it."""

    def __init__(self, variants: list[str]) -> None:
        self.places = {variant: Place() for variant in variants}
        self.failed: list[str] = []
        self.live: Live | None = None

    def hear(self, news: list[tuple[str, str, str]]) -> None:
        """(variant, node, what is under way) each, the oldest first."""
        for variant, node, what in news:
            if what == FIRST:  # also of a retry
                self.places[variant] = Place(since=time.monotonic())
            place = self.places[variant]
            place.node, place.what = node, what
            self._say(variant, f"{what} on {node}")
        if self.live is not None:
            self.live.update(self.table())

    def end(self, variant: str, failure: str | None) -> None:
        """The job has ended; `failure`: why not well."""
        place = self.places[variant]
        place.what, place.seconds = "failed" if failure else "done", time.monotonic() - place.since
        self._say(variant, f"{place.what} on {place.node} after {place.seconds:.0f} s")
        if failure:
            self.failed.append(variant)
            print(f"{variant} on {place.node}:\n{failure}\n", file=sys.stderr)

    def table(self) -> Table:
        """A row a variant."""
        result = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name in ("variant", "node", "", "seconds"):
            result.add_column(name, justify="right" if name == "seconds" else "left", overflow="fold")
        for variant, place in self.places.items():
            seconds = time.monotonic() - place.since if place.seconds is None else place.seconds
            result.add_row(variant, place.node, place.what, "" if place.what == "waiting" else f"{seconds:.0f}")
        return result

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Inside, the table is kept up to date on a terminal; it is printed at the end."""
        if sys.stderr.isatty():
            with Live(self.table(), console=Console(stderr=True), transient=True) as self.live:
                yield
        else:
            yield
        stdout_console().print(self.table())

    def _say(self, variant: str, text: str) -> None:
        if self.live is None:
            tell(variant, text)
