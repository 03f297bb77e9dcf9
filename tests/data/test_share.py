"""Shares: together they are the whole, and none is larger than another where the mean has to be the same."""

from dataclasses import replace

import pytest
import torch

from pawprint.data.batches import Stream, TrainBatches
from pawprint.data.share import WHOLE, Share
from pawprint.data.views import Cutout, FlipAndShift, View
from pawprint.types import Data, RunSpec


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [0, 1, 5, 21, 22])
def test_shares_of_all_are_all_in_order(n: int, size: int) -> None:
    shares = [list(range(n))[Share(rank, size).of_all(n)] for rank in range(size)]
    assert [one for share in shares for one in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_shares_of_a_batch_are_alike_and_follow_each_other() -> None:
    assert [Share(rank, 3).of_batch(11) for rank in range(3)] == [(0, 3), (3, 3), (6, 3)]
    assert WHOLE.of_batch(11) == (0, 11)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"random_flip": False, "random_crop_percent": 0.0},  # kept in memory
        {"sampling": "balanced", "steps_per_epoch": 9},
        {"objective": "fixmatch", "unlabelled_ratio": 2},
    ],
)
def test_what_processes_learn_from_together_is_the_batch(
    data: Data, spec: RunSpec, settings: dict[str, object]
) -> None:
    data, spec = replace(data, unlabelled=data.test), replace(spec, batch_size=10, **settings)  # type: ignore[arg-type]
    whole = list(TrainBatches(data, spec).epoch(2))
    halves = [list(TrainBatches(data, spec, share=Share(rank, 2)).epoch(2)) for rank in (0, 1)]
    assert len(whole) == len(halves[0]) == len(halves[1])
    for batch, *parts in zip(whole, *halves, strict=True):
        assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
        assert torch.equal(torch.cat([part.labels for part in parts]), batch.labels)
        if batch.unlabelled:
            assert torch.equal(torch.cat([part.unlabelled.strong for part in parts]), batch.unlabelled.strong)


@pytest.mark.parametrize(("size", "lengths"), [(1, [8] * 6 + [2]), (2, [4] * 6), (4, [2] * 6), (8, [1] * 6)])
def test_a_last_batch_that_leaves_one_example_or_none_is_left_out(
    data: Data, spec: RunSpec, size: int, lengths: list[int]
) -> None:
    """50 pictures in batches of 8 leave 2."""
    batches = TrainBatches(data, spec, share=Share(0, size))
    assert [len(batch) for batch in batches.epoch(1)] == lengths
    assert batches.steps_per_epoch == len(lengths)


def test_pictures_on_a_device_are_the_same_as_those_of_the_processor(data: Data) -> None:
    """On `cpu:0`, which is the processor, and for torch another place than `cpu`: the device's path."""
    views = {"own": View([FlipAndShift(True, 2), Cutout(6, (1.0, 2.0, 3.0))], seed=3)}
    here, there = Stream(data.train, views, seed=1), Stream(data.train, views, 1, device=torch.device("cpu", 0))
    for place in (0, 45):  # the second reaches into the next pass
        one, other = here.take(2, place, 9), there.take(2, place, 9)
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1]["own"], other[1]["own"])


@pytest.mark.parametrize("settings", [{}, {"random_flip": False, "random_crop_percent": 0.0}])
def test_an_epochs_batches_are_made_on_the_device_and_nothing_comes_back(
    data: Data, spec: RunSpec, settings: dict[str, object]
) -> None:
    """On torch's device without memory, where a number that comes back, and a mixture of places, raise."""
    device = torch.device("meta")
    batches = TrainBatches(data, replace(spec, **settings), workers=2, device=device)  # type: ignore[arg-type]
    assert batches.workers == 0
    for batch in batches.epoch(1):
        assert (batch.images.device, batch.labels.device) == (device, device)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_views_that_go_picture_by_picture_stay_on_the_processor(data: Data, spec: RunSpec) -> None:
    batches = TrainBatches(data, replace(spec, color_jitter=0.3), device=torch.device("meta"))
    assert next(batches.epoch(1)).images.device.type == "cpu"
