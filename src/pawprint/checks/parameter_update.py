"""Does every trainable parameter learn from the first steps on, and no frozen one?

Method: the training's own objective, optimizer and batches, in train mode; after the first step each parameter is
compared bit by bit with what it was. A gradient of 0 counts as a fault only if it is still 0 after `max_steps`
batches: behind a zero-initialized head (torchvision's ViT) or residual branch (`zero_init_residual`) the first gradient
comes with the second or third. A trainable parameter that does not learn is told with its reason:

- *never used*: it has no gradient, and the loss of the same pictures stays the same bit for bit whatever is put in its
  place. *Cut off*: it has none, but the loss does change (a detach, no_grad or argmax between).
- *Not in the optimizer*, or in a group whose learning rate is 0.
- Its gradient is *not finite*, or *0* in every step, even where weight decay moves it.
- Its *step is lost in rounding*: of the elements with a gradient fewer than 1 % changed, because the step is below the
  resolution of their values. (A share, as in a large parameter some element is so near 0 that any step shows.) That is
  the rate's fault if at least half of its group's parameters are lost so. Single ones have hardly a gradient as yet and
  are told, as no fault: a bias before a normalization, which takes it away again; a scale before another; what stands
  behind a zero-initialized branch. Measured with torchvision's ResNet-18, MobileNetV3, DenseNet and ViT, an MLP and
  CNNs: none with Adam (1e-5 to 1e-2), up to 24 of 62 with plain SGD at 1e-4 (a zero-initialized ResNet-18).

Frozen parameters (requires_grad=False) must stay as they are. Where their values come from elsewhere, this is how
fine-tuning works; where they are random, they can never learn. Started from another seed the first are the same, the
second are not. Normalizations with running statistics must change these: one that is never called, has momentum 0, or
is in eval mode under trainable scales with statistics of 0 and 1, normalizes by nothing. One in eval mode with frozen
scales, or with statistics from elsewhere, is fine-tuning.

Limit: exact, none at fault. With a learning rate of 0 throughout nothing can change: then there is no verdict.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from pawprint.checks import CheckSubject
from pawprint.checks.output_shape import training_mode
from pawprint.data.batches import Batch
from pawprint.seeding import preserve_rng
from pawprint.types import STRICT, Finding, NonNegativeInt, PositiveInt

QUESTION = "Does every trainable parameter learn from the first steps on, and no frozen one?"
MIN_CHANGED_SHARE = 0.01  # of the elements with a gradient
MIN_LOST_SHARE = 0.5  # of a group's parameters, from which on it is the rate that loses their steps
N_REPLACEMENTS = 3  # tried in a parameter's place, to see whether the loss knows of it
N_PICTURES = 8  # whose loss is asked

TRAINABLE, FROZEN, NORM = "trainable parameter", "frozen parameter", "normalization"


@dataclass(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    max_steps: PositiveInt = 3  # each with the next batch, until every parameter has had a gradient
    n_named: NonNegativeInt = 5  # parameters named in the reading for each reason


@plain_dataclass(frozen=True)
class Reason:
    """Why something does not do what it should, for one or many of a kind."""

    what: str
    remedy: str


NEVER_USED = Reason("never used, the loss is the same whatever the values", "call the layer in forward, or remove it")
CUT_OFF = Reason(
    "used, but no gradient arrives: a detach, no_grad or argmax stands between",
    "take away what stands between the parameter and the loss",
)
NO_GRADIENT = Reason("no gradient arrives", "let each parameter reach the loss")
NOT_IN_OPTIMIZER = Reason("not in the optimizer", "build the optimizer last, of this model's parameters")
RATE_0 = Reason("the group's learning rate is 0", "give it a rate, or freeze it by requires_grad_(False)")
NOT_FINITE = Reason("the gradient is not finite", "look for a division by 0, a logarithm or a root of 0")
NOT_MOVED = Reason("the optimizer does not move it", "look into the optimizer's step: a skipped one, a wrapper, a mask")
AT_RANDOM = Reason(
    "frozen at random values: another seed gives others, and they can never learn",
    "load the values, or let them learn: requires_grad_(True)",
)
WRITTEN_TO = "write to frozen parameters nowhere, and freeze them before the optimizer is built"
STATISTICS = "leave it in train mode with a momentum above 0, or load its statistics"


@plain_dataclass
class Trace:
    """What becomes of one parameter."""

    name: str
    parameter: nn.Parameter
    before: torch.Tensor
    rate: float | None  # of its group; None: it is in none
    largest_gradient: float | None = None  # of its elements, absolute; None: it never had any
    pulled: torch.Tensor | None = None  # which elements have had a gradient that is not 0
    changed_before_step: bool = False

    @property
    def has_changed(self) -> bool:
        return not torch.equal(self.parameter, self.before)

    @property
    def changed_share(self) -> float:
        """Of the elements that have had a gradient, how many have changed."""
        if self.pulled is None or not self.pulled.any():
            return 0.0
        return (self.parameter.detach() != self.before)[self.pulled].double().mean().item()

    @property
    def learns(self) -> bool:
        is_finite = self.largest_gradient is not None and math.isfinite(self.largest_gradient)
        return is_finite and bool(self.rate) and self.changed_share >= MIN_CHANGED_SHARE

    def note_gradient(self) -> None:
        if self.parameter.grad is None:
            return
        gradient = self.parameter.grad.detach()
        gradient = gradient.to_dense() if gradient.is_sparse else gradient
        largest = gradient.abs().max().item() if gradient.numel() else 0.0
        before = self.largest_gradient or 0.0
        self.largest_gradient = largest if math.isnan(largest) or largest > before else before
        self.pulled = gradient != 0 if self.pulled is None else self.pulled | (gradient != 0)


@plain_dataclass
class NormTrace:
    """What becomes of the running statistics of one normalization."""

    name: str
    module: _NormBase
    before: tuple[torch.Tensor, torch.Tensor]  # running mean and variance
    n_calls: int = 0

    @property
    def has_changed(self) -> bool:
        return not all(torch.equal(a, b) for a, b in zip(_statistics(self.module), self.before, strict=True))

    def fault(self) -> str:
        """Why the statistics are as they were; empty where that is no fault."""
        if self.has_changed:
            return ""
        if not self.n_calls:
            return "the running statistics stay as they are, it is never called"
        if self.module.training:
            why = "momentum is 0" if self.module.momentum == 0 else "though it is in train mode"
            return f"the running statistics stay as they are, {why}"
        scales = list(self.module.parameters(recurse=False))
        is_of_nothing = not self.before[0].any() and bool((self.before[1] == 1).all())
        if is_of_nothing and (not scales or any(p.requires_grad for p in scales)):
            return "in eval mode while the model trains, so that the running statistics stay at 0 and 1"
        return ""


@plain_dataclass(frozen=True)
class Fault:
    kind: str  # TRAINABLE, FROZEN or NORM
    name: str
    reason: Reason
    trace: Trace | None = None

    @property
    def row(self) -> dict[str, Any]:
        gradient, rate = (self.trace.largest_gradient, self.trace.rate) if self.trace else (None, None)
        return {"kind": self.kind, "name": self.name, "fault": self.reason.what, "largest_gradient": gradient,
                "rate": rate}  # fmt: skip


@plain_dataclass
class Steps:
    """The first steps of a training, and what they did."""

    traces: list[Trace]
    norms: list[NormTrace]
    losses: list[float] = field(default_factory=list)

    @property
    def trainable(self) -> list[Trace]:
        return [trace for trace in self.traces if trace.parameter.requires_grad]

    @property
    def frozen(self) -> list[Trace]:
        return [trace for trace in self.traces if not trace.parameter.requires_grad]

    @property
    def are_enough(self) -> bool:
        return all(trace.learns for trace in self.trainable) and all(norm.has_changed for norm in self.norms)


def run(subject: CheckSubject, settings: Settings) -> Finding:
    """With a learning rate of 0 nothing can change: then there is no verdict."""
    with preserve_rng():
        model = training_mode(subject.model())
        if not any(p.requires_grad for p in model.parameters()):
            return _nothing_trainable(len(list(model.parameters())))
        optimizer = subject.optimizer_for(model)
        rate_is_zero = all(float(group["lr"]) == 0 for group in optimizer.param_groups)
        steps = _train(subject, model, optimizer, 1 if rate_is_zero else settings.max_steps)
        if rate_is_zero:
            return _finding(steps, [], [], settings.n_named, has_verdict=False)
        stuck = {trace.name: trace for trace in steps.trainable if not trace.learns}
        reasons = _reasons(subject, list(stuck.values()), len(steps.losses))
        frozen = _frozen_faults(subject, steps)
    lost = [name for name in stuck if name not in reasons]
    reasons |= _lost_by_rate(steps, lost)
    faults = [Fault(TRAINABLE, name, reasons[name], trace) for name, trace in stuck.items() if name in reasons] + frozen
    faults += [Fault(NORM, norm.name, Reason(why, STATISTICS)) for norm in steps.norms if (why := norm.fault())]
    return _finding(steps, faults, [name for name in lost if name not in reasons], settings.n_named)


def _finding(steps: Steps, faults: list[Fault], waiting: list[str], n_named: int, has_verdict: bool = True) -> Finding:
    """`has_verdict`: some learning rate is above 0."""
    return Finding(
        name="parameter_update",
        question=QUESTION,
        numbers={
            "n_steps": len(steps.losses),
            "n_trainable": len(steps.trainable),
            "n_changed": sum(trace.has_changed for trace in steps.trainable),
            "n_stuck": sum(fault.kind == TRAINABLE for fault in faults),
            "n_waiting": len(waiting),
            "n_frozen": len(steps.frozen),
            "n_frozen_but_changed": sum(trace.has_changed for trace in steps.frozen),
            "n_frozen_at_random": sum(fault.reason == AT_RANDOM for fault in faults),
            "n_norms": len(steps.norms),
            "n_norms_stuck": sum(fault.kind == NORM for fault in faults),
        },
        passed=not faults if has_verdict else None,
        limit="none at fault",
        reading=_reading(steps, faults, waiting, n_named)
        if has_verdict
        else "the learning rate is 0: nothing was to change",
        remedy="; ".join(dict.fromkeys(fault.reason.remedy for fault in faults)) or None,
        table=tuple(fault.row for fault in faults),
    )


def _nothing_trainable(n_parameters: int) -> Finding:
    return Finding(
        name="parameter_update",
        question=QUESTION,
        numbers={"n_trainable": 0, "n_frozen": n_parameters},
        passed=False,
        limit="none at fault",
        reading=f"none of the model's {n_parameters} parameters is trainable",
        remedy="leave requires_grad on where something is to be learned",
    )


def _reading(steps: Steps, faults: list[Fault], waiting: list[str], n_named: int) -> str:
    n = len(steps.losses)
    if not faults:
        total = len(steps.trainable)
        in_steps = f"trainable parameters changed in {n} step{'s' * (n > 1)}"
        said = [f"{total - len(waiting)} of {total} {in_steps}" if waiting else f"all {total} {in_steps}"]
        if waiting:
            more = " …" if len(waiting) > 1 else ""
            said.append(f"the others have hardly a gradient as yet, too small to show ({waiting[0]}{more})")
        if steps.frozen:
            said.append(f"{len(steps.frozen)} frozen ones stayed, and are the same from another seed")
        return "; ".join(said)
    totals = {TRAINABLE: len(steps.trainable), FROZEN: len(steps.frozen), NORM: len(steps.norms)}
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fault in faults:
        groups[fault.kind, fault.reason.what].append(fault.name)
    said = [] if math.isfinite(steps.losses[-1]) else [f"the loss is {steps.losses[-1]:g} at step {n}"]
    for (kind, what), names in groups.items():
        more = f" and {len(names) - n_named} more" if len(names) > n_named else ""
        named = f" ({', '.join(names[:n_named])}{more})" if n_named else ""
        said.append(f"{len(names)} of {totals[kind]} {kind}{'s' * (totals[kind] > 1)}: {what}{named}")
    return "; ".join(said)


# ---- the steps ----------------------------------------------------------------------------------------


def _train(subject: CheckSubject, model: nn.Module, optimizer: Optimizer, max_steps: int) -> Steps:
    """Up to `max_steps` steps as the training makes them, fewer once all has learned."""
    rates = {id(p): float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
    steps = Steps(
        [Trace(name, p, p.detach().clone(), rates.get(id(p))) for name, p in model.named_parameters()],
        [
            NormTrace(name, m, (_statistics(m)[0].clone(), _statistics(m)[1].clone()))
            for name, m in model.named_modules()
            if isinstance(m, _NormBase) and m.running_mean is not None
        ],
    )
    with _counting_calls(steps.norms):
        for _, batch in zip(range(max_steps), subject.batches(), strict=False):
            total = subject.objective(model, batch).total
            steps.losses.append(total.item())
            if total.requires_grad:
                total.backward()
            for trace in steps.traces:
                trace.note_gradient()
                trace.changed_before_step |= not trace.parameter.requires_grad and trace.has_changed
            optimizer.step()
            optimizer.zero_grad()
            if steps.are_enough:
                break
    return steps


@contextmanager
def _counting_calls(norms: list[NormTrace]) -> Iterator[None]:
    def count(norm: NormTrace) -> Any:
        def hook(*_: Any) -> None:
            norm.n_calls += 1

        return norm.module.register_forward_hook(hook)

    hooks = [count(norm) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _statistics(norm: _NormBase) -> tuple[torch.Tensor, torch.Tensor]:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError(f"expected a normalization with running statistics, found {norm} without")
    return norm.running_mean, norm.running_var


# ---- why a trainable parameter is stuck ---------------------------------------------------------------


def _reasons(subject: CheckSubject, stuck: list[Trace], n_steps: int) -> dict[str, Reason]:
    """By the parameter's name; none for those whose steps are lost in rounding."""
    reasons = {}
    for trace in stuck:
        if reason := _why(trace, n_steps):
            reasons[trace.name] = reason
    if NO_GRADIENT in reasons.values():
        use = Use(subject)
        reasons |= {name: use.why_no_gradient(name) for name, reason in reasons.items() if reason == NO_GRADIENT}
    return reasons


