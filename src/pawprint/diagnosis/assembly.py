"""Series of one training put together to `Curves`: steps counted from 1, epochs from 1, accuracies as shares.

Others count from 0, and log without epochs. So the first step is 1 whatever it was; an epoch 0 that has a step beyond
0, or a training loss, is somebody's first one, else it is the untrained model, as with us; where only steps are known,
validations are epochs in their order. A training loss that is logged as seldom as validation is a mean over the epoch,
and is taken for a step where there is no other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pawprint.diagnosis.exports import Series
from pawprint.diagnosis.quantities import OF_EPOCHS, OF_STEPS, Quantity
from pawprint.symptoms import Curves

Points = dict[Quantity, pd.DataFrame]  # step, epoch, value
ACCURACIES = ("val_accuracy", "train_accuracy")
PERCENT = 1.5  # an accuracy above it is in percent


def together(series: Sequence[Series], layers: pd.DataFrame) -> Curves:
    """All that is known of one run, whatever seeds it has."""
    seeds = sorted({one.seed for one in series})
    tables = [_steps_and_epochs([one for one in series if one.seed == seed]) for seed in seeds]
    steps, epochs = (
        pd.concat([table.assign(seed=seed) for seed, table in zip(seeds, kind, strict=True)], ignore_index=True)
        for kind in zip(*tables, strict=True)
    )
    return Curves(steps, epochs, layers)


def _steps_and_epochs(series: list[Series]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of one training: a row a step with training_loss and what else there is, and a row an epoch."""
    points: Points = {one.quantity: one.points for one in series}
    if "training_loss" in points and _is_by_epoch(points):
        points["epoch_loss"] = points.pop("training_loss")
    epochs = _epochs({name: points[name] for name in OF_EPOCHS if name in points})
    if "training_loss" in points:
        return _steps({name: points[name] for name in OF_STEPS if name in points}), epochs
    if "training_loss" not in epochs:
        return pd.DataFrame(columns=["step", "training_loss"]), epochs
    steps = epochs.dropna(subset="training_loss")[["step", "epoch", "training_loss"]]
    return steps.assign(step=steps["step"].where(steps["step"].notna(), steps["epoch"]).astype(int)), epochs


def _is_by_epoch(points: Points) -> bool:
    """Whether the training loss, of whose epochs nothing is known, is logged just where val is."""
    own = points["training_loss"]
    vals = [points[name] for name in ("val_loss", "val_accuracy") if name in points]
    return own["epoch"].isna().all() and any(set(own["step"]) <= set(val["step"]) for val in vals)


def _steps(points: Points) -> pd.DataFrame:
    own = _from_one(points["training_loss"])
    steps = pd.DataFrame({"step": own["step"], "training_loss": own["value"]})
    if own["epoch"].notna().any():
        steps["epoch"] = _epochs_from_one(own["epoch"])
    for name in [name for name in points if name != "training_loss"]:
        other = _from_one(points[name])[["step", "value"]].rename(columns={"value": name})
        if name == "learning_rate":  # it stays what it is until it is told anew
            steps = pd.merge_asof(steps, other, on="step")
        else:
            steps = steps.merge(other, on="step", how="left")
    return steps


def _from_one(points: pd.DataFrame) -> pd.DataFrame:
    """In the order of their steps, counted from 1, each once; a row is a step where no step is told."""
    step = points["step"]
    step = pd.Series(np.arange(1, len(points) + 1), points.index) if step.isna().any() else step
    step = (step + (step.min() == 0)).round().astype(int)
    return points.assign(step=step).sort_values("step", kind="stable").drop_duplicates("step", keep="last")


def _epochs_from_one(epoch: pd.Series) -> pd.Series:
    """The epoch that a step belongs to, from the numbers 0, 0, 1, 1 or the shares 0.5, 1.0, 1.5 of somebody's."""
    if (epoch.dropna() % 1 != 0).any():
        return np.ceil(epoch).clip(lower=1)
    return epoch + (epoch.min() == 0)


def _epochs(points: Points) -> pd.DataFrame:
    """A row for each epoch that val or the training loss was told of."""
    numbered = _numbered(points)
    rows: dict[str, pd.Series] = {}
    for name, own in numbered.items():
        values = own.groupby("epoch")["value"].agg("mean" if name == "train_accuracy" else _last)
        if name in ACCURACIES and values.max() > PERCENT:
            values = values / 100
        rows["training_loss" if name == "epoch_loss" else name] = values
    if not rows:
        return pd.DataFrame(columns=["epoch"])
    steps = pd.concat(list(numbered.values())).groupby("epoch")["step"].max()
    table = pd.DataFrame({"step": steps, **rows})
    table = table[table.drop(columns=["step", "train_accuracy"], errors="ignore").index.isin(_told(rows))]
    return table.rename_axis("epoch").reset_index().astype({"epoch": int})


def _told(rows: dict[str, pd.Series]) -> set[float]:
    """Epochs of which more than train's accuracy is known, where there is more."""
    others = [values for name, values in rows.items() if name != "train_accuracy"] or list(rows.values())
    return {epoch for values in others for epoch in values.index}


def _last(values: pd.Series) -> float:
    return float(values.iloc[-1])


def _numbered(points: Points) -> Points:
    """The same with whole epochs, 0 for the untrained model."""
    if all(own["epoch"].notna().all() for own in points.values()):
        together = pd.concat(list(points.values())) if points else pd.DataFrame()
        first = together[together["epoch"] == 0] if points else together
        is_told = "epoch_loss" in points and (points["epoch_loss"]["epoch"] == 0).any()
        shift = int(len(first) > 0 and (is_told or not (first["step"] == 0).all()))
        return {name: own.assign(epoch=np.ceil(own["epoch"]) + shift) for name, own in points.items()}
    steps = np.unique(np.concatenate([own["step"].to_numpy() for name, own in points.items()
                                      if name != "train_accuracy" or len(points) == 1]))  # fmt: skip
    is_count = len(steps) > 1 and (np.diff(steps) == 1).all()
    first_epoch = 0 if len(steps) > 1 and steps[0] == 0 and not is_count else 1
    number = dict(zip(steps, range(first_epoch, first_epoch + len(steps)), strict=True))
    return {name: own.assign(epoch=own["step"].map(number)).dropna(subset="epoch") for name, own in points.items()}
