"""Healthy models pass; each planted fault is caught for its own reason."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torchvision
from pydantic import ValidationError
from torch import nn
from torch.nn import functional

from pawprint.checks import CheckSubject
from pawprint.checks.output_shape import Settings, run
from pawprint.data.batches import Batch
from pawprint.types import Data, LossTerms, RunSpec, Split
from tests.checks.conftest import Workshop

Change = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture
def mlp_shop(data: Data, spec: RunSpec) -> Workshop:
    return Workshop(data, spec)


class Behind(nn.Module):
    """A model, and what is done to its output."""

    def __init__(self, model: nn.Module, change: Change) -> None:
        super().__init__()
        self.model, self.change = model, change

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.change(self.model(images))


class Before(Behind):
    """A model, and what is done to its pictures."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(self.change(images))


def behind(change: Change) -> Callable[[nn.Module], nn.Module]:
    return lambda model: Behind(model, change)


def before(change: Change) -> Callable[[nn.Module], nn.Module]:
    return lambda model: Before(model, change)


def head_name(model: nn.Module) -> str:
    return next(name for name, m in reversed(list(model.named_modules())) if isinstance(m, nn.Linear))


def head(model: nn.Module) -> nn.Linear:
    return model.get_submodule(head_name(model))


def with_width(width: int) -> Callable[[nn.Module], None]:
    return lambda model: setattr(model, head_name(model), nn.Linear(head(model).in_features, width))


def with_labels(subject: CheckSubject, change: Callable[[np.ndarray], np.ndarray], *parts: str) -> CheckSubject:
    splits = {part: getattr(subject.data, part) for part in parts}
    changed = {part: Split(s.names, s.images, change(s.labels)) for part, s in splits.items()}
    return replace(subject, data=replace(subject.data, **changed))


def void(*_: torch.Tensor) -> None:
    """What changes a model in place returns none to take its place."""


def replaced(build: Callable[[], nn.Module]) -> Callable[[nn.Module], nn.Module]:
    return lambda _: build()


def with_batch_labels(subject: CheckSubject, change: Change) -> CheckSubject:
    def batches():
        return (Batch(batch.images, change(batch.labels)) for batch in subject.batches())

    return replace(subject, batches=batches)


# ---- healthy ------------------------------------------------------------------------------------------


def test_healthy_models_pass(workshop) -> None:
    for seed in range(3):
        finding = run(workshop.subject(seed=seed), Settings())
        assert finding.passed, finding.reading
        assert finding.remedy is None
        assert "3 outputs for 3 classes, finite for batches of 8, 1 and 3" in finding.reading


def test_two_classes_are_often_all_positive_by_luck_and_never_accused(mlp_shop: Workshop) -> None:
    two = replace(
        mlp_shop, data=with_labels(mlp_shop.subject(), lambda labels: labels % 2, "train", "val", "test").data
    )
    two.data.class_names.pop()
    n_positive = 0
    for seed in range(40):
        subject = two.subject(seed=seed)
        with torch.no_grad():
            n_positive += bool((subject.model()(subject.batch().images) >= 0).all())
        finding = run(subject, Settings())
        assert finding.passed, finding.reading
    assert n_positive > 2


@pytest.mark.parametrize("scale", [1e-4, 1e3])
def test_small_and_large_logits_pass(workshop, scale: float) -> None:
    def scaled(model: nn.Module) -> None:
        head(model).weight.data.mul_(scale)
        head(model).bias.data.mul_(scale)

    finding = run(workshop.subject(scaled), Settings())
    assert finding.passed, finding.reading


def test_a_head_whose_bias_lifts_all_outputs_above_0_is_no_activation(workshop) -> None:
    finding = run(workshop.subject(lambda model: void(head(model).bias.data.fill_(5.0))), Settings())
    assert "ReLU" not in finding.reading
    assert finding.passed, finding.reading


def test_a_head_that_starts_at_0_passes_and_is_told(workshop) -> None:
    def zeroed(model: nn.Module) -> None:
        nn.init.zeros_(head(model).weight)
        nn.init.zeros_(head(model).bias)

    finding = run(workshop.subject(zeroed), Settings())
    assert finding.passed, finding.reading
    assert "weight starts at 0, so all pictures are answered alike until the first step" in finding.reading


def test_a_signal_lost_between_fresh_running_statistics_is_no_fault(mlp_shop: Workshop) -> None:
    def build() -> nn.Module:
        model = torchvision.models.mobilenet_v3_small()
        model.classifier[3] = nn.Linear(1024, 3)  # its bias outweighs what comes through
        return model

    finding = run(mlp_shop.subject(replaced(build)), Settings())
    assert finding.passed, finding.reading
    assert "until the running statistics are those of pictures" in finding.reading


