"""The ratio behind every benchmark, on a clock of our own: no test reads the real one."""

import pytest

from benchmarks.ratio import Comparison, Range, Work, in_turn, timed


class Watch:
    """A clock that only moves when work moves it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.done: list[str] = []

    def work(self, name: str, durations: list[float]) -> Work:
        """Work that takes the given times, one after the other."""
        rest = iter(durations)

        def act() -> None:
            self.done.append(name)
            self.now += next(rest)

        return timed(act, clock=lambda: self.now)


def test_works_take_turns_and_the_warm_up_does_not_count() -> None:
    watch = Watch()
    works = {"ours": watch.work("ours", [90, 3, 1, 2]), "theirs": watch.work("theirs", [50, 2, 4, 2])}
    seconds = in_turn(works, repeats=3, warm_up=1)
    assert seconds == {"ours": [3, 1, 2], "theirs": [2, 4, 2]}
    assert watch.done == ["ours", "theirs", "theirs", "ours"] * 2


def test_a_comparison_is_of_medians_ranges_and_the_rounds_own_ratios() -> None:
    """The second round was slow for both: it moves the ranges, and the ratio not at all."""
    comparison = Comparison("step", "bare", ours_seconds=[3.0, 40.0, 3.0], theirs_seconds=[2.0, 20.0, 2.0])
    assert comparison.ours == Range(median=3.0, low=3.0, high=40.0)
    assert comparison.theirs == Range(median=2.0, low=2.0, high=20.0)
    assert comparison.ratio == Range(median=1.5, low=1.5, high=2.0)
    assert comparison.as_json()["ratio"] == {"median": 1.5, "low": 1.5, "high": 2.0}


def test_an_even_number_of_rounds_has_its_median_in_the_middle() -> None:
    assert Range.of([4.0, 1.0, 2.0, 3.0]) == Range(median=2.5, low=1.0, high=4.0)


def test_rounds_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = Comparison("step", "bare", ours_seconds=[1.0, 2.0], theirs_seconds=[1.0]).ratio
