"""Healthy models pass; each planted fault is caught, and told apart from the others."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from pydantic import ValidationError
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock

from pawprint.checks import CheckSubject
from pawprint.checks.parameter_update import Settings, run
from pawprint.data.batches import Batch
from pawprint.training.optimizers import build_optimizer
from pawprint.types import Data, Finding, LossTerms, RunSpec
from tests.checks.conftest import Workshop

Change = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture
def mlp_shop(data: Data, spec: RunSpec) -> Workshop:
    return Workshop(data, spec)


class Between(nn.Module):
    """A model whose head stands apart, and what is done before it."""

    def __init__(self, model: nn.Sequential, change: Change) -> None:
        super().__init__()
        self.body, self.head, self.change = model[:-1], model[-1], change

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.change(self.body(images)))


class WithForgotten(nn.Module):
    """A layer, and a normalization, that are built and never called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.forgotten, self.norm = model, nn.Linear(3, 3), nn.BatchNorm1d(3, affine=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images)


def between(change: Change) -> Callable[[nn.Module], nn.Module]:
    return lambda model: Between(model, change)


def replaced(build: Callable[[], nn.Module]) -> Callable[[nn.Module], nn.Module]:
    return lambda _: build()


def first_layer(model: nn.Module) -> nn.Module:
    return next(m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d))


def last_layer(model: nn.Module) -> nn.Linear:
    return [m for m in model.modules() if isinstance(m, nn.Linear)][-1]


def with_optimizer(subject: CheckSubject, build: Callable[[nn.Module], torch.optim.Optimizer]) -> CheckSubject:
    return replace(subject, optimizer_for=build)


def fails(finding: Finding, *reasons: str) -> None:
    assert finding.passed is False, finding.reading
    assert finding.remedy
    assert finding.table
    for reason in reasons:
        assert reason in finding.reading


# ---- healthy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_healthy_models_pass(workshop, optimizer: str) -> None:
    for seed in range(3):
        finding = run(workshop.subject(seed=seed, optimizer=optimizer), Settings())
        assert finding.passed, finding.reading
        assert finding.numbers["n_changed"] == finding.numbers["n_trainable"]
        assert finding.remedy is None


def test_layers_that_start_at_0_learn_with_the_second_or_third_step(workshop) -> None:
    def zeroed(model: nn.Module) -> None:
        nn.init.zeros_(last_layer(model).weight)
        for block in model.modules():
            if isinstance(block, BasicBlock):
                nn.init.zeros_(block.bn2.weight)  # as zero_init_residual has it

    finding = run(workshop.subject(zeroed), Settings())
    assert finding.passed, finding.reading
    assert finding.numbers["n_steps"] in (2, 3)
    fails(run(workshop.subject(zeroed), Settings(max_steps=1)), "the gradient is 0 in 1 step")


