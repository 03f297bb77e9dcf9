"""Has every trainable parameter changed after one optimizer step, and no frozen one?

Method: one batch, one backward, one optimizer step; each parameter is compared bit by bit with what it was.
Limit: exact. A parameter that never moves is one that was forgotten: out of the graph, out of the optimizer, or
behind a dead unit.
"""

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from pawprint.checks import CheckSubject
from pawprint.types import STRICT, Finding


@dataclass(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    n_named: int = 5  # parameters named in the reading, of those at fault


def run(subject: CheckSubject, settings: Settings) -> Finding:
    """With a learning rate of 0 nothing can change: then there is no verdict."""
    model, optimizer = subject.model, subject.optimizer
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.train()
    optimizer.zero_grad()
    subject.objective(model, subject.batch).total.backward()
    optimizer.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    stuck = [name for name in before if name in trainable - changed]
    moved = [name for name in before if name in changed - trainable]
    rate_is_zero = all(group["lr"] == 0 for group in optimizer.param_groups)
    return Finding(
        name="parameter_update",
        question="Has every trainable parameter changed after one optimizer step, and no frozen one?",
        numbers={
            "n_trainable": len(trainable),
            "n_changed": len(changed),
            "n_stuck": len(stuck),
            "n_frozen_but_changed": len(moved),
        },
        passed=None if rate_is_zero else not stuck and not moved,
        limit="none stuck, no frozen one changed",
        reading=_reading(model, stuck, moved, len(trainable), rate_is_zero, settings.n_named),
        remedy="pass every parameter that should learn to the optimizer, and let each reach the loss"
        if (stuck or moved) and not rate_is_zero
        else None,
    )


def _reading(
    model: torch.nn.Module,
    stuck: list[str],
    moved: list[str],
    n_trainable: int,
    rate_is_zero: bool,
    n_named: int,
) -> str:
    if rate_is_zero:
        return "the learning rate is 0: nothing was to change"
    if not stuck and not moved:
        return f"all {n_trainable} trainable parameters changed"
    parameters = dict(model.named_parameters())
    named = [f"{name} ({_why(parameters[name])})" for name in stuck[:n_named]]
    sentences = []
    if stuck:
        more = f" and {len(stuck) - n_named} more" if len(stuck) > n_named else ""
        sentences.append(f"{len(stuck)} of {n_trainable} trainable parameters did not change: {', '.join(named)}{more}")
    if moved:
        sentences.append(f"frozen, yet changed: {', '.join(moved[:n_named])}")
    return "; ".join(sentences)


def _why(parameter: torch.nn.Parameter) -> str:
    if parameter.grad is None:
        return "no gradient reaches it"
    if not parameter.grad.any():
        return "its gradient is zero"
    return "not in the optimizer"