def test_log_probabilities_are_told_and_no_fault(workshop) -> None:
    finding = run(workshop.subject(behind(lambda z: z.log_softmax(dim=1))), Settings())
    assert finding.passed, finding.reading
    assert "log_softmax ends the model" in finding.reading


def test_the_batch_may_be_a_single_picture(mlp_shop: Workshop) -> None:
    finding = run(mlp_shop.subject(batch_size=1), Settings())
    assert finding.passed, finding.reading


# ---- labels -------------------------------------------------------------------------------------------


def test_a_head_of_the_wrong_width_is_caught(workshop) -> None:
    for width, reason in ((2, "off by one; cross-entropy raises at the first label from 2 on"),
                          (4, "off by one; those from 3 on stand for no class"),
                          (1, "a single output is for binary cross-entropy"),
                          (1000, "ImageNet's head was not replaced")):  # fmt: skip
        finding = run(workshop.subject(with_width(width)), Settings())
        assert finding.passed is False
        assert finding.numbers["n_outputs"] == width
        assert finding.numbers["n_faults"] == 1
        assert f"the head has {width} output" in finding.reading
        assert reason in finding.reading
    assert "off by one" not in finding.reading


def test_labels_that_start_at_1_are_caught_part_by_part(workshop) -> None:
    subject = with_labels(workshop.subject(), lambda labels: labels + 1, "train")
    finding = run(subject, Settings())
    n_last = int((subject.data.train.labels == 3).sum())
    assert finding.passed is False
    assert f"train's labels: {n_last} of 50 are out of range, expected 0 to 2, found 1 to 3" in finding.reading
    assert "labels start at 1" in finding.reading
    everywhere = run(with_labels(subject, lambda labels: labels + 1, "val", "test"), Settings())
    assert [row["where"] for row in everywhere.table] == ["train's labels", "val's labels", "test's labels"]
    assert "and 2 more faults" in everywhere.reading
    assert everywhere.numbers["n_labels_out_of_range"] == n_last + 7 + 10


def test_labels_that_start_at_1_under_a_head_made_wider_for_them_are_caught(workshop) -> None:
    subject = with_labels(workshop.subject(with_width(4)), lambda labels: labels + 1, "train", "val", "test")
    finding = run(subject, Settings())
    assert "labels start at 1" in finding.reading
    assert any("4 outputs for 3 classes: off by one" in row["fault"] for row in finding.table)
    subject.data.class_names.insert(0, "background")
    finding = run(subject, Settings())
    assert finding.passed is False
    assert "labels start at 1: none is 0, while all of 1 to 3 occur" in finding.reading


def test_a_label_that_cross_entropy_leaves_out_is_caught(mlp_shop: Workshop) -> None:
    subject = with_labels(mlp_shop.subject(), lambda labels: np.where(labels == 1, -100, labels), "val")
    finding = run(subject, Settings())
    assert "val's labels: 7 of 21 are out of range" in finding.reading
    assert "cross-entropy leaves out -100" in finding.reading


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda labels: labels.to(torch.int32), "int32 (8,), expected int64 (8,)"),
        (lambda labels: labels.float(), "float32 (8,)"),
        (lambda labels: labels[:, None], "int64 (8, 1)"),
        (lambda labels: labels + 1, "they go from 1 to 3, expected 0 to 2"),
    ],
)
def test_labels_that_the_loss_cannot_take_are_caught(mlp_shop: Workshop, change: Change, found: str) -> None:
    finding = run(with_batch_labels(mlp_shop.subject(), change), Settings())
    assert finding.passed is False
    assert "the labels of the training's first batch" in finding.reading
    assert found in finding.reading


def test_mixed_labels_are_no_fault(mlp_shop: Workshop) -> None:
    subject = with_batch_labels(mlp_shop.subject(), lambda labels: functional.one_hot(labels, 3).float())
    assert run(subject, Settings()).passed


# ---- shape --------------------------------------------------------------------------------------------


def test_numbers_that_are_not_finite_are_caught(workshop) -> None:
    def broken(model: nn.Module) -> None:
        next(model.parameters()).data.fill_(float("nan"))

    finding = run(workshop.subject(broken), Settings())
    assert "not finite" in finding.reading
    assert finding.passed is False


def test_a_forgotten_batch_dimension_is_caught(workshop) -> None:
    finding = run(workshop.subject(behind(torch.squeeze)), Settings())
    assert finding.passed is False
    assert "eval mode, 1 picture: the output is (3,), expected (1, 3)" in finding.reading


