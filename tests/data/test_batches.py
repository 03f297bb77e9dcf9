from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pawprint.data import batches as module
from pawprint.data.batches import TrainBatches, in_order, standardize, unit_range
from pawprint.errors import SettingsError
from pawprint.types import Data, RunSpec, Split

PLAIN = {"random_flip": False, "random_crop_percent": 0.0}


def test_an_epoch_shows_each_example_once(data: Data, spec: RunSpec) -> None:
    plain = replace(spec, random_flip=False, random_crop_percent=0.0)
    batches = list(TrainBatches(data, plain).epoch(1))
    assert [len(b) for b in batches] == [8] * 6 + [2]
    shown = torch.cat([b.images for b in batches]).flatten(1)
    expected = standardize(unit_range(data.train.images), data).flatten(1)
    assert torch.equal(shown.sort(dim=0).values, expected.sort(dim=0).values)


def test_a_resumed_epoch_goes_on_with_the_same_batches(data: Data, spec: RunSpec) -> None:
    batches = TrainBatches(data, spec)
    whole, rest = list(batches.epoch(2)), list(batches.epoch(2, start=3))
    assert len(rest) == len(whole) - 3
    for expected, batch in zip(whole[3:], rest, strict=True):
        assert torch.equal(expected.images, batch.images)
        assert torch.equal(expected.labels, batch.labels)


def test_a_last_batch_of_one_is_left_out(data: Data, spec: RunSpec) -> None:
    batches = TrainBatches(data, replace(spec, batch_size=7))  # 50 = 7 * 7 + 1
    assert batches.steps_per_epoch == 7
    assert [len(b) for b in batches.epoch(1)] == [7] * 7


def test_a_batch_may_be_larger_than_the_set(data: Data, spec: RunSpec) -> None:
    assert [len(b) for b in TrainBatches(data, replace(spec, batch_size=4096)).epoch(1)] == [50]


def test_standardized_pictures_have_the_shape_and_range_a_model_expects(data: Data) -> None:
    images, labels = next(in_order(data.train, 16))
    assert images.shape == (16, 3, 12, 12)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= images.min() <= images.max() <= 1
    assert labels.tolist() == data.train.labels[:16].tolist()
    expected = (images - 0.4) / 0.3
    assert torch.allclose(standardize(images, data), expected, atol=1e-6)


@pytest.fixture
def unbalanced(data: Data) -> Data:
    """Of 50 training pictures 40 in the first class, 9 in the second, one in the third."""
    labels = np.repeat([0, 1, 2], [40, 9, 1])
    return replace(data, train=replace(data.train, labels=labels))


def test_balanced_sampling_shows_every_class_equally_often(unbalanced: Data, spec: RunSpec) -> None:
    for batches, counts in (
        (TrainBatches(unbalanced, spec), [40, 9, 1]),
        (TrainBatches(unbalanced, replace(spec, sampling="balanced")), [16, 17, 17]),
    ):
        shown = torch.cat([batch.labels for batch in batches.epoch(1)])
        assert sorted(shown.bincount().tolist()) == sorted(counts)


def test_balanced_sampling_repeats_no_picture_before_its_class_is_through(unbalanced: Data, spec: RunSpec) -> None:
    order = TrainBatches(unbalanced, replace(spec, sampling="balanced")).labelled.order(1)
    times = np.bincount(order, minlength=50)
    assert times[:40].max() == 1
    assert set(times[40:49]) <= {1, 2}
    assert times[49] in (16, 17)


def test_repeated_pictures_are_augmented_each_on_its_own(unbalanced: Data, spec: RunSpec) -> None:
    spec = replace(spec, sampling="balanced", random_crop_percent=40.0)
    batches = list(TrainBatches(unbalanced, spec).epoch(1))
    labels, images = torch.cat([b.labels for b in batches]), torch.cat([b.images for b in batches])
    assert len(images[labels == 2].flatten(1).unique(dim=0)) > 5  # of one picture


