"""Curves from CSV files: our own, and those that W&B, TensorBoard and others export.

- Our own `…-steps.csv`, with `…-epochs.csv` and `…-diagnostics.csv` if they lie beside it.
- A table of rows with a column a quantity: W&B's history (`_step`, `training_loss`, `val_loss` …, most cells empty),
  Lightning's metrics.csv, Keras' CSVLogger, timm's summary.csv.
- A chart that W&B exported: `Step`, and for each run `<run> - training_loss` with its `__MIN` and `__MAX`.
- A scalar that TensorBoard exported: `Wall time,Step,Value`; what it is stands in the file's name
  (`run-baseline-tag-val_loss.csv`), or is said.

An empty cell is a quantity that was not logged with that row, `NaN` and `Infinity` are what a loss was. Only our own
files have an empty cell for a loss that was no number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pawprint.diagnosis.quantities import EPOCHS, NAMES, STEPS, Quantity, plain, quantity, rank
from pawprint.errors import SettingsError, shown
from pawprint.symptoms import LAYER_QUANTITIES

KINDS = ("steps", "epochs", "diagnostics")  # of our own files
SEED = re.compile(r"(?P<run>.+)-s(?P<seed>\d+)")  # as our runs' names end
TENSORBOARD_COLUMNS = ("wall_time", "step", "value")
TENSORBOARD_NAME = re.compile(r"run[-_](?P<run>.*)[-_]tag[-_](?P<tag>.+)", re.DOTALL)
PART = re.compile(r"(?:(?P<run>.*)[-_.])?(?P<part>train|training|val|validation|eval)")  # Keras: a folder for each
SPREADS = ("__MIN", "__MAX")  # beside a run's column in W&B's charts: of the points that a point stands for
NO_LAYERS = pd.DataFrame({"run": [], "seed": [], "step": [], "quantity": [], "value": []}).astype(
    {"run": str, "seed": int, "step": int, "quantity": str, "value": float}
)
MOST_NAMED = 20  # columns, in a message

Said = Mapping[str, Quantity]  # a column's or a file's name → what it is, by `--as`


@dataclass(frozen=True)
class Series:
    """One quantity of one training."""

    file: Path
    run: str | None  # None: the file does not say
    seed: int
    quantity: Quantity
    column: str
    points: pd.DataFrame  # step, epoch, value; NaN where it is not known


@dataclass(frozen=True)
class Content:
    """What a file had."""

    series: list[Series]
    layers: pd.DataFrame  # run, seed, step, quantity, value


def with_siblings(file: Path) -> list[Path]:
    """A file, and where it is of our own the others of the same training that lie beside it."""
    for kind in KINDS:
        if file.name == f"{kind}.csv" or file.name.endswith(f"-{kind}.csv"):
            beginning = file.name.removesuffix(f"{kind}.csv")
            beside = [file.with_name(f"{beginning}{other}.csv") for other in KINDS]
            return [one for one in beside if one == file or one.is_file()]
    return [file]


def read(file: Path, said: Said) -> Content:
    """SettingsError where it is no table, or holds nothing that is known: it names what was found and expected."""
    cells = _cells(file)
    columns = {plain(name): name for name in cells.columns}
    if {"step", "quantity", "value"} <= set(columns):
        return Content([], _layers(file, cells))
    if tuple(columns) == TENSORBOARD_COLUMNS:
        return Content([_scalar(file, cells, said)], NO_LAYERS)
    return Content(_columns(file, cells, said), NO_LAYERS)


def named(file: Path) -> tuple[str, int]:
    """The run and the seed of one of our own files, or the file's name and 0."""
    stem = next((file.stem.removesuffix(f"-{kind}") for kind in KINDS if file.stem.endswith(f"-{kind}")), file.stem)
    return of_seed(file.resolve().parent.name if stem in KINDS else stem)


def of_seed(name: str) -> tuple[str, int]:
    """`baseline-s0` as `baseline` and 0."""
    found = SEED.fullmatch(name)
    return (found["run"], int(found["seed"])) if found else (name, 0)


def _named_seed(run: str | None) -> tuple[str | None, int]:
    return of_seed(run) if run else (None, 0)