def test_a_batch_size_written_into_the_model_is_caught(mlp_shop: Workshop) -> None:
    finding = run(mlp_shop.subject(before(lambda images: images.view(8, -1))), Settings())
    assert finding.passed is False
    assert "eval mode, 1 picture" in finding.reading
    assert "any number of pictures" in finding.remedy


def test_a_model_that_takes_only_pairs_is_caught_with_its_error(mlp_shop: Workshop) -> None:
    def pairs(images: torch.Tensor) -> torch.Tensor:
        if len(images) % 2:
            raise ValueError(f"expected pairs, got {len(images)}\nand more lines")
        return images

    finding = run(mlp_shop.subject(before(pairs)), Settings())
    assert finding.numbers["n_faults"] == 2
    assert "eval mode, 1 picture: the model raises ValueError: expected pairs, got 1" in finding.reading
    assert "more lines" not in finding.reading


def test_a_model_that_raises_in_train_mode_alone_is_caught(mlp_shop: Workshop) -> None:
    def build() -> nn.Module:  # a group of one value: batch normalization has no variance
        return nn.Sequential(nn.Flatten(), nn.Linear(432, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))

    finding = run(mlp_shop.subject(replaced(build), batch_size=1), Settings())
    assert finding.passed is False
    assert (
        "train mode, 1 picture: the model raises ValueError: Expected more than 1 value per channel" in finding.reading
    )


