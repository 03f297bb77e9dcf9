"""The ratio behind every benchmark, on a clock of our own: no test judges the real one. And what is compared."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from benchmarks import diagnostics, small_model, tta
from benchmarks.ratio import Comparison, Range, Work, in_turn, timed
from benchmarks.step import noise as pictures_of_noise


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


@pytest.fixture
def noise() -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    return draws.integers(0, 256, (50, 28, 28), dtype=np.uint8), np.arange(50, dtype=np.uint8) % 10


def test_the_small_models_epochs_are_of_the_same_pictures(noise: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    data = small_model.as_data(*noise)
    ((theirs, labels),) = DataLoader(small_model.as_theirs(*noise, tmp_path), batch_size=50)
    ours = torch.from_numpy(data.train.images).permute(0, 3, 1, 2) / 255
    assert torch.equal(theirs, ours)
    assert labels.tolist() == data.train.labels.tolist() == noise[1].tolist()
    assert data.mean[0] == pytest.approx(noise[0].mean() / 255)


def test_the_small_model_is_compared_with_both_plain_loops(noise: tuple[np.ndarray, np.ndarray]) -> None:
    rows = small_model.compare(*noise, batch_size=16, repeats=2)
    assert [row.benchmark for row in rows] == ["small model, batch 16, 50 pictures"] * 2
    assert [row.compared_with.split()[0] for row in rows] == ["FashionMNIST", "the"]
    assert all(len(row.ours_seconds) == 2 and row.ratio.low > 0 for row in rows)
    assert rows[0].theirs_seconds != rows[1].theirs_seconds
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_small_models_plain_loop_learns() -> None:
    """Else its time would be of something else."""
    labels = torch.arange(10).repeat(4)
    images = torch.eye(784)[labels].reshape(40, 1, 28, 28)
    model = small_model.plain_model()
    epoch = small_model.plain_epoch(model, lambda: [(images, labels)])
    for _ in range(500):
        epoch()
    assert (model(images).argmax(dim=1) == labels).all()


def test_the_small_models_pictures_are_those_in_the_folder_or_noise_of_their_size(
    noise: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    small_model.as_theirs(*noise, tmp_path)
    for file in (tmp_path / "FashionMNIST/raw").iterdir():
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    images, labels = small_model.train_set(str(tmp_path))
    assert np.array_equal(images, noise[0])
    assert np.array_equal(labels, noise[1])
    images, labels = small_model.train_set(None)
    assert (images.shape, labels.shape) == ((60_000, 28, 28), (60_000,))


def test_each_set_of_views_is_timed_against_the_plain_pass() -> None:
    rows = tta.compare(pictures_of_noise(pixels=32, n_train=4), repeats=2)
    assert [row.benchmark for row in rows] == [
        f"tta, {name}, {n} passes, 32 px"
        for name, n in (("flip", 2), ("crops", 6), ("rotations", 3), ("scales", 3), ("all", 11))
    ]
    assert all(row.theirs_seconds == rows[0].theirs_seconds for row in rows)
    assert all(len(row.ours_seconds) == 2 and row.ratio.low > 0 for row in rows)


def test_each_diagnostic_is_timed_against_the_bare_step() -> None:
    names = ("layer_gradients", "histograms", "weight_norm")
    rows = diagnostics.compare("mlp", pictures_of_noise(pixels=8, n_train=40), names, n_steps=2, repeats=2)
    assert [row.benchmark for row in rows] == [
        "default: gradient norms, each step, mlp, 8 px",
        "layer_gradients, each step, mlp, 8 px",
        "histograms, one step in 50, mlp, 8 px",
        "weight_norm, one step in 50, mlp, 8 px",
    ]
    assert all(row.theirs_seconds == rows[0].theirs_seconds for row in rows)
    assert all(len(row.ours_seconds) == 2 and row.ratio.low > 0 for row in rows)
