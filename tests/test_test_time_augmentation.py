"""Views show what they say, and each way of averaging is that of a slow, obvious reference."""

import math
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms.v2 import functional as reference

from pawprint.data.batches import in_order, standardize
from pawprint.models import build_model
from pawprint.seeding import preserve_rng
from pawprint.test_time_augmentation import (
    AS_IT_IS,
    PLACES,
    Answer,
    Way,
    answers_to_views,
    augmented_probabilities,
    averaged,
    crop,
    mirror,
    scale,
    turn,
    view_sets,
)
from pawprint.training.evaluate import BATCH_SIZE, evaluate, log_probabilities
from pawprint.types import Data, RunSpec

WAYS: tuple[Way, ...] = ("logits", "probabilities", "vote")
N_VIEWS, N_PICTURES, N_CLASSES = 4, 300, 3


@pytest.fixture
def logits() -> torch.Tensor:
    """Of four views of each picture, (V, N, K): few enough that votes are often tied."""
    return 3 * torch.randn(N_VIEWS, N_PICTURES, N_CLASSES, generator=torch.Generator().manual_seed(0)).double()


@pytest.fixture
def model(data: Data, resnet_spec: RunSpec) -> nn.Module:
    with preserve_rng():
        torch.manual_seed(0)
        return build_model(resnet_spec, data).train()


@pytest.fixture
def answer(data: Data, model: nn.Module) -> Answer:
    return partial(log_probabilities, model, data=data)


# ---- ways of averaging -----------------------------------------------------------------------------------


def probabilities_of(logits: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in logits)
    return [math.exp(value) / total for value in logits]


def by_hand(views: list[list[float]], way: Way) -> list[float]:
    """Of one picture: probabilities from the logits of each view."""
    classes, n = range(len(views[0])), len(views)
    if way == "logits":
        return probabilities_of([sum(view[k] for view in views) / n for k in classes])
    of_views = [probabilities_of(view) for view in views]
    mean = [sum(of_view[k] for of_view in of_views) / n for k in classes]
    if way == "probabilities":
        return mean
    votes = [sum(of_view.index(max(of_view)) == k for of_view in of_views) for k in classes]
    return [(votes[k] + mean[k]) / (n + 1) for k in classes]


@pytest.mark.parametrize("way", WAYS)
def test_averaging_is_that_of_the_formulas_picture_by_picture(logits: torch.Tensor, way: Way) -> None:
    made = averaged(logits.log_softmax(dim=2), way)
    slow = [by_hand(logits[:, picture].tolist(), way) for picture in range(N_PICTURES)]
    assert made.numpy() == pytest.approx(np.array(slow), abs=1e-12)
    assert made.sum(dim=1).numpy() == pytest.approx(np.ones(N_PICTURES))


def test_the_ways_differ_or_the_tests_would_tell_them_not_apart(logits: torch.Tensor) -> None:
    answers = [averaged(logits.log_softmax(dim=2), way).argmax(dim=1) for way in WAYS]
    assert not any(torch.equal(a, b) for i, a in enumerate(answers) for b in answers[i + 1 :])


def test_the_most_votes_win_and_the_mean_of_probabilities_decides_ties_alone(logits: torch.Tensor) -> None:
    answers = averaged(logits.log_softmax(dim=2), "vote").argmax(dim=1).tolist()
    n_tied = 0
    for picture, answer in enumerate(answers):
        of_views = [probabilities_of(view) for view in logits[:, picture].tolist()]
        votes = [of_view.index(max(of_view)) for of_view in of_views]
        most = max(votes.count(k) for k in range(N_CLASSES))
        leading = [k for k in range(N_CLASSES) if votes.count(k) == most]
        n_tied += len(leading) > 1
        assert answer == max(leading, key=lambda k: sum(of_view[k] for of_view in of_views))
    assert n_tied > 30


def test_one_sure_view_outvotes_no_two() -> None:
    """The mean of probabilities is on the side of the one view, and is no whole vote."""
    unsure = [0.51, 0.49]
    answers = torch.tensor([[[1e-12, 1.0]], [unsure], [unsure]]).double().log()
    assert averaged(answers, "probabilities").argmax() == 1
    assert averaged(answers, "vote").argmax() == 0


def test_what_is_added_to_all_logits_of_a_view_changes_nothing(logits: torch.Tensor) -> None:
    """So log-probabilities do for logits."""
    added = 10 * torch.randn(N_VIEWS, N_PICTURES, 1, generator=torch.Generator().manual_seed(1)).double()
    mean_of_logits = (logits + added).mean(dim=0).softmax(dim=1)
    assert torch.allclose(averaged(logits.log_softmax(dim=2), "logits"), mean_of_logits)


@pytest.mark.parametrize("way", WAYS)
def test_one_view_is_answered_as_it_is(logits: torch.Tensor, way: Way) -> None:
    answers = logits[:1].log_softmax(dim=2)
    assert torch.equal(averaged(answers, way).argmax(dim=1), answers[0].argmax(dim=1))


# ---- views -----------------------------------------------------------------------------------------------


def ramp(height: int = 32, width: int = 40) -> torch.Tensor:
    """A picture (1, 1, H, W) that brightens evenly to the right and downwards."""
    rows, columns = torch.arange(height)[:, None] / height, torch.arange(width)[None, :] / width
    return ((rows + 2 * columns) / 3)[None, None]


