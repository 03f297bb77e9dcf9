"""The loop. There is one, and every objective, model and study goes through it.

A step's numbers are told when it is done. On an accelerator that would make it wait for each step; there they are told
at the end of an epoch, when a state is saved or a diagnosis made, and a loss that is not finite is found then.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn.utils import clip_grad_norm_

from pawprint.data.batches import Batch, TrainBatches
from pawprint.data.share import Share
from pawprint.diagnostics.gradient_norm import GradientNorms, gradient_norm, gradient_norms
from pawprint.diagnostics.histograms import Histograms
from pawprint.interruption import uninterrupted
from pawprint.objectives import Objective, build_objective
from pawprint.training import checkpoint
from pawprint.training.arithmetic import bare, unscale
from pawprint.training.diagnose import Diagnosis, Diagnostics, diagnostics_of, gradients_by_layer, is_due
from pawprint.training.evaluate import evaluate
from pawprint.training.history import History
from pawprint.training.processes import draw_apart, mean_of_all, same_statistics, share_of, sum_of_all
from pawprint.training.schedules import Schedule
from pawprint.types import SCORES, Data, RunSpec, TrainState


@dataclass
class Best:
    """The weights that validation chose so far; epoch 0 is the untrained model, beaten by any finite loss."""

    epoch: int = 0
    val: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SCORES, math.inf))
    weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def is_beaten_by(self, val: dict[str, float], rule: str) -> bool:
        """Whether an epoch that ends with these values takes over, by `select_on`."""
        if not self.weights or not math.isfinite(val["loss"]):
            return not self.weights
        if self.epoch == 0:
            return True
        name = rule.removeprefix("val_")
        return val[name] < self.val[name] if name == "loss" else val[name] > self.val[name]


@dataclass(frozen=True)
class Taken:
    """A step that is to be told of; on an accelerator its numbers may still be under way."""

    step: int
    epoch: int
    examples_seen: int
    learning_rate: float
    values: torch.Tensor  # (1 + parts,) the loss and its parts
    norms: GradientNorms
    of_classes: dict[str, torch.Tensor]


@dataclass
class Training:
    """One training under way: what the loop works on."""

    spec: RunSpec
    data: Data
    fabric: Fabric
    batches: TrainBatches
    state: TrainState
    schedule: Schedule
    history: History
    best: Best = field(default_factory=Best)
    teacher: nn.Module | None = None  # whose answers are learned (objective: distill)
    diverged: str = ""  # why it ended early, if it did
    untold: list[Taken] = field(default_factory=list)  # steps, in their order

    @property
    def waits_for_steps(self) -> bool:
        """Whether each step is told of when it is done."""
        return self.fabric.device.type == "cpu"

    @property
    def evaluated(self) -> nn.Module:
        """What validation judges and the checkpoint keeps: the average of the weights, where there is one."""
        return self.state.ema.module if self.state.ema else bare(self.state.model)

    @property
    def share(self) -> Share:
        """Which of the work is this process's."""
        return share_of(self.fabric)

    def is_stale(self, epoch: int) -> bool:
        """Whether `patience_epochs` have passed without a better value of `select_on`."""
        return 0 < self.spec.patience_epochs <= epoch - self.best.epoch

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on to the same bytes, of a training all of whose steps are told of."""
        assert not self.untold, "tell() comes first"
        return {
            "training": checkpoint.training_state(self.state),
            "history": self.history.state_dict(),
            "best": {"epoch": self.best.epoch, "val": self.best.val, "weights": self.best.weights},
            "diverged": self.diverged,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        checkpoint.restore(self.state, saved["training"])
        self.history.load_state_dict(saved["history"])
        self.best = Best(**saved["best"])
        self.diverged = saved["diverged"]


Log = Callable[[dict[str, float], int], None]  # values by name, after this many steps


LogHistograms = Callable[[Histograms, int], None]  # after this many steps


def run(
    t: Training,
    log_step: Log,
    log_epoch: Log,
    save: Callable[[], None],
    save_every_seconds: float,
    log_histograms: LogHistograms = lambda histograms, step: None,
) -> None:
    """Train `t` from where its state is to the end of its epochs or patience, or the first loss that is not finite.

    It may be interrupted anywhere: a step, and an epoch's end, is done or not done, and `t` says how far it is.
    """
    spec, state, per_epoch = t.spec, t.state, t.batches.steps_per_epoch
    objective = build_objective(spec, t.data, t.teacher)
    diagnostics = diagnostics_of(spec, t.data, objective, t.fabric.device)
    saved_at = time.monotonic()
    while not t.diverged:
        epoch, start = divmod(state.step, per_epoch)
        if start == 0 and len(t.history.epochs) == epoch:
            end_epoch(t, epoch, log_epoch)  # of epoch 0, too: the untrained model
        if epoch == spec.epochs or (start == 0 and t.is_stale(epoch)):
            break
        for batch in t.batches.epoch(epoch + 1, start):
            diagnosed_step(t, objective, batch, log_step, diagnostics, log_histograms)
            if time.monotonic() - saved_at >= save_every_seconds:
                with uninterrupted():
                    tell(t, log_step)
                save()
                saved_at = time.monotonic()
            if t.diverged:
                break
        with uninterrupted():
            tell(t, log_step)
    save()


def diagnosed_step(
    t: Training,
    objective: Objective,
    batch: Batch,
    log_step: Log,
    diagnostics: Diagnostics | None,
    log_histograms: LogHistograms,
) -> None:
    """A step, and the diagnosis that is due with it: what takes long comes first, and may be interrupted."""
    step = t.state.step + 1
    diagnosis = diagnostics.begin(t.state) if diagnostics and is_due(t.spec, step) else None
    with uninterrupted():
        train_step(t, objective, batch, log_step, diagnosis)
        if not diagnosis:
            return
        diagnosis.see_step(t.state.model, is_taken=not t.diverged)
        t.history.add_diagnostics(step, t.state.examples_seen, diagnosis.values)
        t.history.add_histograms(step, t.state.examples_seen, diagnosis.histograms)
        if diagnosis.histograms:
            log_histograms(diagnosis.histograms, step)


def train_step(
    t: Training, objective: Objective, batch: Batch, log_step: Log, diagnosis: Diagnosis | None = None
) -> None:
    """Learn from one batch; a loss that is not finite ends the training instead."""
    state = t.state
    draw_apart(t.share, t.spec.seed, state.step)
    terms = objective(state.model, batch.to(t.fabric.device, non_blocking=True))
    t.fabric.backward(terms.total)
    if state.scaler:
        unscale(state.scaler, state.optimizer)
    norms = gradient_norms(bare(state.model))  # as backward left them: before clipping
    if diagnosis:
        diagnosis.see_gradients(state.model)
    state.examples_seen += t.share.size * len(batch)
    values = torch.stack([terms.total.detach(), *(terms.parts[name] for name in t.spec.parts)])
    t.untold.append(Taken(
        state.step + 1, state.step // t.batches.steps_per_epoch + 1, state.examples_seen,
        state.optimizer.param_groups[0]["lr"], mean_of_all(values, t.fabric), norms,
        sum_of_all(terms.of_classes, t.fabric),
    ))  # fmt: skip
    if t.waits_for_steps or diagnosis:
        tell(t, log_step)
    if t.diverged:
        return
    if t.spec.clip_norm:
        clip_grad_norm_(state.model.parameters(), t.spec.clip_norm)
    state.optimizer.step()
    state.optimizer.zero_grad()
    if state.ema:
        state.ema.update_parameters(bare(state.model))
    t.schedule.advance("step")
    state.step += 1


def tell(t: Training, log_step: Log) -> None:
    """Write down the steps that are not yet, and log them, up to one whose loss is not finite, which ends the training.

    What was done after that one counts as not done.
    """
    told, t.untold = t.untold, []
    for taken in told:
        loss, *parts = taken.values.tolist()
        row = t.history.add_step(
            step=taken.step, epoch=taken.epoch, examples_seen=taken.examples_seen, training_loss=loss,
            learning_rate=taken.learning_rate, **gradient_norm(taken.norms),
            **dict(zip(t.spec.parts, parts, strict=True)),
        )  # fmt: skip
        log_step(row, taken.step)
        t.history.add_counts(taken.epoch, taken.of_classes)
        t.history.add_diagnostics(taken.step, taken.examples_seen, gradients_by_layer(t.spec, taken.norms))
        if not math.isfinite(loss):
            t.diverged = _why(t, loss)
            t.state.step, t.state.examples_seen = taken.step - 1, taken.examples_seen
            return


def end_epoch(t: Training, epoch: int, log_epoch: Log) -> None:
    """Measure on val, keep the weights if they are the best so far, and step a schedule that goes by epochs.

    What is measured on other splits is drawn, and chooses nothing.
    """
    same_statistics(t.evaluated, t.fabric)
    result = evaluate(t.evaluated, t.data.val, t.data, share=t.share)
    scores = {f"val_{name}": value for name, value in result.scores.items()}
    for split in t.spec.epoch_curves:
        scores[f"{split}_accuracy"] = evaluate(t.evaluated, getattr(t.data, split), t.data, share=t.share).accuracy
    with uninterrupted():
        row = t.history.add_epoch(epoch=epoch, step=t.state.step, examples_seen=t.state.examples_seen, **scores)
        if t.best.is_beaten_by(result.scores, t.spec.select_on):
            t.best = Best(epoch, result.scores, checkpoint.snapshot(t.evaluated))
        if epoch:
            t.schedule.advance("epoch", result.loss)
        log_epoch(row, t.state.step)


def _why(t: Training, loss: float) -> str:
    last = dict(zip(("step", "rate", "mean", "total"), (t.history.steps[-1][i] for i in (0, 4, 5, 6)), strict=True))
    before = t.history.steps[-2][6] if len(t.history.steps) > 1 else math.nan
    return (
        f"training loss {loss} at step {last['step']:.0f}, learning rate {last['rate']:g}, "
        f"total gradient norm {last['total']:g} (the step before: {before:g})"
    )