class Auxiliary(nn.Module):
    """Answers with a second head in train mode, as Inception and GoogLeNet do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.second = model, nn.Linear(432, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        return (self.model(images), self.second(images.flatten(1))) if self.training else self.model(images)


def test_a_second_head_is_a_fault_only_where_the_objective_cannot_use_it(mlp_shop: Workshop) -> None:
    subject = mlp_shop.subject(Auxiliary)
    finding = run(subject, Settings())
    assert finding.passed is False
    assert "train mode, 8 pictures: the output is a tuple of 2" in finding.reading
    assert "the objective can make nothing" in finding.reading

    def both_heads(model: nn.Module, batch: Batch) -> LossTerms:
        first, second = (functional.cross_entropy(logits, batch.labels) for logits in model(batch.images))
        return LossTerms(first + 0.3 * second, {"cross_entropy": first.detach()})

    assert run(replace(subject, objective=both_heads), Settings()).passed


@dataclass
class Output:
    logits: torch.Tensor


@pytest.mark.parametrize(
    ("wrap", "found"),
    [(lambda z: {"logits": z}, "a dict of 1"), (Output, "a Output"), (lambda z: (z,), "a tuple of 1")],
)
def test_an_output_that_is_no_tensor_is_caught(mlp_shop: Workshop, wrap: Callable, found: str) -> None:
    finding = run(mlp_shop.subject(behind(wrap)), Settings())
    assert finding.passed is False
    assert f"the output is {found}" in finding.reading
    assert "one tensor of logits" in finding.remedy


def test_class_numbers_in_place_of_logits_are_caught(mlp_shop: Workshop) -> None:
    finding = run(mlp_shop.subject(behind(lambda z: (z > 0).long())), Settings())
    assert "holds int64" in finding.reading
    finding = run(mlp_shop.subject(behind(lambda z: z.argmax(dim=1))), Settings())
    assert "the output is (8,), expected (8, 3)" in finding.reading


# ---- behavior -----------------------------------------------------------------------------------------


def test_a_softmax_at_the_end_is_caught(workshop) -> None:
    finding = run(workshop.subject(behind(lambda z: z.softmax(dim=1))), Settings())
    assert finding.passed is False
    assert "a softmax ends the model" in finding.reading
    assert "applies a softmax again, and its loss stays above 0.55" in finding.reading
    logits, labels = torch.eye(3), torch.arange(3)
    assert functional.cross_entropy(logits, labels).item() == pytest.approx(0.55, abs=0.005)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (torch.sigmoid, "a sigmoid ends the model"),
        (torch.relu, "a ReLU stands behind the head"),
        (lambda z: functional.softplus(10 * z), "an activation stands behind the head"),
    ],
)
def test_an_activation_behind_the_head_is_caught(workshop, change: Change, reason: str) -> None:
    finding = run(workshop.subject(behind(change)), Settings())
    assert finding.passed is False
    assert reason in finding.reading


def test_a_relu_behind_a_head_that_starts_at_0_is_caught(mlp_shop: Workshop) -> None:
    def build() -> nn.Module:
        last = nn.Linear(8, 3)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(nn.Flatten(), nn.Linear(432, 8), nn.ReLU(), last, nn.ReLU())

    assert "a ReLU stands behind the head" in run(mlp_shop.subject(replaced(build)), Settings()).reading


def stateless_norm(model: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3, track_running_stats=False), model)


def flattened_wrongly(images: torch.Tensor) -> torch.Tensor:
    return images.permute(1, 0, 2, 3).reshape(len(images), 3, 12, 12)


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (stateless_norm, "1 keeps no running statistics (track_running_stats=False)"),
        (before(lambda x: functional.batch_norm(x, None, None, training=True)), "batch statistics"),
        (behind(lambda z: z.softmax(dim=0)), "a softmax over dimension 0"),
        (behind(lambda z: z - z.mean(dim=0)), "a mean or a softmax over dimension 0"),
        (before(flattened_wrongly), "a reshape that mixes pictures"),
        (before(lambda x: x / x.abs().max()), "depend"),
    ],
)
def test_a_picture_that_depends_on_its_neighbors_is_caught(workshop, alter: Callable, reason: str) -> None:
    finding = run(workshop.subject(alter), Settings())
    assert finding.passed is False
    what = " ".join(row["fault"] for row in finding.table)
    assert "a picture's output moves by" in what
    assert "when the others in its batch are replaced or left out" in what
    assert reason in what or reason == "depend"
    assert "random in eval mode" not in what
    assert finding.numbers["neighbor_share"] > 0.1


def test_batch_statistics_are_named_even_where_a_single_picture_raises(mlp_shop: Workshop) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(432, 8), nn.BatchNorm1d(8, track_running_stats=False),
                             nn.Linear(8, 3))  # fmt: skip

    finding = run(mlp_shop.subject(replaced(build)), Settings())
    assert "eval mode, 1 picture: the model raises ValueError: Expected more than 1 value" in finding.reading
    assert "2 keeps no running statistics" in finding.table[1]["fault"]


def test_dropout_in_eval_mode_is_random_and_not_its_neighbors_doing(workshop) -> None:
    finding = run(workshop.subject(before(lambda x: functional.dropout(x, 0.5))), Settings())
    assert finding.passed is False
    assert finding.numbers["n_faults"] == 1
    assert "random in eval mode (a dropout that does not know of it?)" in finding.reading


def test_random_and_mixed_at_once_are_two_faults(mlp_shop: Workshop) -> None:
    finding = run(mlp_shop.subject(before(lambda x: functional.dropout(x, 0.5) - x.mean(dim=0))), Settings())
    assert finding.numbers["n_faults"] == 2
    assert "random in eval mode" in finding.table[0]["fault"]
    assert "a picture's output moves by" in finding.table[1]["fault"]


def test_a_constant_output_is_caught(workshop) -> None:
    finding = run(workshop.subject(before(torch.zeros_like)), Settings())
    assert finding.passed is False
    assert "the output is the same for every picture, and for noise" in finding.reading


def test_a_dead_layer_is_a_constant_output(mlp_shop: Workshop) -> None:
    def dead(model: nn.Module) -> None:
        nn.init.constant_(model[1].bias, -1e3)

    finding = run(mlp_shop.subject(dead), Settings())
    assert finding.passed is False
    assert "the output is the same for every picture" in finding.reading
    zeros = run(mlp_shop.subject(lambda model: void(*map(nn.init.zeros_, model.parameters()))), Settings())
    assert zeros.passed is False  # all at 0 is no head at 0: nothing would ever come through


# ---- rules --------------------------------------------------------------------------------------------


def test_the_numbers_are_json(mlp_shop: Workshop) -> None:
    numbers = run(mlp_shop.subject(), Settings()).as_json()["numbers"]
    assert numbers["n_faults"] == 0
    assert numbers["n_outputs"] == numbers["n_classes"] == 3
    assert all(type(value) in (int, float) for value in numbers.values())


@pytest.mark.parametrize(
    "settings", [{"batch_sizes": (0,)}, {"batch_sizes": ("1",)}, {"n_examples": 0}, {"tolerance": 0.0}]
)
def test_settings_that_make_no_sense_are_refused(settings: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)


def test_measuring_leaves_global_randomness_and_the_start_as_they_were(workshop) -> None:
    subject = workshop.subject()
    before_run = [p.clone() for p in subject.model().state_dict().values()]
    torch.manual_seed(7)
    np.random.seed(7)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = run(subject, Settings())
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])
    after = list(subject.model().state_dict().values())
    assert all(torch.equal(a, b) for a, b in zip(before_run, after, strict=True))
    assert run(subject, Settings()).as_json() == first.as_json()