def test_every_set_begins_with_the_picture_as_it_is_and_all_holds_each_view_once() -> None:
    sets = view_sets((0.0,) * 3)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert {name: len(views) for name, views in sets.items()} == {
        "flip": 2, "crops": 6, "rotations": 3, "scales": 3, "all": 11,
    }  # fmt: skip
    for views in sets.values():
        assert next(iter(views)) == AS_IT_IS
        assert torch.equal(views[AS_IT_IS](images), images)
        assert all(view is sets["all"][name] for name, view in views.items() if name != AS_IT_IS)
    made = [view(images) for view in sets["all"].values()]
    assert all(view.shape == images.shape for view in made)
    assert not any(torch.allclose(a, b) for i, a in enumerate(made) for b in made[i + 1 :])


def test_views_are_as_strong_as_they_are_asked_to_be() -> None:
    sets, images = view_sets((0.5,), degrees=(30.0,), scales=(0.5, 1.5, 2.0), crop_percent=50.0), ramp()
    assert {name: len(views) for name, views in sets.items() if name != "all"} == {
        "flip": 2, "crops": 6, "rotations": 2, "scales": 4,
    }  # fmt: skip
    assert torch.equal(list(sets["rotations"].values())[1](images), turn(images, 30.0, [0.5]))
    assert torch.equal(list(sets["scales"].values())[3](images), scale(images, 2.0, [0.5]))
    assert torch.equal(list(sets["crops"].values())[1](images), crop(images, PLACES["top left"], 50.0))


def test_a_mirror_swaps_left_and_right() -> None:
    images = ramp()
    assert np.array_equal(mirror(images).numpy(), images.numpy()[..., ::-1])


@pytest.mark.parametrize("place", PLACES)
def test_a_crop_is_that_part_of_the_picture_drawn_large(place: str) -> None:
    """Of an even ramp, each pixel's value is that of the place in the picture that it now shows."""
    images, (down, right) = ramp(), PLACES[place]
    made = crop(images, (down, right), 75.0)[0, 0]
    top, left = down * (32 - 24), right * (40 - 30)
    for row, column in product(range(2, 30), range(2, 38)):  # edges are repeated
        y, x = top + (row + 0.5) * 0.75 - 0.5, left + (column + 0.5) * 0.75 - 0.5
        assert made[row, column] == pytest.approx((y / 32 + 2 * x / 40) / 3, abs=1e-5)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_scaled_picture_shows_what_lay_farther_from_its_center_or_nearer(factor: float) -> None:
    made = scale(ramp(), factor, [0.0])[0, 0]
    for row, column in product(range(8, 24), range(8, 32)):
        y, x = 15.5 + (row - 15.5) / factor, 19.5 + (column - 19.5) / factor
        assert made[row, column] == pytest.approx((y / 32 + 2 * x / 40) / 3, abs=1e-5)


def test_what_comes_in_from_outside_has_the_color_that_is_given() -> None:
    color = [0.2, 0.4, 0.6]
    for view in (scale(torch.ones(1, 3, 16, 16), 0.5, color), turn(torch.ones(1, 3, 16, 16), 45, color)):
        assert view[0, :, 0, 0].tolist() == pytest.approx(color)
        assert view[0, :, 8, 8].tolist() == pytest.approx([1.0] * 3)
    assert scale(torch.ones(1, 3, 16, 16), 1.5, color).min() == 1


def test_turning_is_torchvisions_and_quarter_turns_are_exact() -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(turn(turn(images, 90, [0.0] * 3), 270, [0.0] * 3), images)
    assert torch.equal(turn(images, 90, [0.0] * 3), reference.rotate(images, 90))
    assert torch.allclose(turn(images, 60, [0.4] * 3).mean(), turn(images, 300, [0.4] * 3).mean(), atol=0.02)
    oblong = images[:, :, :6]
    assert turn(oblong, 90, [0.0] * 3).shape == oblong.shape
    assert torch.equal(turn(oblong, 180, [0.0] * 3), oblong.flip(2, 3))


# ---- a model's answers -----------------------------------------------------------------------------------


def test_a_views_answers_are_the_models_to_that_view(data: Data, model: nn.Module, answer: Answer) -> None:
    views = list(view_sets(data.mean)["all"].values())
    pictures = torch.cat([images for images, _ in in_order(data.test, BATCH_SIZE)])
    made = answers_to_views(answer, pictures.split(7), views)
    model.eval()
    with torch.no_grad():
        slow = torch.stack([model(standardize(view(pictures), data)).double().log_softmax(dim=1) for view in views])
    assert made.shape == (11, len(data.test), 3)
    assert torch.allclose(made, slow, atol=1e-5)


def test_the_picture_as_it_is_gets_the_bytes_of_an_evaluation(data: Data, model: nn.Module, answer: Answer) -> None:
    batches = [images for images, _ in in_order(data.test, BATCH_SIZE)]
    answers = answers_to_views(answer, batches, list(view_sets(data.mean)["flip"].values()))
    assert np.array_equal(answers[0].exp().float().numpy(), evaluate(model, data.test, data).probabilities)


def test_a_prediction_is_the_average_of_the_views_and_the_same_twice(data: Data, answer: Answer) -> None:
    views = list(view_sets(data.mean)["crops"].values())
    batches = [images for images, _ in in_order(data.val, BATCH_SIZE)]
    for way in WAYS:
        once, again = (augmented_probabilities(answer, batches, views, way) for _ in range(2))
        assert torch.equal(once, again)
        assert torch.equal(once, averaged(answers_to_views(answer, batches, views), way))


def test_predicting_leaves_the_model_as_it_was(data: Data, model: nn.Module, answer: Answer) -> None:
    model.bn1.eval()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    modes, state = {key: module.training for key, module in model.named_modules()}, torch.get_rng_state()
    batches = [images for images, _ in in_order(data.val, BATCH_SIZE)]
    augmented_probabilities(answer, batches, list(view_sets(data.mean)["all"].values()), "vote")
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
    assert modes == {key: module.training for key, module in model.named_modules()}
    assert torch.equal(state, torch.get_rng_state())
