"""A variant's trainings, one after the other in one process: resumed where they were left, written when done."""

import math
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from pawprint import atomic, paths
from pawprint.data.batches import TrainBatches
from pawprint.errors import SettingsError
from pawprint.models import starting_model
from pawprint.params import spec_as_dict
from pawprint.progress import progress
from pawprint.seeding import seed_run
from pawprint.tracking import Trackers, retell
from pawprint.training import checkpoint, loop
from pawprint.training.evaluate import evaluate
from pawprint.training.history import EPOCH_COLUMNS, STEP_COLUMNS
from pawprint.training.identity import run_id, versions
from pawprint.training.optimizers import build_optimizer
from pawprint.training.schedules import build_schedule
from pawprint.types import Data, RunRecord, RunSpec, TrainOutputs, TrainState


def train_variant(
    specs: list[RunSpec],
    data: Data,
    outputs: TrainOutputs,
    trackers: tuple[str, ...],
    save_every_seconds: float,
    start: Path | None = None,
) -> list[RunRecord]:
    """Train each spec and write weights, curves and metrics to `outputs`; the resumable states go last.

    `start`: the file of weights that pretrained runs begin with.
    """
    records = []
    for spec in specs:
        training, record = train_run(spec, data, trackers, save_every_seconds, start)
        write_training(training, record, outputs.models / spec.key, outputs.curves, f"{spec.key}-")
        records.append(record)
    atomic.write_json(outputs.metrics, {record.spec.key: summary(record) for record in records})
    for record in records:
        forget_state(record)
    return records


def train_run(
    spec: RunSpec, data: Data, trackers: tuple[str, ...], save_every_seconds: float, start: Path | None = None
) -> tuple[loop.Training, RunRecord]:
    """One training, from its saved state if there is one; test is evaluated once, at the very end."""
    identity = run_id(spec, data, start)
    state_file = paths.resumable_state(identity)
    training = set_up(spec, data, start)
    saved = checkpoint.load_state(state_file)
    if saved is not None:
        training.load_state_dict(saved)
    total = spec.epochs * training.batches.steps_per_epoch
    tracker = Trackers(trackers, spec, identity, {**spec_as_dict(spec), "split_hash": data.split_hash})
    _retell(training, tracker)
    with progress(spec.name, total, training.state.step) as reporter:
        if saved is not None:
            reporter.say(f"goes on at step {training.state.step} of {total}, from {state_file}")

        def log_step(row: dict[str, float], step: int) -> None:
            tracker.log_step(row, step)
            reporter.advance()

        def log_epoch(row: dict[str, float], step: int) -> None:
            tracker.log_epoch(row, step)
            reporter.note(_epoch_line(row, spec.epochs))

        def save() -> None:
            checkpoint.save_state(state_file, training.state_dict())

        loop.run(training, log_step, log_epoch, save, save_every_seconds)
        record = _record(training, identity)
        reporter.say(record.reading)
    tracker.finish({f"test_{name}": score for name, score in record.test.items()}, training.state.step)
    return training, record


def set_up(spec: RunSpec, data: Data, start: Path | None = None) -> loop.Training:
    """Everything a training needs, at its starting point; SettingsError where settings and data do not fit."""
    if spec.accelerator == "cuda" and not torch.cuda.is_available():
        raise SettingsError([f"{spec.variant}: accelerator: cuda: torch finds none here; set accelerator: auto or cpu"])
    seed_run(spec.seed, spec.threads)
    fabric = Fabric(accelerator=spec.accelerator, devices=1)
    batches = TrainBatches(data, spec)
    if batches.steps_per_epoch == 0:
        raise SettingsError([f"{spec.variant}: the training set is empty"])
    model = starting_model(spec, data, start)
    optimizer = build_optimizer(spec, model)
    model, optimizer = fabric.setup(model, optimizer)
    schedule = build_schedule(spec, optimizer.optimizer, spec.epochs * batches.steps_per_epoch)
    state = TrainState(model, optimizer, schedule.scheduler, step=0, examples_seen=0)
    model.train()
    return loop.Training(spec, data, fabric, batches, state, schedule)


def _retell(training: loop.Training, tracker: Trackers) -> None:
    """Tell the trackers what a resumed training had told before it was killed."""
    steps = [dict(zip(STEP_COLUMNS, row, strict=True)) for row in training.history.steps]
    epochs = [dict(zip(EPOCH_COLUMNS, row, strict=True)) for row in training.history.epochs]
    retell(tracker, steps, epochs)


def _record(training: loop.Training, identity: str) -> RunRecord:
    spec, best = training.spec, training.best
    training.state.model.load_state_dict(best.weights)
    test = evaluate(training.state.model, training.data.test, training.data)
    ending = f"stopped: {training.diverged}" if training.diverged else f"finished {spec.epochs} epochs"
    device = training.fabric.device
    return RunRecord(
        id=identity,
        spec=spec,
        outcome="diverged" if training.diverged else "finished",
        reading=f"{ending}; epoch {best.epoch} chosen on {spec.select_on}: val accuracy "
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


def write_training(training: loop.Training, record: RunRecord, folder: Path, curves: Path, prefix: str = "") -> None:
    """Weights and run.json into `folder`, the history as `prefix`steps.csv and `prefix`epochs.csv into `curves`."""
    checkpoint.save_weights(folder / "weights.safetensors", training.best.weights)
    content: dict[str, Any] = {
        **vars(record),
        "spec": spec_as_dict(record.spec),
        "class_names": training.data.class_names,
        "split_hash": training.data.split_hash,
    }
    atomic.write_json(folder / "run.json", content)
    for name, table in zip(("steps", "epochs"), training.history.tables(), strict=True):
        text = table.to_csv(index=False, lineterminator="\n")
        atomic.write_text(curves / f"{prefix}{name}.csv", text)


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


def forget_state(record: RunRecord) -> None:
    """Delete the state to resume from: what it led to is written. A killed save may have left a part of one."""
    state = paths.resumable_state(record.id)
    for file in (state, *state.parent.glob(f".{state.name}.*")):
        file.unlink(missing_ok=True)


def _epoch_line(row: dict[str, float], epochs: int) -> str:
    training = "" if math.isnan(row["training_loss"]) else f"training loss {row['training_loss']:.3f}, "
    return (
        f"epoch {row['epoch']:.0f}/{epochs}: {training}val loss {row['val_loss']:.3f}, "
        f"val accuracy {row['val_accuracy']:.3f}"
    )