def _cells(file: Path) -> pd.DataFrame:
    try:
        cells = pd.read_csv(file, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError([f"{file}: cannot be read: {error.strerror}"]) from None
    except ValueError as error:  # pandas' parser and encoding errors are
        raise SettingsError(
            [f"{file}: expected a CSV of curves, found none ({' '.join(str(error).split())})"]
        ) from None
    if cells.empty:
        raise SettingsError([f"{file}: expected rows of numbers, found none below {_listed(list(cells.columns))}"])
    return cells


def _columns(file: Path, cells: pd.DataFrame, said: Said) -> list[Series]:
    """A series for each column that is known, the best one of each run and quantity."""
    known: dict[tuple[str | None, Quantity], tuple[str, str]] = {}
    for column in cells.columns:
        run, name = _run_of(column, said)
        found = None if column.endswith(SPREADS) else said.get(column) or said.get(name) or quantity(name)
        if found and ((run, found) not in known or rank(name) < rank(known[run, found][1])):
            known[run, found] = (column, name)
    if not known:
        raise SettingsError([_nothing_known(file, list(cells.columns))])
    is_ours = {"examples_seen", "step"} <= set(cells.columns)
    series = []
    for (run, found), (column, _) in known.items():
        points = pd.DataFrame(index=cells.index).assign(**{
            "step": _axis(file, cells, STEPS, run), "epoch": _axis(file, cells, EPOCHS, run),
            "value": _numbers(file, cells, column),
        })  # fmt: skip
        if points[["step", "epoch"]].isna().all(axis=None):
            points["step"] = np.arange(1, len(points) + 1)
        whose: tuple[str | None, int] = named(file) if is_ours else _named_seed(run)
        logged = cells[column] != ""
        if is_ours:
            logged |= points["epoch"] > 0
        points = points[logged].reset_index(drop=True)
        is_of_epochs = "learning_rate" not in cells if is_ours else _is_by_epoch(points["epoch"])
        which = "epoch_loss" if found == "training_loss" and is_of_epochs else found
        series.append(Series(file, *whose, which, column, points))
    return series


def _is_by_epoch(epoch: pd.Series) -> bool:
    """Whether each row is an epoch of its own."""
    return len(epoch) > 1 and bool((epoch % 1 == 0).all()) and epoch.is_unique


def _run_of(column: str, said: Said) -> tuple[str | None, str]:
    """`baseline-s0 - val_loss` as the run and the quantity's name."""
    run, between, name = column.rpartition(" - ")
    is_of_run = bool(between) and (quantity(name) or name in said or plain(name) in (*STEPS, *EPOCHS))
    return (run, name) if is_of_run and column not in said else (None, column)


def _axis(file: Path, cells: pd.DataFrame, names: tuple[str, ...], run: str | None) -> pd.Series | float:
    """The column of steps or of epochs: the run's own, or that of all."""
    columns: dict[tuple[bool, int], str] = {}
    for column in cells.columns:
        of, name = _run_of(column, {})
        if of in (None, run) and not column.endswith(SPREADS) and plain(name) in names:
            columns.setdefault((of is None, names.index(plain(name))), column)
    return _numbers(file, cells, columns[min(columns)]) if columns else float("nan")


def _scalar(file: Path, cells: pd.DataFrame, said: Said) -> Series:
    """TensorBoard's: one quantity of one run."""
    run: str | None
    of_name = TENSORBOARD_NAME.fullmatch(file.stem)
    run, tag = (of_name["run"], of_name["tag"]) if of_name else (None, file.stem)
    part = PART.fullmatch(run or "")
    of_part = quantity(f"{part['part']}_{tag.removeprefix('epoch_')}") if part else None
    run = part["run"] if part and of_part else run
    which = said.get(file.name) or of_part or quantity(tag)
    if which is None:
        raise SettingsError([
            f"{file}: a scalar of TensorBoard's; which one does not stand in its name: expected "
            f"run-<run>-tag-<quantity>.csv, or say it: --as {file.name}=val_loss; {_quantities()}"
        ])  # fmt: skip
    step, value = (_numbers(file, cells, column) for column in cells.columns[1:])
    points = pd.DataFrame({"step": step, "epoch": float("nan"), "value": value})
    name, seed = _named_seed(run)
    return Series(file, name, seed, which, tag, points)


def _layers(file: Path, cells: pd.DataFrame) -> pd.DataFrame:
    """Of our own diagnostics, those of the layers."""
    of_layers = cells[cells["quantity"].str.startswith(LAYER_QUANTITIES)]
    numbers = {name: _numbers(file, of_layers, name) for name in ("step", "value")}
    run, seed = named(file)
    return pd.DataFrame({**numbers, "quantity": of_layers["quantity"]}).assign(run=run, seed=seed)


def _numbers(file: Path, cells: pd.DataFrame, column: str) -> pd.Series:
    """The column's numbers, NaN where a cell is empty; SettingsError naming the first that is none."""
    numbers = pd.to_numeric(cells[column], errors="coerce").astype(float)
    others = cells[column][numbers.isna() & ~cells[column].str.strip().str.lower().isin(["", "nan", "none", "null"])]
    if len(others):
        raise SettingsError([
            f"{file}: column {column}, row {int(others.index[0]) + 2}: expected a number, found {shown(others.iloc[0])}"
        ])  # fmt: skip
    return numbers


def _nothing_known(file: Path, columns: list[str]) -> str:
    example = next((name for name in columns if plain(name) not in (*STEPS, *EPOCHS)), columns[0])
    return (
        f"{file}: no curve that is known among its columns {_listed(columns)}; expected one of a training loss "
        f"({', '.join(NAMES['training_loss'][:3])}, loss …), or say it: --as '{example}=training_loss'; {_quantities()}"
    )


def _quantities() -> str:
    return f"quantities are {', '.join(NAMES)}"


def _listed(columns: list[str]) -> str:
    more = len(columns) - MOST_NAMED
    return _shown(columns[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _shown(columns: list[str]) -> str:
    return ", ".join(shown(column) for column in columns)


def in_one_run(series: list[Series]) -> list[Series]:
    """Series without a run's name: of one run, named for its first file, unless a quantity comes twice."""
    nameless = [one for one in series if one.run is None]
    quantities = [one.quantity for one in nameless]
    is_one = len(set(quantities)) == len(quantities)
    return [
        one if one.run is not None else replace(one, run=(nameless[0] if is_one else one).file.stem) for one in series
    ]