def _why(trace: Trace, n_steps: int) -> Reason | None:
    largest = trace.largest_gradient
    if largest is None:
        return NO_GRADIENT
    if trace.rate is None:
        return NOT_IN_OPTIMIZER
    if not math.isfinite(largest):
        return NOT_FINITE
    if trace.rate == 0:
        return RATE_0
    if largest == 0:
        moved = ", only weight decay moves it" if trace.has_changed else ""
        what = f"the gradient is 0 in {'each of ' * (n_steps > 1)}{n_steps} step{'s' * (n_steps > 1)}{moved}"
        return Reason(what, "look for a unit that never fires, before it or behind, or weights that stay 0")
    resolution = torch.finfo(trace.before.dtype).eps * trace.before.abs().max().item()
    would_show = trace.rate * min(1.0, largest) > 8 * resolution
    return NOT_MOVED if would_show and not trace.has_changed else None


def _lost_by_rate(steps: Steps, lost: list[str]) -> dict[str, Reason]:
    """The reasons of those whose step is lost in rounding along with most of their group's, all at one rate."""
    by_rate: dict[float | None, list[Trace]] = defaultdict(list)
    for trace in steps.trainable:
        by_rate[trace.rate].append(trace)
    reasons = {}
    for rate, group in by_rate.items():
        of_group = [trace for trace in group if trace.name in lost]
        if len(of_group) < MIN_LOST_SHARE * len(group):
            continue
        for trace in of_group:
            dtype = str(trace.before.dtype).removeprefix("torch.")
            what = f"the step is lost in rounding: at a rate of {rate:g} it is below {dtype}'s resolution of the values"
            remedy = "raise the learning rate, or keep the parameters in a finer type (float32)"
            reasons[trace.name] = Reason(what, remedy)
    return reasons


