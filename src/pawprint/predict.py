"""`pawprint predict`: what a trained model makes of pictures, from the model's folder alone.

A picture goes through the model as the test set does; the pictures of the test set, asked for in its order, get the
very bytes of the stage `test`. (In other company a picture's numbers may differ in the seventh digit: a batch of
another size is summed in another order.)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.data.faults import readable
from pawprint.trained_model import Trained, find_model, open_model, probabilities_of


@dataclass(frozen=True)
class Prediction:
    """A model's answers to pictures."""

    folder: Path  # the model's
    trained: Trained
    pictures: list[Path]
    probabilities: np.ndarray  # (N, K) float32

    def best(self, row: int, top: int) -> list[tuple[str, float]]:
        """The `top` most probable classes of a picture, the first one first."""
        order = np.argsort(-self.probabilities[row], kind="stable")[:top]
        return [(self.trained.class_names[k], float(self.probabilities[row, k])) for k in order]


def predict(pictures: Sequence[Path], model: str | None = None) -> Prediction:
    """Answer all pictures, or none: DataError names every one that cannot be used."""
    opened = open_model(find_model(model), pictures)
    return Prediction(opened.folder, opened.trained, list(pictures), probabilities_of(opened))


def as_text(prediction: Prediction, top: int) -> list[str]:
    """A line that names the model, then one a picture: its name, then percentages and classes in columns."""
    accuracy = prediction.trained.test["accuracy"]
    scored = "" if accuracy is None else f", test accuracy {100 * accuracy:.1f} %"
    rows = [
        [readable(str(picture)), *(f"{100 * share:5.1f} % {label}" for label, share in prediction.best(row, top))]
        for row, picture in enumerate(prediction.pictures)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"{prediction.folder}: {prediction.trained.spec.name}{scored}", *lines]


def as_json(prediction: Prediction, top: int) -> str:
    """The same for programs; probabilities to the last bit."""
    content: dict[str, Any] = {
        "model": str(prediction.folder),
        "run": prediction.trained.spec.name,
        "pictures": [
            {
                "file": str(picture),
                "classes": [{"class": label, "probability": share} for label, share in prediction.best(row, top)],
            }
            for row, picture in enumerate(prediction.pictures)
        ],
    }
    return json.dumps(content, indent=1)
