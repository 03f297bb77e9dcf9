"""One line of docs/guarantees.md."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    guarantee: str  # what is promised
    tried: int
    held: int
    how: str  # what was done, and what counted as held