class Use:
    """Whether the loss of a few pictures knows of a parameter, in train mode and with equal random numbers."""

    def __init__(self, subject: CheckSubject) -> None:
        self.subject, self.model = subject, training_mode(subject.model())
        batch = subject.batch()
        self.batch = Batch(batch.images[:N_PICTURES], batch.labels[:N_PICTURES])
        self.parameters = dict(self.model.named_parameters())
        self.unaltered = self._loss()
        self.is_repeatable = self._loss() == self.unaltered

    def why_no_gradient(self, name: str) -> Reason:
        if not self.is_repeatable:
            return NO_GRADIENT  # nothing can be told from a loss that differs from call to call
        return CUT_OFF if self._changes_loss(name) else NEVER_USED

    def _changes_loss(self, name: str) -> bool:
        parameter, chance = self.parameters[name], torch.Generator().manual_seed(0)
        original = parameter.detach().clone()
        spread = 1 + 2 * original.double().square().mean().sqrt().item()
        has_changed = False
        for _ in range(N_REPLACEMENTS):
            with torch.no_grad():
                parameter.copy_(original + spread * torch.randn(original.shape, generator=chance).to(original))
            has_changed = has_changed or self._loss() != self.unaltered
        with torch.no_grad():
            parameter.copy_(original)
        return has_changed

    def _loss(self) -> float:
        torch.manual_seed(0)
        np.random.seed(0)
        with torch.no_grad():
            return self.subject.objective(self.model, self.batch).total.item()


# ---- frozen ones --------------------------------------------------------------------------------------


def _frozen_faults(subject: CheckSubject, steps: Steps) -> list[Fault]:
    if not steps.frozen:
        return []
    elsewhere = dict(subject.start(subject.seed + 1).named_parameters())
    places = {trace.parameter.data_ptr(): trace.name for trace in steps.trainable}
    faults = []
    for trace in steps.frozen:
        other = elsewhere.get(trace.name)
        if trace.has_changed:
            faults.append(Fault(FROZEN, trace.name, Reason(_why_moved(trace, places), WRITTEN_TO), trace))
        if other is not None and not torch.equal(other, trace.before):
            faults.append(Fault(FROZEN, trace.name, AT_RANDOM, trace))
    return faults


def _why_moved(trace: Trace, places: dict[int, str]) -> str:
    if sharer := places.get(trace.parameter.data_ptr()):
        return f"frozen, yet changed: it shares its values with {sharer}, which learns"
    if trace.changed_before_step:
        return "frozen, yet changed: forward writes to it"
    if trace.rate is None:
        return "frozen, yet changed, and not by the optimizer's own step"
    return "frozen, yet changed: the optimizer holds it, with a gradient from before it was frozen"