class Tokens(nn.Module):
    """An embedding of which a batch uses some rows, attention, layer and group normalization."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.levels = nn.Embedding(256, 8, sparse=sparse)
        self.place = nn.Parameter(torch.zeros(1, 36, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.groups, self.head = nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        levels = ((images[:, 0, ::2, ::2] * 0.3 + 0.4) * 255).long().clamp(0, 255).flatten(1)  # (B, 36)
        x = self.levels(levels) + self.place
        x = self.norm(x + self.attention(x, x, x)[0]).mean(dim=1)
        return self.head(self.groups(x))


@pytest.mark.parametrize("sparse", [False, True])
def test_embeddings_attention_and_norms_pass(mlp_shop: Workshop, sparse: bool) -> None:
    subject = mlp_shop.subject(replaced(lambda: Tokens(sparse)))
    subject = with_optimizer(subject, lambda model: torch.optim.SGD(model.parameters(), lr=0.1))
    finding = run(subject, Settings())
    assert finding.passed, finding.reading


def small_cnn() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.AdaptiveAvgPool2d(2),
                         nn.Flatten(), nn.Linear(32, 3))  # fmt: skip


def test_a_bias_that_a_normalization_takes_away_is_no_fault(mlp_shop: Workshop) -> None:
    finding = run(mlp_shop.subject(replaced(small_cnn), optimizer="sgd", lr=1e-4), Settings())
    assert finding.passed, finding.reading
    assert "the others have hardly a gradient as yet, too small to show (0.bias)" in finding.reading
    assert finding.numbers["n_waiting"] == 1


def test_a_rate_of_zero_gives_no_verdict(workshop) -> None:
    finding = run(workshop.subject(lr=0.0), Settings())
    assert finding.passed is None
    assert "learning rate is 0" in finding.reading


# ---- trainable, and stuck -----------------------------------------------------------------------------


def test_a_parameter_missing_from_the_optimizer_is_caught(workshop) -> None:
    def without_last(model: nn.Module) -> torch.optim.Optimizer:
        *rest, _last = model.parameters()
        return torch.optim.Adam(rest, lr=1e-3)

    finding = run(with_optimizer(workshop.subject(), without_last), Settings())
    assert finding.numbers["n_stuck"] == 1
    name = finding.table[0]["name"]
    fails(finding, f"1 of {finding.numbers['n_trainable']} trainable parameters: not in the optimizer ({name})")


def test_an_optimizer_of_another_model_is_caught(workshop) -> None:
    subject = workshop.subject()
    elsewhere = subject.start(0)
    finding = run(with_optimizer(subject, lambda _: build_optimizer(workshop.spec, elsewhere)), Settings())
    n = finding.numbers["n_trainable"]
    fails(finding, f"{n} of {n} trainable parameters: not in the optimizer")
    assert finding.numbers["n_stuck"] == len(finding.table) == n
    assert ("and 57 more" in finding.reading) == (n == 62)


def test_layers_that_forward_never_calls_are_caught(workshop) -> None:
    finding = run(workshop.subject(WithForgotten), Settings())
    fails(finding, "never used, the loss is the same whatever the values (forgotten.weight, forgotten.bias)",
          "normalization", "the running statistics stay as they are, it is never called (norm)")  # fmt: skip


@pytest.mark.parametrize("change", [torch.detach, lambda x: functional.one_hot(x.argmax(dim=1), 8).float()])
def test_a_gradient_cut_off_is_told_from_a_parameter_never_used(mlp_shop: Workshop, change: Change) -> None:
    finding = run(mlp_shop.subject(between(change)), Settings())
    fails(finding, "2 of 4 trainable parameters: used, but no gradient arrives", "(body.1.weight, body.1.bias)")
    assert finding.table[0]["largest_gradient"] is None


def test_a_loss_that_hangs_on_no_parameter_is_caught(mlp_shop: Workshop) -> None:
    class Detached(Between):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images).detach()

    fails(run(mlp_shop.subject(lambda m: Detached(m, nn.Identity())), Settings()), "4 of 4", "used, but no gradient")


def test_a_loss_that_differs_from_call_to_call_leaves_it_at_no_gradient(mlp_shop: Workshop) -> None:
    draws = np.random.Generator(np.random.PCG64(0))

    def objective(model: nn.Module, batch: Batch) -> LossTerms:
        loss = functional.cross_entropy(model(batch.images) + draws.random(), batch.labels) * (1 + draws.random())
        return LossTerms(loss, {"cross_entropy": loss.detach()})

    finding = run(replace(mlp_shop.subject(WithForgotten), objective=objective), Settings())
    fails(finding, "no gradient arrives (forgotten.weight, forgotten.bias)")


def test_a_dead_layer_is_caught_even_where_weight_decay_moves_it(mlp_shop: Workshop) -> None:
    def dead(model: nn.Module) -> None:
        nn.init.constant_(model[1].bias, -1e3)

    fails(run(mlp_shop.subject(dead), Settings()), "the gradient is 0 in each of 3 steps (1.weight, 1.bias, 3.weight)")
    finding = run(mlp_shop.subject(dead, optimizer="adamw", weight_decay=0.1), Settings())
    fails(finding, "the gradient is 0 in each of 3 steps, only weight decay moves it")


def test_a_group_without_a_rate_is_caught(workshop) -> None:
    def two_rates(model: nn.Module) -> torch.optim.Optimizer:
        first, *rest = model.parameters()
        return torch.optim.SGD([{"params": [first], "lr": 0.0}, {"params": rest}], lr=0.1)

    finding = run(with_optimizer(workshop.subject(), two_rates), Settings())
    fails(finding, "the group's learning rate is 0")
    assert finding.numbers["n_stuck"] == 1


def test_a_rate_below_the_resolution_of_the_values_is_caught(workshop) -> None:
    fails(run(workshop.subject(lr=1e-12), Settings()), "the step is lost in rounding: at a rate of 1e-12 it is below "
          "float32's resolution of the values")  # fmt: skip


def test_a_group_whose_rate_is_far_too_small_is_caught_among_others(mlp_shop: Workshop) -> None:
    def two_rates(model: nn.Module) -> torch.optim.Optimizer:
        body, head = list(model[1].parameters()), list(model[-1].parameters())
        return torch.optim.Adam([{"params": body, "lr": 1e-14}, {"params": head}], lr=1e-3)

    finding = run(with_optimizer(mlp_shop.subject(), two_rates), Settings())
    fails(finding, "2 of 4 trainable parameters: the step is lost in rounding: at a rate of 1e-14")


def test_a_coarse_type_that_loses_the_steps_is_caught(mlp_shop: Workshop) -> None:
    class Coarse(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model.to(torch.bfloat16)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.model(images.to(torch.bfloat16)).float()

    finding = run(mlp_shop.subject(Coarse, lr=1e-7), Settings())
    fails(finding, "below bfloat16's resolution of the values")


def test_an_optimizer_that_skips_its_steps_is_caught(mlp_shop: Workshop) -> None:
    class Skipping(torch.optim.SGD):
        def step(self, closure: Callable | None = None) -> None:
            """As a gradient scaler does that found no finite gradient."""

    subject = with_optimizer(mlp_shop.subject(), lambda model: Skipping(model.parameters(), lr=0.1))
    fails(run(subject, Settings()), "4 of 4 trainable parameters: the optimizer does not move it")


def test_a_gradient_that_is_not_finite_is_caught(mlp_shop: Workshop) -> None:
    finding = run(mlp_shop.subject(between(lambda x: (x - x).abs().sqrt() + x)), Settings())
    fails(finding, "the gradient is not finite", "1.weight")
    assert "the loss is" in finding.reading  # not finite either, once such a step was made
    broken = run(mlp_shop.subject(lambda m: nn.init.constant_(m[-1].bias, float("nan")) is None or None), Settings())
    fails(broken, "the loss is nan at step", "the gradient is not finite")


def test_a_model_frozen_altogether_is_caught(workshop) -> None:
    finding = run(workshop.subject(lambda model: model.requires_grad_(False)), Settings())
    assert finding.passed is False
    assert "parameters is trainable" in finding.reading


# ---- frozen -------------------------------------------------------------------------------------------


def load_first(model: nn.Module) -> nn.Module:
    """The first layer's values come from elsewhere, whatever the seed."""
    chance = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in first_layer(model).parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=chance))
    return first_layer(model).requires_grad_(False)


