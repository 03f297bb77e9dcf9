"""`pawprint predict`: what a trained model makes of pictures, from the model's folder or its ONNX file alone.

A picture goes through the model as the test set does; the pictures of the test set, asked for in its order, get the
very bytes of the stage `test`, of a checkpoint. (In other company a picture's numbers may differ in the seventh digit:
a batch of another size is summed in another order.)

Pictures that are named one by one are all answered or none. A folder is taken as it is: what in it cannot be used is a
row of the table that says why. The table is written when the last picture is answered, and so is whole or not there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from pawprint import atomic
from pawprint.data.decode import read_picture, read_pictures
from pawprint.data.faults import Fault, counted, readable
from pawprint.data.sources.tree import is_picture, open_tree
from pawprint.deploy.predictor import Averaging, Predictor, open_predictor
from pawprint.errors import DataError, SettingsError
from pawprint.params import cut, nearest
from pawprint.training.evaluate import BATCH_SIZE


@dataclass(frozen=True)
class Prediction:
    """A model's answers to pictures."""

    predictor: Predictor
    pictures: list[Path]
    probabilities: np.ndarray  # (N, K) float32

    def best(self, row: int, top: int) -> list[tuple[str, float]]:
        """The `top` most probable classes of a picture, the first one first."""
        return best(self.predictor, self.probabilities[row], top)


@dataclass(frozen=True)
class Row:
    """What became of a picture in a folder."""

    picture: str  # its name, with that of the folder
    answers: list[tuple[str, float]]  # classes and probabilities, the likeliest first; of one that cannot be used: none
    reason: str = ""  # why it cannot be used


def predict(pictures: Sequence[Path], model: str | None = None, averaging: Averaging | None = None) -> Prediction:
    """Answer all pictures, or none: DataError names every one that cannot be used."""
    predictor = open_predictor(model)
    channels, pixels, _ = predictor.image_shape
    return Prediction(predictor, list(pictures), predictor(read_pictures(pictures, pixels, channels), averaging))


def predict_table(places: Sequence[Path], model: str | None, top: int, averaging: Averaging | None = None) -> list[Row]:
    """A row for each picture of `places`, files and folders (or .zip) with all that is in them, sorted by name in each.

    DataError if there is no picture at all.
    """
    predictor = open_predictor(model)
    rows = [row for place in places for row in _rows(place, predictor, top, averaging)]
    if not rows:
        raise DataError(f"{', '.join(map(str, places))}: no pictures in it, by their names' endings")
    return rows


def as_csv(rows: Sequence[Row]) -> str:
    """`picture, answer, probability`, the next likely ones, and `reason` of what cannot be used; a row each."""
    content = io.StringIO()
    write = csv.writer(content, lineterminator="\n").writerow
    n_answers = max([1, *(len(row.answers) for row in rows)])
    numbers = ["", *(f"_{place}" for place in range(2, n_answers + 1))]
    write(["picture", *(name + number for number in numbers for name in ("answer", "probability")), "reason"])
    for row in rows:
        cells = [cell for label, share in row.answers for cell in (label, f"{share:.6f}")]
        write([row.picture, *cells, *[""] * (2 * n_answers - len(cells)), row.reason])
    return content.getvalue()


def averaging_of(views: str | None, way: str | None) -> Averaging | None:
    """Test-time augmentation as it was asked for; SettingsError for what there is not."""
    if views is None and way is None:
        return None
    from pawprint.test_time_augmentation import ViewSet, Way  # torchvision takes seconds

    faults = [
        f"{option} {cut(given)}: no such choice; {nearest(given, valid)}"
        for option, given, valid in (("--tta", views, get_args(ViewSet)), ("--tta-way", way, get_args(Way)))
        if given is not None and given not in valid
    ]
    if way is not None and views is None:
        faults.append("--tta-way: there is nothing to average without --tta")
    if faults:
        raise SettingsError(faults)
    return Averaging(views, way) if way else Averaging(views)  # type: ignore[arg-type]  # looked at above


