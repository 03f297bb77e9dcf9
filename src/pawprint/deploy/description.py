"""What a model's file says of itself: its classes, what it is fed and what it answers, so that nothing else is needed.

An ONNX file has text beside its graph, `metadata_props`: pairs of a name and a value. What a program needs of it is
JSON, what a person needs is said in words. What is read back is validated: a file that is not pawprint's, or of a
version that said less, is refused and not guessed at.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from pawprint.data.decode import RESIZE
from pawprint.errors import DataError
from pawprint.trained_model import LENIENT, Input, Trained, refuse_unfit

INPUT, OUTPUT = "pictures", "logits"  # as the graph calls them
PREPROCESSING = (
    f"upright RGB, transparency on white, of one channel its luma; {RESIZE}; 8-bit values divided by 255 as float32"
    " (B, C, H, W); the standardization of channels is inside of the model"
)
ANSWERS = "logits (B, K) float32, classes in the order of class_names; softmax makes them probabilities"
AGAIN = "write it anew with `dvc repro`, whose stage export writes such files"


@validated(frozen=True, config=LENIENT)
class Description:
    """A model, without what runs it."""

    run: str  # the training's name, as in `RunSpec.name`
    class_names: list[str]
    input: Input
    test_accuracy: float | None  # of the checkpoint, a share
    weights_sha256: str  # of the checkpoint's weights.safetensors

    @property
    def metadata(self) -> dict[str, str]:
        """For a file's text: each field as JSON, then the words."""
        fields = {name: json.dumps(value, ensure_ascii=False) for name, value in asdict(self).items()}
        return {**fields, "preprocessing": PREPROCESSING, "answers": ANSWERS}


def describe(trained: Trained, weights_sha256: str) -> Description:
    """What a checkpoint's run.json says of it."""
    return Description(trained.spec.name, trained.class_names, trained.input, trained.test["accuracy"], weights_sha256)


def read_metadata(file: Path, metadata: dict[str, str]) -> Description:
    """The opposite of `Description.metadata`; DataError naming file and entry where it is not that."""
    if "class_names" not in metadata:
        raise DataError(f"{file}: it says nothing of its classes: expected a file of pawprint's; {AGAIN}")
    try:
        fields = {name: json.loads(metadata[name]) for name in Description.__annotations__ if name in metadata}
        text = json.dumps(fields)
        description = TypeAdapter(Description).validate_json(text, strict=True)
    except (ValueError, RecursionError) as error:  # pydantic's and JSON's are ValueErrors
        raise DataError(f"{file}: its description cannot be read: {_first(error)}; {AGAIN}") from None
    refuse_unfit(description.input, file, AGAIN)
    return description


def _first(error: Exception) -> str:
    """Of pydantic's the first fault."""
    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors()[0]
    place = ": ".join(map(str, fault["loc"]))
    return f"{place}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
