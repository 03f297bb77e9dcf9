"""Readings: rules from a study's numbers to sentences that the numbers carry, one file a question.

Each rule answers `yes`, `no` or `cannot tell`, where there is a yes or no, and gives the numbers it stands on. What a
rule cannot know (too few epochs, one seed, a run that diverged) it says; it does not guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["yes", "no", "cannot tell", "measured"]


@dataclass(frozen=True)
class Reading:
    """What the numbers say to one question."""

    outcome: Outcome  # `measured`: there is no yes or no
    sentences: tuple[str, ...]
    remedy: str | None = None  # where something is wrong
    table: tuple[dict[str, str], ...] = ()  # the numbers, one by one


def points(share: float) -> str:
    """A change of a share, in percentage points."""
    return f"{100 * share:+.1f}"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