def predict_command(
    places: Sequence[Path], model: str | None, top: int, to_json: bool, out: Path | None, averaging: Averaging | None
) -> tuple[str, str]:
    """What to print on stdout, and of a table what to say of the pictures that cannot be used; "" if all can.

    A folder, a .zip or `out` asks for a table. Raises SettingsError where options contradict.
    """
    if out is None and not any(map(_is_tree, places)):
        prediction = predict(places, model, averaging)
        return as_json(prediction, top) if to_json else "\n".join(as_text(prediction, top)), ""
    if to_json:
        raise SettingsError(["--json: of a folder, or with --out, comes a CSV: leave one of them out"])
    if out is not None:
        _refuse_unusable(out)
    rows = predict_table(places, model, top, averaging)
    faults = [Fault(row.picture, row.reason) for row in rows if row.reason]
    complaint = f"{len(faults)} of {len(rows)} pictures cannot be used: {counted(faults)}; their rows say why"
    table = as_csv(rows)
    if out is not None:
        atomic.write_text(out, table)
        table = f"{out}: {len(rows) - len(faults)} of {len(rows)} pictures answered"
    return table.rstrip("\n"), complaint if faults else ""


def best(predictor: Predictor, probabilities: np.ndarray, top: int) -> list[tuple[str, float]]:
    """The `top` most probable classes of (K,) probabilities, the first one first."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(predictor.class_names[k], float(probabilities[k])) for k in order]


def as_text(prediction: Prediction, top: int) -> list[str]:
    """A line that names the model, then one a picture: its name, then percentages and classes in columns."""
    predictor = prediction.predictor
    accuracy = predictor.description.test_accuracy
    scored = "" if accuracy is None else f", test accuracy {100 * accuracy:.1f} %"
    rows = [
        [readable(str(picture)), *(f"{100 * share:5.1f} % {label}" for label, share in prediction.best(row, top))]
        for row, picture in enumerate(prediction.pictures)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"{predictor.source}: {predictor.description.run}{scored}", *lines]


def as_json(prediction: Prediction, top: int) -> str:
    """The same for programs; probabilities to the last bit."""
    content: dict[str, Any] = {
        "model": str(prediction.predictor.source),
        "run": prediction.predictor.description.run,
        "pictures": [
            {
                "file": str(picture),
                "classes": [{"class": label, "probability": share} for label, share in prediction.best(row, top)],
            }
            for row, picture in enumerate(prediction.pictures)
        ],
    }
    return json.dumps(content, indent=1)


def _is_tree(place: Path) -> bool:
    return place.is_dir() or place.suffix.lower() == ".zip"


def _rows(place: Path, predictor: Predictor, top: int, averaging: Averaging | None) -> list[Row]:
    """Of a folder those of its pictures, by name; of a picture its own."""
    if not _is_tree(place):
        return _answered([str(place)], Path, predictor, top, averaging)
    with open_tree(place) as tree:
        rows = _answered(list(filter(is_picture, tree.files)), tree.read, predictor, top, averaging)
        rows += [Row(name, [], reason) for name, reason in tree.faults]
    return [replace(row, picture=f"{readable(str(place))}/{row.picture}") for row in sorted(rows, key=_name)]


def _name(row: Row) -> str:
    return row.picture


def _answered(
    names: Sequence[str], read: Callable[[str], Path | bytes], predictor: Predictor, top: int,
    averaging: Averaging | None,
) -> list[Row]:  # fmt: skip
    """A row for each name; only so many pictures are in memory as are answered together."""
    rows = []
    for start in range(0, len(names), BATCH_SIZE):
        images, reasons = _decoded(names[start : start + BATCH_SIZE], read, predictor.image_shape)
        probabilities = predictor(np.stack(list(images.values())), averaging) if images else np.empty((0, 0))
        rows += [
            Row(readable(name), best(predictor, answer, top))
            for name, answer in zip(images, probabilities, strict=True)
        ]
        rows += [Row(readable(name), [], reason) for name, reason in reasons.items()]
    return rows


def _decoded(
    names: Sequence[str], read: Callable[[str], Path | bytes], shape: tuple[int, int, int]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Name → picture (H, W, C) uint8, and of those that cannot be used name → reason."""
    images, reasons = {}, {}
    for name in names:
        try:
            images[name] = read_picture(read(name), shape[1], shape[0])
        except ValueError as error:  # Unusable is one
            reasons[name] = str(error)
    return images, reasons


def _refuse_unusable(out: Path) -> None:
    """Raise before the work where its result could not be written after it."""
    if out.suffix.lower() != ".csv" or out.is_dir():
        raise SettingsError([f"--out {cut(str(out))}: expected the name of a .csv file"])
    if reason := atomic.why_unwritable(out.parent):
        raise SettingsError([f"--out {cut(str(out))}: expected a place that can be written to: {reason}"])