def test_a_frozen_layer_with_loaded_values_is_no_fault(workshop) -> None:
    finding = run(workshop.subject(lambda model: load_first(model) and None), Settings())
    assert finding.passed, finding.reading
    assert "frozen ones stayed, and are the same from another seed" in finding.reading
    assert finding.numbers["n_frozen"] >= 1


def test_a_layer_frozen_at_random_values_is_caught(workshop) -> None:
    finding = run(workshop.subject(lambda model: first_layer(model).requires_grad_(False) and None), Settings())
    fails(finding, "frozen at random values: another seed gives others, and they can never learn")
    assert finding.numbers["n_frozen_at_random"] == finding.numbers["n_frozen"]


def test_a_frozen_parameter_that_an_old_gradient_moves_is_caught(workshop) -> None:
    def frozen_late(model: nn.Module) -> None:
        layer = load_first(model)
        layer.weight.grad = torch.ones_like(layer.weight)  # left from before it was frozen

    subject = workshop.subject(frozen_late)
    subject = with_optimizer(subject, lambda model: torch.optim.Adam(model.parameters(), lr=1e-3))
    finding = run(subject, Settings())
    fails(finding, "frozen, yet changed: the optimizer holds it, with a gradient from before it was frozen")
    assert finding.numbers["n_frozen_but_changed"] == 1