@pytest.mark.parametrize("settings", [{}, PLAIN])
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_make_the_same_batches_and_draw_nothing(
    data: Data, spec: RunSpec, workers: int, settings: dict[str, Any]
) -> None:
    before = torch.get_rng_state()
    spec = replace(spec, **settings)
    alone, helped = TrainBatches(data, spec), TrainBatches(data, spec, workers)
    for start in (0, 3):
        pairs = list(zip(alone.epoch(2, start), helped.epoch(2, start), strict=True))
        assert len(pairs) == alone.steps_per_epoch - start
        for one, other in pairs:
            assert torch.equal(one.images, other.images)
            assert one.images.stride() == other.images.stride()
            assert torch.equal(one.labels, other.labels)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("settings", [
    {},
    {"sampling": "balanced"},
    {"batch_size": 1},
    {"batch_size": 7},  # the last batch, of one, is left out
    {"batch_size": 4096},
])  # fmt: skip
@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_set_kept_in_memory_gives_the_same_batches(
    data: Data, spec: RunSpec, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], n_channels: int
) -> None:
    train = replace(data.train, images=data.train.images[..., :n_channels])
    data = replace(data, train=train, mean=data.mean[:n_channels], std=data.std[:n_channels],
                   image_shape=(n_channels, 12, 12))  # fmt: skip
    spec = replace(spec, **PLAIN, **settings)
    monkeypatch.setattr(module, "CHUNK", 16)  # several, of 50 pictures
    kept = TrainBatches(data, spec)
    monkeypatch.setattr(module, "MOST_BYTES_IN_MEMORY", 4 * 50 * n_channels * 12 * 12 - 1)
    made = TrainBatches(data, spec)
    assert kept.in_memory
    assert not made.in_memory
    for epoch, start in ((1, 0), (2, min(3, made.steps_per_epoch))):
        pairs = list(zip(kept.epoch(epoch, start), made.epoch(epoch, start), strict=True))
        assert len(pairs) == made.steps_per_epoch - start
        for one, other in pairs:
            assert torch.equal(one.images, other.images)
            assert one.images.stride() == other.images.stride()
            assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("settings", [{"random_flip": True}, {"random_crop_percent": 10.0}])
def test_a_set_that_is_augmented_is_not_kept(data: Data, spec: RunSpec, settings: dict[str, Any]) -> None:
    batches = TrainBatches(data, replace(spec, **PLAIN | settings))
    assert not batches.in_memory
    first, second = (torch.cat([batch.images for batch in batches.epoch(epoch)]) for epoch in (1, 2))
    assert not torch.equal(first.flatten(1).sort(dim=0).values, second.flatten(1).sort(dim=0).values)


def test_a_batch_from_memory_may_be_written_to(data: Data, spec: RunSpec) -> None:
    """As a probe or a model that works in place would: the next epoch's pictures are untouched."""
    batches = TrainBatches(data, replace(spec, **PLAIN))
    before = [batch.images.clone() for batch in batches.epoch(1)]
    for batch in batches.epoch(1):
        batch.images.zero_()
        batch.labels.zero_()
    for images, batch in zip(before, batches.epoch(1), strict=True):
        assert torch.equal(images, batch.images)


@pytest.fixture
def half_labelled(data: Data) -> Data:
    """Of 50 training pictures ten keep their label; one of the others has none that anybody knows."""
    rows = np.arange(50)
    hidden = data.train.labels[10:].copy()
    hidden[0] = -1
    kept = Split(data.train.names[:10], data.train.images[rows[:10]], data.train.labels[:10])
    others = Split(data.train.names[10:], data.train.images[rows[10:]], hidden)
    return replace(data, train=kept, unlabelled=others)


