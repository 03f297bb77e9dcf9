"""How a work trains, as far as it says: a fresh model, its optimizer, its loss."""

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.optim import Optimizer

from pawprint.audit.pictures import seeded
from pawprint.audit.work import AuditError, Work
from pawprint.data.batches import Batch
from pawprint.objectives import Objective
from pawprint.types import LossTerms

STAND_IN_RATE = 1e-3  # torch's own default of Adam


def model_of(work: Work, function: str) -> nn.Module:
    """What get_model() or get_trained_model() returns, on the processor."""
    model = work.call(function)
    if not isinstance(model, nn.Module):
        raise AuditError(f"{function}(): returned a {type(model).__name__}, expected a torch.nn.Module")
    return model.cpu()


def fresh_models(work: Work, seed: int) -> tuple[Callable[[int], nn.Module], str | None]:
    """A function that starts a model anew, seed → model, and a note where get_model() does not."""
    with seeded(seed):
        first, second = model_of(work, "get_model"), model_of(work, "get_model")
    is_shared = bool({id(t) for t in first.parameters()} & {id(t) for t in second.parameters()})
    if first is second or is_shared:
        pristine = copy.deepcopy(first)
        note = "get_model() returns the same weights each time, not a new model: copies of it were tested"
        return lambda _: copy.deepcopy(pristine), note

    def start(seed: int) -> nn.Module:
        with seeded(seed):
            return model_of(work, "get_model")

    return start, None


def optimizer_of(work: Work, model: nn.Module) -> Optimizer:
    """The work's; where it offers none, Adam with torch's defaults over all that is to learn."""
    if "get_optimizer" not in work.functions:
        return torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=STAND_IN_RATE)
    optimizer = work.call("get_optimizer", model)
    if not isinstance(optimizer, Optimizer):
        found = type(optimizer).__name__
        raise AuditError(f"get_optimizer(model): returned a {found}, expected a torch.optim.Optimizer and nothing else")
    return optimizer


def rates_of(work: Work, model: nn.Module) -> dict[str, float]:
    """The configured learning rates: of each group of parameters, if they differ."""
    rates = [float(group["lr"]) for group in optimizer_of(work, model).param_groups]
    if len(set(rates)) == 1:
        return {"get_optimizer()": rates[0]}
    return {f"get_optimizer(), group {number}": rate for number, rate in enumerate(rates)}


def criterion(work: Work) -> Objective:
    """The work's loss; where it offers none, cross-entropy."""
    loss_of = work.call("get_loss") if "get_loss" in work.functions else functional.cross_entropy
    if not callable(loss_of):
        raise AuditError(f"get_loss(): returned a {type(loss_of).__name__}, expected a function (outputs, labels)")

    def objective(model: nn.Module, batch: Batch) -> LossTerms:
        loss = loss_of(model(batch.images), batch.labels)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            found = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise AuditError(f"get_loss(): the criterion gives {found}, expected one number, the mean of the batch")
        return LossTerms(total=loss, parts={"loss": loss.detach()})

    return objective