def test_a_frozen_parameter_that_forward_writes_to_is_caught(mlp_shop: Workshop) -> None:
    class Writing(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model, self.mean = model, nn.Parameter(torch.zeros(1), requires_grad=False)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.mean.data = 0.9 * self.mean.data + 0.1 * images.mean()
            return self.model(images - self.mean)

    fails(run(mlp_shop.subject(Writing), Settings()), "frozen, yet changed: forward writes to it (mean)")


def test_frozen_values_shared_with_a_trained_layer_are_caught(mlp_shop: Workshop) -> None:
    class Tied(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model, self.copy = model, nn.Linear(8, 3)
            self.copy.weight.data = model[-1].weight.data  # the values themselves, not a copy of them
            self.copy.weight.requires_grad_(False)
            nn.init.zeros_(self.copy.bias)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = self.model[:-1](images)
            return self.model[-1](x) + self.copy(x)

    fails(
        run(mlp_shop.subject(Tied), Settings()), "it shares its values with model.3.weight, which learns (copy.weight)"
    )


# ---- running statistics -------------------------------------------------------------------------------


def cnn_with(change: Callable[[nn.BatchNorm2d], object]) -> Callable[[nn.Module], nn.Module]:
    def build() -> nn.Module:
        model = small_cnn()
        change(model[1])
        return model

    return replaced(build)


def test_a_momentum_of_0_is_caught(mlp_shop: Workshop) -> None:
    finding = run(mlp_shop.subject(cnn_with(lambda norm: setattr(norm, "momentum", 0.0))), Settings())
    fails(finding, "1 of 1 normalization: the running statistics stay as they are, momentum is 0 (1)")
    assert finding.numbers["n_norms_stuck"] == 1
    assert run(mlp_shop.subject(cnn_with(lambda norm: setattr(norm, "momentum", None))), Settings()).passed


def test_eval_mode_over_no_statistics_is_caught(mlp_shop: Workshop) -> None:
    fails(
        run(mlp_shop.subject(cnn_with(lambda norm: norm.eval())), Settings()), "the running statistics stay at 0 and 1"
    )


def test_frozen_normalization_as_fine_tuning_has_it_passes(mlp_shop: Workshop) -> None:
    def of_elsewhere(norm: nn.BatchNorm2d) -> None:
        norm.eval().running_mean.fill_(0.2)

    assert run(mlp_shop.subject(cnn_with(lambda norm: norm.eval().requires_grad_(False))), Settings()).passed
    assert run(mlp_shop.subject(cnn_with(of_elsewhere)), Settings()).passed


def test_torchvisions_models_pass(mlp_shop: Workshop) -> None:
    for build in (torchvision.models.mobilenet_v3_small, torchvision.models.resnet18):
        finding = run(mlp_shop.subject(replaced(lambda build=build: build(num_classes=3))), Settings())
        assert finding.passed, finding.reading


# ---- rules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"max_steps": 0}, {"n_named": -1}, {"max_steps": "3"}])
def test_settings_that_make_no_sense_are_refused(settings: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)


def test_measuring_leaves_global_randomness_and_the_start_as_they_were(workshop) -> None:
    subject = workshop.subject(WithForgotten)
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
