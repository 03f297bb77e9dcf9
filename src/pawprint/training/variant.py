"""A variant's trainings, one after the other in one process: resumed where they were left, written when done."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pawprint import atomic, interruption, paths
from pawprint.data.batches import TrainBatches
from pawprint.errors import PawprintError, SettingsError
from pawprint.interruption import GRACE_SECONDS, Interrupted
from pawprint.locks import Lock
from pawprint.models import starting_model
from pawprint.params import spec_as_dict
from pawprint.progress import progress
from pawprint.seeding import seed_run
from pawprint.tracking import Trackers, retell
from pawprint.training import checkpoint, loop
from pawprint.training.arithmetic import bare, fabric_for
from pawprint.training.evaluate import evaluate
from pawprint.training.history import History
from pawprint.training.identity import identity, versions
from pawprint.training.optimizers import build_optimizer
from pawprint.training.processes import normalizing_together, share_of, started
from pawprint.training.resumable import Resumable
from pawprint.training.schedules import build_schedule
from pawprint.training.starting import told_by_setting
from pawprint.training.watch import Watch
from pawprint.types import Conduct, Data, RunRecord, RunSpec, TrainOutputs, TrainState


@dataclass(frozen=True)
class Given:
    """Networks that a training does not make itself: they come from another one."""

    network: nn.Module | None = None  # what is trained, in place of a new one
    teacher: nn.Module | None = None  # whose answers are learned (objective: distill)


NOTHING = Given()


def train_variant(
    specs: list[RunSpec], data: Data, outputs: TrainOutputs, conduct: Conduct, start: Path | None = None
) -> list[RunRecord]:
    """Train each spec and write weights, curves and metrics to `outputs`; the resumable states go last.

    `start`: the file of weights that pretrained runs begin with. A process that trains the same is waited for; raises
    PawprintError where one that trains something else writes to `outputs`.
    """
    share = started(specs)
    states = [Resumable(spec, identity(spec, data, start)) for spec in specs]
    if share.rank:
        return _followed(specs, data, states, start, conduct)
    records: list[RunRecord] = []
    with ExitStack() as locks:
        for state in states:
            locks.enter_context(state.wanted())
        for spec, state in zip(specs, states, strict=True):
            locks.enter_context(state.held())
            if not records:
                locks.enter_context(sole_writer(outputs.models))
            training, record = train_run(spec, data, conduct, state, start)
            write_training(training, record, outputs.models / spec.key, outputs.curves, f"{spec.key}-")
            records.append(record)
        atomic.write_json(outputs.metrics, {record.spec.key: summary(record) for record in records})
        for state in states:
            state.forget()
    return records


def _followed(
    specs: list[RunSpec], data: Data, states: list[Resumable], start: Path | None, conduct: Conduct
) -> NoReturn:
    """Train beside rank 0, which alone writes, and end."""
    silent = replace(conduct, trackers=(), save_every_seconds=math.inf)
    try:
        for spec, state in zip(specs, states, strict=True):
            train_run(spec, data, silent, state, start)
    except RuntimeError:
        time.sleep(GRACE_SECONDS)  # where rank 0 has stopped, this process ends now without a word: `end_with`
        raise
    sys.exit(0)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """PawprintError if another process writes to `folder`."""
    try:
        lock = Lock(paths.lock(str(folder.resolve())))
    except OSError:  # told by the state, which is kept beside
        yield
        return
    if not lock.take():
        raise PawprintError(
            f"{folder}: process {lock.holder()} is writing there, a training of other settings, pictures or code: wait "
            f"for its end, or stop it (`kill {lock.holder()}`; it saves what it has), and run this again"
        )
    try:
        yield
    finally:
        lock.release()


def train_run(
    spec: RunSpec, data: Data, conduct: Conduct, state: Resumable, start: Path | None = None, given: Given = NOTHING
) -> tuple[loop.Training, RunRecord]:
    """One training, from its saved state if there is one; test is evaluated once, at the very end."""
    with told_by_setting(spec, data, conduct.workers):
        training = set_up(spec, data, start, conduct.workers, given)
    leads = training.share.rank == 0
    saved = training.fabric.broadcast(state.load() if leads else None)
    if saved is not None:
        training.load_state_dict(saved)
    total = spec.epochs * training.batches.steps_per_epoch
    tracker = Trackers(conduct.trackers, spec, state.id, {**spec_as_dict(spec), "split_hash": data.split_hash})
    tracker.log_graph(bare(training.state.model), data.image_shape)
    _retell(training, tracker)
    watch = Watch(spec, data)
    with progress(spec.name, total, training.state.step) as reporter:
        if saved is not None:
            reporter.say(f"goes on at step {training.state.step} of {total}, from {state.file}")

        def log_step(row: dict[str, float], step: int) -> None:
            tracker.log_step(row, step)
            reporter.advance()

        def log_epoch(row: dict[str, float], step: int) -> None:
            tracker.log_epoch(row, step)
            reporter.note(_epoch_line(row, spec.epochs))
            for line in watch.news(training.history):
                reporter.say(line)

        def save() -> None:
            if leads:
                state.save(training.state_dict())

        try:
            with told_by_setting(spec, data, conduct.workers):
                loop.run(training, log_step, log_epoch, save, conduct.save_every_seconds, tracker.log_histograms)
                record = _record(training, state.id)
        except Interrupted as stop:
            loop.tell(training, log_step)
            save()
            reporter.say(f"{stop} at step {training.state.step} of {total}; {state.how_to_go_on}")
            raise
        reporter.say(record.reading)
    tracker.finish({f"test_{name}": score for name, score in record.test.items()}, training.state.step)
    interruption.answer()  # W&B's client answers a Ctrl-C itself, and goes on
    return training, record


def set_up(
    spec: RunSpec, data: Data, start: Path | None = None, workers: int = 0, given: Given = NOTHING
) -> loop.Training:
    """Everything a training needs, at its starting point; SettingsError where settings and data do not fit."""
    fabric, scaler = fabric_for(spec)
    fabric.launch()  # where there are several processes they run already: `started`
    seed_run(spec.seed, spec.threads)
    batches = TrainBatches(data, spec, workers, fabric.device, share_of(fabric))
    if batches.steps_per_epoch == 0:
        raise SettingsError([f"{spec.variant}: the training set is empty"])
    model = starting_model(spec, data, start) if given.network is None else given.network
    model = normalizing_together(model, fabric)
    optimizer = build_optimizer(spec, model)
    model, optimizer = fabric.setup(cast(nn.Module, torch.compile(model)) if spec.compile else model, optimizer)
    schedule = build_schedule(spec, optimizer.optimizer, spec.epochs * batches.steps_per_epoch)
    ema = _averaged(bare(model), spec.ema_decay) if spec.ema_decay else None
    state = TrainState(model, optimizer, schedule.scheduler, 0, 0, ema, scaler)
    model.train()
    history = History(spec.epoch_curves, spec.parts)
    teacher = None if given.teacher is None else given.teacher.to(fabric.device)
    return loop.Training(spec, data, fabric, batches, state, schedule, history, teacher=teacher)


def _averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Of the weights, each new one counting 1 - `decay`; what batch normalization has seen is the model's own."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))


def _retell(training: loop.Training, tracker: Trackers) -> None:
    """Tell the trackers what a resumed training had told before it was killed."""
    steps = [dict(zip(training.history.step_columns, row, strict=True)) for row in training.history.steps]
    epochs = [dict(zip(training.history.epoch_columns, row, strict=True)) for row in training.history.epochs]
    retell(tracker, steps, epochs)
    for step, histograms in training.history.histograms_by_step().items():
        tracker.log_histograms(histograms, step)


def _record(training: loop.Training, identity: str) -> RunRecord:
    spec, best = training.spec, training.best
    training.state.model.load_state_dict(best.weights)
    test = evaluate(bare(training.state.model), training.data.test, training.data, share=training.share)
    device = training.fabric.device
    return RunRecord(
        id=identity,
        spec=spec,
        outcome="diverged" if training.diverged else "finished",
        reading=f"{_ending(training)}; epoch {best.epoch} chosen on {spec.select_on}: val accuracy "
        f"{best.val['accuracy']:.3f}, test accuracy {test.accuracy:.3f}",
        n_parameters=sum(p.numel() for p in training.state.model.parameters()),
        steps=training.state.step,
        selection=f"best {spec.select_on} after an epoch",
        selected_epoch=best.epoch,
        val=best.val,
        test=test.scores,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        versions=versions(),
    )


def _ending(training: loop.Training) -> str:
    spec, last = training.spec, len(training.history.epochs) - 1
    if training.diverged:
        return f"stopped: {training.diverged}"
    if last < spec.epochs:
        return f"stopped after epoch {last} of {spec.epochs}: {spec.select_on} no better for {spec.patience_epochs}"
    return f"finished {spec.epochs} epochs"


def write_training(training: loop.Training, record: RunRecord, folder: Path, curves: Path, prefix: str = "") -> None:
    """Weights and run.json into `folder`, the history as `prefix`steps.csv and `prefix`epochs.csv into `curves`.

    Where the run has diagnostics, `prefix`diagnostics.csv comes beside them, histograms as `prefix`histograms.csv, and
    what an objective counts by class as `prefix`classes.csv. The folder is all that `pawprint predict` needs.
    """
    data = training.data
    checkpoint.save_weights(folder / "weights.safetensors", training.best.weights)
    content: dict[str, Any] = {
        **vars(record),
        "spec": spec_as_dict(record.spec),
        "class_names": data.class_names,
        "input": {"shape": data.image_shape, "mean": data.mean, "std": data.std, "resize": data.resize},
        "split_hash": data.split_hash,
    }
    atomic.write_json(folder / "run.json", content)
    for name, table in zip(("steps", "epochs"), training.history.tables(), strict=True):
        text = table.to_csv(index=False, lineterminator="\n")
        atomic.write_text(curves / f"{prefix}{name}.csv", text)
    if record.spec.diagnostics:
        text = training.history.diagnostics_table().to_csv(index=False, lineterminator="\n")
        atomic.write_text(curves / f"{prefix}diagnostics.csv", text)
    if "histograms" in record.spec.diagnostics:
        text = training.history.histograms_table().to_csv(index=False, lineterminator="\n")
        atomic.write_text(curves / f"{prefix}histograms.csv", text)
    if record.spec.learns_unlabelled:
        text = training.history.classes_table(data.class_names).to_csv(index=False, lineterminator="\n")
        atomic.write_text(curves / f"{prefix}classes.csv", text)


def summary(record: RunRecord) -> dict[str, Any]:
    """What a variant's metrics say of one training."""
    return {
        "outcome": record.outcome,
        "reading": record.reading,
        "steps": record.steps,
        "selected_epoch": record.selected_epoch,
        **{f"val_{name}": score for name, score in record.val.items()},
        **{f"test_{name}": score for name, score in record.test.items()},
    }


def _epoch_line(row: dict[str, float], epochs: int) -> str:
    training = "" if math.isnan(row["training_loss"]) else f"training loss {row['training_loss']:.3f}, "
    return (
        f"epoch {row['epoch']:.0f}/{epochs}: {training}val loss {row['val_loss']:.3f}, "
        f"val accuracy {row['val_accuracy']:.3f}"
    )
