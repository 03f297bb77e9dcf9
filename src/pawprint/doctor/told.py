"""One line of what the doctor says."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Told:
    """What was found about one thing. A fault decides the exit code, a note does not."""

    mark: Literal["ok", "note", "mended", "FAULT"]
    about: str
    text: str
    remedy: str = ""  # the command that mends it, or what to know


MANY = 8  # faults of a kind that are told one by one


def first(lines: list[Told]) -> list[Told]:
    """The first few lines of a kind, and how many more there are."""
    if len(lines) <= MANY:
        return lines
    last = lines[MANY]
    return [*lines[:MANY], Told(last.mark, last.about, f"and {len(lines) - MANY} more like these", last.remedy)]