@pytest.mark.parametrize(("sampling", "length"), [("oversample", 120), ("undersample", 3)])
def test_sampling_by_the_largest_or_smallest_class(unbalanced: Data, spec: RunSpec, sampling: Any, length: int) -> None:
    batches = TrainBatches(unbalanced, replace(spec, sampling=sampling, batch_size=length))
    for epoch in (1, 2):
        (batch,) = batches.epoch(epoch)
        assert np.bincount(batch.labels).tolist() == [length // 3] * 3


def test_an_epoch_of_so_many_steps_goes_through_the_pictures_again(data: Data, spec: RunSpec) -> None:
    batches = TrainBatches(data, replace(spec, **PLAIN, steps_per_epoch=10))  # 80 of 50 pictures
    images = torch.cat([batch.images for epoch in (1, 2, 3, 4, 5) for batch in batches.epoch(epoch)])
    assert len(images) == 400
    for first in range(0, 400, 50):  # whatever the epochs, 50 after each other are the whole set
        assert len(images[first : first + 50].flatten(1).unique(dim=0)) == 50
    assert not torch.equal(images[:50], images[50:100])


def test_unlabelled_pictures_come_beside_the_labelled_in_two_views(half_labelled: Data, spec: RunSpec) -> None:
    settings = replace(spec, objective="fixmatch", batch_size=4, unlabelled_ratio=3, random_crop_percent=0.0,
                       random_flip=False, steps_per_epoch=10)  # fmt: skip
    batches = list(TrainBatches(half_labelled, settings).epoch(1))
    assert half_labelled.unlabelled is not None
    expected = standardize(unit_range(half_labelled.unlabelled.images), half_labelled).flatten(1)
    for batch in batches:
        assert batch.unlabelled is not None
        assert batch.unlabelled.strong is not None
        assert len(batch) == 4
        assert batch.unlabelled.weak.shape == batch.unlabelled.strong.shape == (12, 3, 12, 12)
        assert not torch.equal(batch.unlabelled.weak, batch.unlabelled.strong)
    weak = torch.cat([batch.unlabelled.weak for batch in batches if batch.unlabelled])[:40]
    labels = torch.cat([batch.unlabelled.labels for batch in batches if batch.unlabelled])[:40]
    assert torch.equal(weak.flatten(1).sort(dim=0).values, expected.sort(dim=0).values)  # each once in a pass
    assert sorted(labels.tolist()) == sorted(half_labelled.unlabelled.labels.tolist())


def test_self_training_makes_no_strong_view(half_labelled: Data, spec: RunSpec) -> None:
    batch = next(TrainBatches(half_labelled, replace(spec, objective="self_training")).epoch(1))
    assert batch.unlabelled is not None
    assert batch.unlabelled.strong is None


def test_unlabelled_batches_resume_and_do_not_depend_on_workers(half_labelled: Data, spec: RunSpec) -> None:
    settings = replace(spec, objective="fixmatch", batch_size=4, steps_per_epoch=6, mixing="cutmix")
    whole = list(TrainBatches(half_labelled, settings).epoch(2))
    for batches in (TrainBatches(half_labelled, settings), TrainBatches(half_labelled, settings, workers=2)):
        for batch, expected in zip(batches.epoch(2, start=2), whole[2:], strict=True):
            assert batch.soft_labels is not None
            assert expected.soft_labels is not None
            assert torch.equal(batch.soft_labels, expected.soft_labels)
            assert torch.equal(batch.images, expected.images)
            assert batch.unlabelled is not None
            assert expected.unlabelled is not None
            assert torch.equal(batch.unlabelled.weak, expected.unlabelled.weak)
            assert batch.unlabelled.strong is not None
            assert expected.unlabelled.strong is not None
            assert torch.equal(batch.unlabelled.strong, expected.unlabelled.strong)


def test_an_objective_without_the_pictures_it_needs_says_so(data: Data, spec: RunSpec) -> None:
    with pytest.raises(SettingsError, match="objective: fixmatch learns from unlabelled pictures, and there are none"):
        TrainBatches(data, replace(spec, objective="fixmatch"))


def test_mixup_mixes_pictures_and_labels_by_the_same_share(data: Data, spec: RunSpec) -> None:
    plain, settings = replace(spec, **PLAIN), replace(spec, **PLAIN, mixing="mixup")
    shares = []
    for whole, mixed in zip(TrainBatches(data, plain).epoch(1), TrainBatches(data, settings).epoch(1), strict=True):
        assert mixed.soft_labels is not None
        assert torch.equal(mixed.labels, whole.labels)
        others, other_labels = whole.images.roll(1, 0), whole.labels.roll(1, 0)
        one_hot, other_one_hot = (torch.nn.functional.one_hot(some, 3).float() for some in (whole.labels, other_labels))
        differs = (whole.labels != other_labels).nonzero()[0, 0]
        share = mixed.soft_labels[differs, whole.labels[differs]].item()
        assert torch.allclose(mixed.images, share * whole.images + (1 - share) * others, atol=1e-5)
        assert torch.allclose(mixed.soft_labels, share * one_hot + (1 - share) * other_one_hot, atol=1e-6)
        shares.append(share)
    assert len(set(shares)) == len(shares)


def test_cutmix_takes_a_rectangle_and_its_share_of_the_label(data: Data, spec: RunSpec) -> None:
    plain, settings = replace(spec, **PLAIN), replace(spec, **PLAIN, mixing="cutmix")
    for whole, mixed in zip(TrainBatches(data, plain).epoch(1), TrainBatches(data, settings).epoch(1), strict=True):
        assert mixed.soft_labels is not None
        others = whole.images.roll(1, 0)
        own, other = mixed.images == whole.images, mixed.images == others
        assert (own | other).all()
        differs = int((whole.labels != whole.labels.roll(1, 0)).nonzero()[0, 0])
        pasted = (~own[differs]).any(dim=0).float().mean().item()  # of the picture's area
        assert 1 - mixed.soft_labels[differs, whole.labels[differs]].item() == pytest.approx(pasted, abs=0.05)


def test_a_batch_goes_to_a_device_whole(half_labelled: Data, spec: RunSpec) -> None:
    settings = replace(spec, objective="fixmatch", batch_size=4, mixing="mixup")
    batch = next(TrainBatches(half_labelled, settings).epoch(1)).to(torch.device("meta"), non_blocking=True)
    assert batch.soft_labels is not None
    assert batch.unlabelled is not None
    assert batch.unlabelled.strong is not None
    parts = (batch.images, batch.labels, batch.soft_labels, *vars(batch.unlabelled).values())
    assert len(parts) == 6
    assert all(part.device.type == "meta" for part in parts)
