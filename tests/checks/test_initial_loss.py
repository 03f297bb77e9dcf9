"""Fresh models start near ln K; what starts elsewhere is told for its reason: objective, pictures or model."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional

from pawprint.checks import CheckSubject
from pawprint.checks.initial_loss import Settings, run
from pawprint.data.batches import Batch
from pawprint.types import Data, Finding, LossTerms, RunSpec, Split
from tests.checks.conftest import Workshop

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@pytest.fixture
def mlp_shop(data: Data, spec: RunSpec) -> Workshop:
    return Workshop(data, spec)


def head(model: nn.Module) -> nn.Linear:
    return [m for m in model.modules() if isinstance(m, nn.Linear)][-1]


def with_loss(subject: CheckSubject, loss: Loss, name: str = "cross_entropy") -> CheckSubject:
    def objective(model: nn.Module, batch: Batch) -> LossTerms:
        total = loss(model(batch.images), batch.labels)
        return LossTerms(total, {name: total.detach()})

    return replace(subject, objective=objective)


def with_pictures(subject: CheckSubject, change: Callable[[Batch], torch.Tensor]) -> CheckSubject:
    def batches() -> Iterator[Batch]:
        return (Batch(change(batch), batch.labels) for batch in subject.batches())

    return replace(subject, batches=batches)


def fails(finding: Finding, *reasons: str) -> None:
    assert finding.passed is False
    assert finding.remedy
    for reason in reasons:
        assert reason in finding.reading


# ---- healthy ------------------------------------------------------------------------------------------


def test_fresh_models_start_at_a_guess(workshop) -> None:
    for seed in range(5):
        finding = run(workshop.subject(seed=seed), Settings())
        assert finding.passed, finding.reading
        assert finding.numbers["blind_loss"] == pytest.approx(math.log(3))
        assert finding.numbers["loss"] == pytest.approx(finding.numbers["cross_entropy"], rel=1e-5)
        assert finding.remedy is None


@pytest.mark.parametrize("batch_size", [2, 50])
def test_small_and_large_batches_pass(workshop, batch_size: int) -> None:
    finding = run(workshop.subject(batch_size=batch_size), Settings())
    assert finding.passed, finding.reading
    assert finding.numbers["n_batches"] == (16 if batch_size == 2 else 4)


def test_a_head_that_starts_at_0_is_exactly_a_guess(workshop) -> None:
    def zeroed(model: nn.Module) -> None:
        nn.init.zeros_(head(model).weight)
        nn.init.zeros_(head(model).bias)

    finding = run(workshop.subject(zeroed), Settings())
    assert finding.passed
    assert finding.numbers["excess_nats"] == pytest.approx(0, abs=1e-6)


def unequal(data: Data) -> Data:
    """Nine of ten training pictures are of the first class."""
    labels = np.where(np.arange(50) % 10 == 0, np.arange(50) % 3, 0)
    return replace(data, train=Split(data.train.names, data.train.images, labels))


def test_class_weights_leave_the_guess_where_it_is(workshop) -> None:
    shop = replace(workshop, data=unequal(workshop.data))
    finding = run(shop.subject(class_weights="balanced"), Settings())
    assert finding.passed, finding.reading


def test_a_bias_set_to_the_classes_frequencies_may_start_lower(workshop) -> None:
    shop = replace(workshop, data=unequal(workshop.data))

    def informed(model: nn.Module) -> None:
        frequencies = torch.from_numpy(np.bincount(shop.data.train.labels, minlength=3) / 50)
        with torch.no_grad():
            head(model).weight.mul_(0.1)
            head(model).bias.copy_(frequencies.log())

    finding = run(shop.subject(informed), Settings())
    assert finding.numbers["loss"] < 0.5 * math.log(3)
    assert finding.passed, finding.reading
    assert "the classes are unequal and the head leans to the frequent ones" in finding.reading


def test_of_several_terms_the_cross_entropy_is_judged(mlp_shop: Workshop) -> None:
    def objective(model: nn.Module, batch: Batch) -> LossTerms:
        loss = functional.cross_entropy(model(batch.images), batch.labels)
        penalty = 10 * sum(p.square().sum() for p in model.parameters())
        return LossTerms(loss + penalty, {"cross_entropy": loss.detach(), "penalty": penalty.detach()})

    assert run(replace(mlp_shop.subject(), objective=objective), Settings()).passed


def test_a_second_head_in_train_mode_is_listened_past(mlp_shop: Workshop) -> None:
    class Two(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self.model(images)
            return logits, logits.detach()

    subject = with_loss(mlp_shop.subject(Two), lambda both, labels: functional.cross_entropy(both[0], labels))
    finding = run(subject, Settings())
    assert finding.passed
    assert math.isfinite(finding.numbers["cross_entropy"])


# ---- the objective ------------------------------------------------------------------------------------


def test_a_loss_summed_over_the_batch_is_told(workshop) -> None:
    subject = with_loss(workshop.subject(), lambda z, y: functional.cross_entropy(z, y, reduction="sum"))
    fails(run(subject, Settings()), "it is the batch size, 8, times 1.", "summed over the batch, not averaged")


def test_a_loss_averaged_twice_is_told(mlp_shop: Workshop) -> None:
    subject = with_loss(mlp_shop.subject(), lambda z, y: functional.cross_entropy(z, y) / len(y))
    fails(run(subject, Settings()), "over the batch size, 8: averaged twice")


def test_the_wrong_sign_is_told(mlp_shop: Workshop) -> None:
    subject = with_loss(mlp_shop.subject(), lambda z, y: -functional.cross_entropy(z, y))
    fails(run(subject, Settings()), "wrong sign: training would climb")


def test_nll_loss_on_logits_is_told(mlp_shop: Workshop) -> None:
    subject = with_loss(mlp_shop.subject(), functional.nll_loss)
    fails(run(subject, Settings()), "nll_loss on logits")


def test_a_heavy_term_beside_cross_entropy_is_told(mlp_shop: Workshop) -> None:
    subject = with_loss(mlp_shop.subject(), lambda z, y: functional.cross_entropy(z, y) + 100 * z.square().mean())
    fails(run(subject, Settings()), "cross-entropy of the same logits is 1.", "the objective adds to it or weighs it")


def test_another_kind_of_objective_gets_no_verdict(mlp_shop: Workshop) -> None:
    def squared(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.mse_loss(z, functional.one_hot(y, 3).float())

    finding = run(with_loss(mlp_shop.subject(), squared, "mean_squared_error"), Settings())
    assert finding.passed is None
    assert "no cross-entropy (mean_squared_error), which of the same logits is 1." in finding.reading
    fails(run(with_loss(mlp_shop.subject(), squared, "loss"), Settings()), "the objective adds to it or weighs it")


def test_a_loss_that_is_not_finite_is_told_apart(mlp_shop: Workshop) -> None:
    def broken(model: nn.Module) -> None:
        head(model).weight.data.fill_(float("nan"))

    fails(
        run(mlp_shop.subject(broken), Settings()), "not finite in 4 of the first 4 batches: the logits are not either"
    )
    of_log = with_loss(mlp_shop.subject(), lambda z, y: functional.nll_loss(z.log(), y))
    fails(run(of_log, Settings()), "not finite", "although cross-entropy of the same logits is 1.")
    by_zero = with_pictures(mlp_shop.subject(), lambda batch: (batch.images - batch.images) / 0)
    fails(run(by_zero, Settings()), "the pictures are not either")


# ---- the pictures -------------------------------------------------------------------------------------


def test_pictures_in_0_to_255_are_told(mlp_shop: Workshop) -> None:
    subject = with_pictures(mlp_shop.subject(), lambda batch: (batch.images * 0.3 + 0.4) * 255)
    fails(run(subject, Settings()), "the pictures come in without standardization (mean 112, standard deviation 67")


# ---- the model ----------------------------------------------------------------------------------------


def test_weights_drawn_too_large_are_told(workshop) -> None:
    def huge(model: nn.Module) -> None:
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=1.0)

    finding = run(workshop.subject(huge), Settings())
    fails(finding, "decides before it has learned anything", "expected at most 1")
    assert finding.numbers["logit_std"] > 3


def test_a_biased_head_is_told_and_its_class_named(workshop) -> None:
    def biased(model: nn.Module) -> None:
        head(model).bias.data[1] = 6.0

    fails(run(workshop.subject(biased), Settings()), "bias favors grey by 4")


def test_a_softmax_before_cross_entropy_cannot_be_seen_here(workshop) -> None:
    subject = with_loss(workshop.subject(), lambda z, y: functional.cross_entropy(z.softmax(dim=1), y))
    assert run(subject, Settings()).passed


def test_a_model_that_is_trained_already_is_told(mlp_shop: Workshop) -> None:
    def trained(model: nn.Module) -> None:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        subject = mlp_shop.subject()
        for _, batch in zip(range(60), subject.batches(), strict=False):
            subject.objective(model, batch).total.backward()
            optimizer.step()
            optimizer.zero_grad()

    fails(run(mlp_shop.subject(trained), Settings()), "knows labels it has not seen", "100% are right (a guess: 33%)")


# ---- rules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"n_batches": 0}, {"max_excess_nats": 0.0}, {"min_share": 1.0}, {"share": 0.5}])
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
