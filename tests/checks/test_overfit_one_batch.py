"""Healthy models learn one batch by heart; what cannot is caught, and the reading says how far it came and why."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from pydantic import ValidationError
from torch import nn
from torch.nn import functional

from pawprint.checks import CheckSubject
from pawprint.checks.overfit_one_batch import Settings, run
from pawprint.data.batches import Batch
from pawprint.types import Data, Finding, LossTerms, RunSpec, Split
from tests.checks.conftest import Workshop

Change = Callable[[torch.Tensor], torch.Tensor]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@pytest.fixture
def mlp_shop(data: Data, spec: RunSpec) -> Workshop:
    return Workshop(data, replace(spec, mlp_widths=(32,)))


class Ends(nn.Module):
    """A model whose head stands apart, and what is done before and behind it."""

    def __init__(self, model: nn.Sequential, before: Change, behind: Change) -> None:
        super().__init__()
        self.body, self.head, self.before, self.behind = model[:-1], model[-1], before, behind

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.behind(self.head(self.before(self.body(images))))


def same(x: torch.Tensor) -> torch.Tensor:
    return x


def behind(change: Change) -> Callable[[nn.Module], nn.Module]:
    return lambda model: Ends(model, same, change)


def before_head(change: Change) -> Callable[[nn.Module], nn.Module]:
    return lambda model: Ends(model, change, same)


def with_loss(subject: CheckSubject, loss: Loss) -> CheckSubject:
    def objective(model: nn.Module, batch: Batch) -> LossTerms:
        total = loss(model(batch.images), batch.labels)
        return LossTerms(total, {"cross_entropy": total.detach()})

    return replace(subject, objective=objective)


def with_batches(subject: CheckSubject, change: Callable[[Batch], Batch]) -> CheckSubject:
    def batches() -> Iterator[Batch]:
        return (change(batch) for batch in subject.batches())

    return replace(subject, batches=batches)


def fails(finding: Finding, *reasons: str) -> None:
    assert finding.passed is False, finding.reading
    assert finding.remedy
    for reason in reasons:
        assert reason in finding.reading


# ---- healthy ------------------------------------------------------------------------------------------


def test_healthy_models_learn_a_batch(workshop) -> None:
    for seed in range(3):
        finding = run(workshop.subject(seed=seed), Settings())
        assert finding.passed, finding.reading
        assert "16 pictures of 3 classes are learned by heart in" in finding.reading
        assert finding.numbers["last_accuracy"] == 1
        assert len(finding.table) == finding.numbers["n_steps"] + 1
        assert finding.remedy is None


def test_the_configured_rate_does_not_matter(workshop) -> None:
    slow, fast = (run(workshop.subject(lr=lr, optimizer="sgd"), Settings()) for lr in (0.0, 1e3))
    assert slow.passed
    assert slow.numbers == fast.numbers


@pytest.mark.parametrize("build", [
    lambda: torchvision.models.resnet18(num_classes=3, zero_init_residual=True),
    lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 64), nn.LayerNorm(64), nn.GELU(), nn.Dropout(0.8),
                          nn.Linear(64, 3)),
    lambda: nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3)),
])  # fmt: skip
def test_zeroed_branches_much_dropout_and_no_normalization_pass(mlp_shop: Workshop, build: Callable) -> None:
    finding = run(mlp_shop.subject(lambda _: build()), Settings())
    assert finding.passed, finding.reading


def test_a_frozen_body_under_a_new_head_passes(mlp_shop: Workshop) -> None:
    def frozen(model: nn.Module) -> None:
        model[1].requires_grad_(False)

    finding = run(replace(mlp_shop, spec=replace(mlp_shop.spec, mlp_widths=(512,))).subject(frozen), Settings())
    assert finding.passed, finding.reading


@pytest.mark.parametrize("smoothing", [0.1, 0.2])
def test_a_smoothed_objective_whose_loss_has_a_floor_passes(mlp_shop: Workshop, smoothing: float) -> None:
    subject = with_loss(mlp_shop.subject(), lambda z, y: functional.cross_entropy(z, y, label_smoothing=smoothing))
    finding = run(subject, Settings())
    assert finding.passed, finding.reading


def test_mixed_labels_count_by_their_heaviest(mlp_shop: Workshop) -> None:
    def smooth(batch: Batch) -> Batch:
        return Batch(batch.images, 0.9 * functional.one_hot(batch.labels, 3) + 0.1 / 3)

    finding = run(with_batches(mlp_shop.subject(), smooth), Settings(loss_share=0.5))
    assert finding.passed, finding.reading


# ---- the batch ----------------------------------------------------------------------------------------


def test_at_most_16_pictures_are_used_spread_over_the_classes(mlp_shop: Workshop) -> None:
    finding = run(mlp_shop.subject(batch_size=50), Settings())
    assert finding.numbers["n_pictures"] == 16
    assert finding.numbers["n_classes"] == 3


def sorted_by_class(data: Data) -> Data:
    order = np.argsort(data.train.labels, kind="stable")
    train = Split([data.train.names[i] for i in order], data.train.images[order], data.train.labels[order])
    return replace(data, train=train)


def in_order(subject: CheckSubject, train: Split) -> CheckSubject:
    """Training batches of 4 that nobody shuffled."""

    def batches() -> Iterator[Batch]:
        images = torch.from_numpy(train.images).permute(0, 3, 1, 2).float() / 128 - 1
        for _ in range(100):
            for start in range(0, len(train), 4):
                yield Batch(images[start : start + 4], torch.from_numpy(train.labels[start : start + 4]))

    return replace(subject, batches=batches)


def test_sorted_batches_are_drawn_until_there_is_a_second_class(mlp_shop: Workshop) -> None:
    subject = mlp_shop.subject()
    finding = run(in_order(subject, sorted_by_class(subject.data).train), Settings())
    assert finding.passed
    assert finding.numbers["n_classes"] == 2


def test_a_single_class_gives_no_verdict(mlp_shop: Workshop) -> None:
    train = mlp_shop.data.train
    finding = run(in_order(mlp_shop.subject(), Split(train.names, train.images, 0 * train.labels + 2)), Settings())
    assert finding.passed is None
    assert "pictures of class 2 alone" in finding.reading


def test_a_picture_with_two_labels_is_left_out_and_told(mlp_shop: Workshop) -> None:
    def doubled(batch: Batch) -> Batch:
        images, labels = batch.images.clone(), batch.labels.clone()
        images[1] = images[0]
        labels[1] = (labels[0] + 1) % 3
        return Batch(images, labels)

    finding = run(with_batches(mlp_shop.subject(), doubled), Settings())
    assert finding.passed, finding.reading
    assert finding.numbers["n_left_out"] == 3
    assert "(3 more are such a picture again with another label, and left out)" in finding.reading


def test_labels_drawn_anew_at_every_call_are_caught(mlp_shop: Workshop) -> None:
    def relabeled(batch: Batch) -> Batch:
        return Batch(batch.images, torch.randint(0, 3, batch.labels.shape))

    finding = run(with_batches(mlp_shop.subject(), relabeled), Settings())
    fails(finding, "of 32 pictures come with another label when the batches are made again")
    assert finding.numbers["n_changing_labels"] > 10


# ---- what cannot learn --------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "end"), [(lambda z: z.softmax(dim=1), "a softmax"), (torch.sigmoid, "a sigmoid")])
def test_probabilities_in_place_of_logits_are_caught(mlp_shop: Workshop, change: Change, end: str) -> None:
    finding = run(mlp_shop.subject(behind(change)), Settings())
    fails(finding, "16 pictures of 3 classes are not learned in 200 steps: the loss went from 1.", f"as behind {end}",
          "cross-entropy stays above 0.55")  # fmt: skip


def test_a_relu_whose_classes_are_dead_is_caught(mlp_shop: Workshop) -> None:
    def build(model: nn.Module) -> nn.Module:
        nn.init.constant_(model[-1].bias, -3.0)
        model[-1].bias.data[0] = 1.0
        return Ends(model, same, torch.relu)

    fails(run(mlp_shop.subject(build), Settings()), "no output is negative", "a ReLU behind the head")


def test_a_dead_body_is_caught(mlp_shop: Workshop) -> None:
    def dead(model: nn.Module) -> None:
        nn.init.constant_(model[1].bias, -1e3)

    fails(run(mlp_shop.subject(dead), Settings()), "every picture gets the same answer")


def test_a_network_without_any_gradient_is_given_up_early(mlp_shop: Workshop) -> None:
    finding = run(mlp_shop.subject(behind(lambda z: torch.relu(z - 1e3))), Settings())
    fails(finding, "the gradient of every parameter is 0 in the first 3 steps")
    assert finding.numbers["n_steps"] == 3


def test_a_body_cut_off_from_the_loss_is_told(mlp_shop: Workshop) -> None:
    shop = replace(mlp_shop, spec=replace(mlp_shop.spec, mlp_widths=(4,)))
    finding = run(shop.subject(before_head(torch.detach)), Settings(max_steps=60))
    fails(finding, "2 of the model's trainable parameters get no gradient")


def test_a_loss_without_a_graph_is_told(mlp_shop: Workshop) -> None:
    fails(run(mlp_shop.subject(behind(torch.detach)), Settings()), "in 0 steps", "the loss hangs on no parameter")


def test_a_model_frozen_altogether_is_told(mlp_shop: Workshop) -> None:
    def frozen(model: nn.Module) -> None:
        model.requires_grad_(False)

    fails(run(mlp_shop.subject(frozen), Settings()), "no parameter is trainable")


def test_the_wrong_sign_is_told_early(workshop) -> None:
    finding = run(with_loss(workshop.subject(), lambda z, y: -functional.cross_entropy(z, y)), Settings())
    fails(finding, "the loss falls while cross-entropy rises", "its sign is wrong")
    assert finding.numbers["n_steps"] < 100


def test_labels_that_belong_to_other_pictures_every_step_are_caught(mlp_shop: Workshop) -> None:
    subject = with_loss(mlp_shop.subject(), lambda z, y: functional.cross_entropy(z, y[torch.randperm(len(y))]))
    fails(run(subject, Settings()), "not learned in 200 steps")


def test_pictures_lost_on_the_way_are_caught(mlp_shop: Workshop) -> None:
    subject = with_batches(mlp_shop.subject(), lambda batch: Batch(torch.zeros_like(batch.images), batch.labels))
    fails(run(subject, Settings()), "alone, but for", "that equal one of these in every pixel and have another label")
    noise = with_batches(mlp_shop.subject(), lambda batch: Batch(1e-9 * batch.images, batch.labels))
    fails(run(noise, Settings()), "every picture gets the same answer")


def test_a_loss_that_is_not_finite_is_told_with_its_step(mlp_shop: Workshop) -> None:
    def broken(model: nn.Module) -> None:
        model[-1].weight.data.fill_(float("nan"))

    fails(run(mlp_shop.subject(broken), Settings()), "the loss is nan at step 0, before any step")

    def square_root(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(z, y) + 0 * (z[0, 0] - z[0, 0]).sqrt()  # whose slope at 0 is infinite

    fails(run(with_loss(mlp_shop.subject(), square_root), Settings()), "the loss is nan at step 1, having been 1.")


def test_a_model_without_logits_is_refused_in_words(mlp_shop: Workshop) -> None:
    subject = with_loss(mlp_shop.subject(behind(lambda z: {"a": z.sum()})), lambda out, _: out["a"])
    with pytest.raises(ValueError, match=r"logits, \(16, 3\).*output_shape"):
        run(subject, Settings())


# ---- rules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings", [{"batch_size": 1}, {"rate": 0.0}, {"max_steps": 0}, {"loss_share": 1.0}, {"warmup_steps": 0}]
)
def test_settings_that_make_no_sense_are_refused(settings: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)


def test_measuring_leaves_global_randomness_and_the_start_as_they_were(workshop) -> None:
    subject = workshop.subject()
    before = list(subject.model().state_dict().values())
    torch.manual_seed(7)
    np.random.seed(7)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = run(subject, Settings())
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])
    assert all(torch.equal(a, b) for a, b in zip(before, subject.model().state_dict().values(), strict=True))
    assert run(subject, Settings()).as_json() == first.as_json()
    assert all(type(value) in (int, float) for value in first.numbers.values())
