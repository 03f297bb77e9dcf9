"""Two or more pieces of work timed in turn, and what one costs against another.

A round runs each piece once; every second round goes through them backwards, so that a machine that warms up or
slows down favours none. The first rounds are thrown away. Reported are medians with the range over the rounds, and
as ratio the median of the rounds' own ratios, which a slow round leaves alone because it slows both sides.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Clock = Callable[[], float]  # seconds, from any start
Work = Callable[[], float]  # does it once; how long that took, seconds


@dataclass(frozen=True)
class Range:
    """A median and the extremes."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Range":
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Comparison:
    """Ours against theirs: seconds of the same rounds, in the same order."""

    benchmark: str
    compared_with: str
    ours_seconds: list[float]
    theirs_seconds: list[float]
    note: str = ""
    target: float | None = None  # the largest ratio that meets what is asked
    target_seconds: float | None = None  # or the largest difference

    @property
    def ours(self) -> Range:
        return Range.of(self.ours_seconds)

    @property
    def theirs(self) -> Range:
        return Range.of(self.theirs_seconds)

    @property
    def ratio(self) -> Range:
        """Ours / theirs, round by round: below 1, ours is the faster."""
        return Range.of([ours / theirs for ours, theirs in self._rounds])

    @property
    def difference(self) -> Range:
        """Ours less theirs, round by round, seconds."""
        return Range.of([ours - theirs for ours, theirs in self._rounds])

    @property
    def met(self) -> bool | None:
        """Whether the median reaches what is asked; None where nothing is."""
        if self.target is not None:
            return self.ratio.median <= self.target
        return None if self.target_seconds is None else self.difference.median <= self.target_seconds

    def as_json(self) -> dict[str, Any]:
        return {
            "benchmark": self.benchmark,
            "compared_with": self.compared_with,
            "ours_seconds": self.ours_seconds,
            "theirs_seconds": self.theirs_seconds,
            "ours": vars(self.ours),
            "theirs": vars(self.theirs),
            "ratio": vars(self.ratio),
            "difference_seconds": vars(self.difference),
            "repeats": len(self.ours_seconds),
            "target": self.target,
            "target_seconds": self.target_seconds,
            "met": self.met,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Comparison":
        """What `as_json` was made from."""
        return cls(**{name: saved[name] for name in cls.__dataclass_fields__})

    @property
    def _rounds(self) -> list[tuple[float, float]]:
        return list(zip(self.ours_seconds, self.theirs_seconds, strict=True))


def timed(action: Callable[[], object], clock: Clock = time.perf_counter) -> Work:
    """An action as work that tells how long it took."""

    def work() -> float:
        began = clock()
        action()
        return clock() - began

    return work


def in_turn(works: Mapping[str, Work], repeats: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each work, by name, in each of `repeats` rounds after `warm_up` rounds that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(warm_up + repeats):
        order = list(works) if number % 2 == 0 else list(works)[::-1]
        for name in order:
            took = works[name]()
            if number >= warm_up:
                seconds[name].append(took)
    return seconds
