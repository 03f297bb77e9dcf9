"""test@<variant>: the chosen checkpoints on the test set, from their files.

`train` has evaluated test already, in its own tracker run, and written the numbers down; here they are made
again from the saved weights, and the stage fails if they differ: then a file is not what training left.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from pawprint import atomic, paths
from pawprint.data.prepared import load
from pawprint.errors import PawprintError
from pawprint.models import build_model
from pawprint.params import read_variant
from pawprint.records import read_record
from pawprint.seeding import seed_run
from pawprint.stages.entry import run_stage
from pawprint.training.checkpoint import load_weights
from pawprint.training.evaluate import evaluate
from pawprint.types import SCORES, Data, Evaluation, RunSpec

LOSS_TOLERANCE = 1e-5  # relative: another processor rounds differently


@dataclass(frozen=True)
class OnTest:
    """What training found there."""

    loss: float | None  # None: not finite
    accuracy: float


@dataclass(frozen=True)
class Recorded:
    """What run.json says of the test set."""

    test: OnTest


def main(variant: str) -> None:
    """Write metrics and tables of every checkpoint of the variant."""
    specs = read_variant(variant)
    data = load(paths.PREPARED)
    runs, tables = {}, []
    for spec in specs:
        folder = paths.train_outputs(variant).models / spec.key
        seed_run(spec.seed, spec.threads)
        model = load_weights(folder / "weights.safetensors", build_model(spec, data))
        result = evaluate(model, data.test, data)
        _same_as_training(folder / "run.json", result, f"dvc repro train@{variant}")
        runs[spec.key] = _metrics(result, data)
        tables.append(_tables(spec, result, data))
        print(f"{spec.name}: test accuracy {result.accuracy:.3f}, loss {result.loss:.3f}")
    for name in tables[0]:
        table = pd.concat([part[name] for part in tables])
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.6f")
        atomic.write_text(paths.test_tables(variant) / f"{name}.csv", text)
    mean = {f"test_{name}": float(np.mean([run[name] for run in runs.values()])) for name in SCORES}
    atomic.write_json(paths.test_metrics(variant), {**mean, "runs": runs})


def _same_as_training(record: Path, result: Evaluation, command: str) -> None:
    trained = read_record(record, Recorded, command).test
    same_loss = (
        not math.isfinite(result.loss)
        if trained.loss is None
        else math.isclose(result.loss, trained.loss, rel_tol=LOSS_TOLERANCE)
    )
    if not same_loss or result.accuracy != trained.accuracy:
        raise PawprintError(
            f"{record.parent}: the saved weights give test accuracy {result.accuracy} and loss {result.loss}, training "
            f"had {trained.accuracy} and {trained.loss}: the weights, the data or the code are not those of "
            "that training. `dvc repro --force --single-item` the train stage, or `dvc checkout --force`"
        )


def _metrics(result: Evaluation, data: Data) -> dict[str, Any]:
    n = len(data.test)
    interval = binomtest(round(result.accuracy * n), n).proportion_ci(0.95, method="wilson")
    return {
        **result.scores,
        "accuracy_low": float(interval.low),  # Wilson, 95 %: the test set's sampling error alone
        "accuracy_high": float(interval.high),
        "n_test": n,
    }


def _tables(spec: RunSpec, result: Evaluation, data: Data) -> dict[str, pd.DataFrame]:
    classes = np.array(data.class_names)
    actual, predicted = np.asarray(data.test.labels), result.probabilities.argmax(axis=1)
    labels = np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(actual, predicted, labels=labels, zero_division=0)
    run = {"variant": spec.variant, "run": spec.run, "seed": spec.seed}
    rows, columns = np.divmod(np.arange(len(classes) ** 2), len(classes))
    return {
        "predictions": pd.DataFrame({
            **run,
            "image_name": data.test.names,
            "actual": classes[actual],
            "predicted": classes[predicted],
            "probability": result.probabilities.max(axis=1),
        }),
        "per_class": pd.DataFrame({
            **run, "label": classes, "precision": precision, "recall": recall, "f1": f1, "n_test": support,
        }),
        "confusion": pd.DataFrame({
            **run,
            "actual": classes[rows],
            "predicted": classes[columns],
            "count": confusion_matrix(actual, predicted, labels=labels).ravel(),
        }),
    }  # fmt: skip


if __name__ == "__main__":
    run_stage(main)
