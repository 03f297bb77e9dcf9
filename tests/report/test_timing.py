"""Times taken apart: what was put in comes out, and the sentences say it."""

import numpy as np
import pandas as pd
import pytest

from pawprint.report.timing import EpochTimes, Timed, parts, reading, seconds_to

N_TRAIN = 48_000
SIZES = (1, 16, 64, 256, 1000, 48_000)
PER_PICTURE, PER_STEP = 5e-6, 4e-4


def times(noise: float = 0.0) -> EpochTimes:
    draws = np.random.default_rng(0)
    runs = {}
    for size in SIZES:
        steps = -(-N_TRAIN // size)
        exact = PER_PICTURE * N_TRAIN + PER_STEP * steps
        runs[f"bs_{size}"] = Timed(size, steps, [exact * (1 + noise * draws.normal()) for _ in range(5)])
    return EpochTimes({"model": "a processor"}, 0.0, N_TRAIN, runs)


def epochs() -> pd.DataFrame:
    """Small batches learn more in an epoch; the whole set learns nothing."""
    best = dict(zip(SIZES, (0.90, 0.90, 0.90, 0.89, 0.80, 0.10), strict=True))
    rows = [(f"bs_{size}", seed, epoch, best[size] * (epoch / 10) ** (0.1 if size < 64 else 0.2))
            for size in SIZES for seed in (0, 1) for epoch in range(11)]  # fmt: skip
    return pd.DataFrame(rows, columns=["run", "seed", "epoch", "val_accuracy"])


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-6), (0.03, 0.05)])
def test_compute_and_overhead_are_found_again(noise: float, tolerance: float) -> None:
    found = parts(times(noise))
    assert found.per_picture == pytest.approx(PER_PICTURE, rel=tolerance)
    assert found.per_step == pytest.approx(PER_STEP, rel=tolerance)
    assert found.largest_error <= 3 * noise + 1e-6


def test_time_without_overhead_has_none() -> None:
    """Never negative: a least-squares line through these would give each step a gain."""
    runs = {f"bs_{size}": Timed(size, N_TRAIN // size, [1.0 + 0.01 * size**0.3]) for size in (16, 64, 256)}
    found = parts(EpochTimes({"model": "a"}, 0.0, N_TRAIN, runs))
    assert found.per_step == 0.0


def test_the_wait_is_epochs_times_their_seconds() -> None:
    waits = seconds_to(epochs(), times(), 0.85)
    assert waits["bs_48000"] is None
    assert waits["bs_1000"] is None
    first = next(epoch for epoch in range(11) if 0.9 * (epoch / 10) ** 0.1 >= 0.85)
    assert waits["bs_16"] == pytest.approx(first * times().seconds["bs_16"])


def test_the_reading_says_why_and_which_size_is_soonest() -> None:
    why, so, soonest = reading(times(), epochs())
    assert "A step costs 0.4 ms" in why
    assert "a picture 5 µs" in why
    assert "1 99 %" in why
    assert "the whole set 0 %" in why
    assert "From 1000 on" in so
    assert "came 64 after" in soonest or "came 256 after" in soonest
    assert "never in these epochs: 1000, the whole set." in soonest
