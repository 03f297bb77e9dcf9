"""From a checkpoint to the files by which it is handed on: written, read back, and held against it, all or none.

    model.pt2               torch.export's program
    model.onnx              ONNX; its text says what classes there are and how pictures are fed
    model.torchscript.pt    TorchScript, which torch calls deprecated
    export.json             what they are, what made them, and how near their answers are to the checkpoint's

They take the place of those of the last time when all have been held against it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pawprint.atomic import whole_folder, write_bytes, write_json
from pawprint.deploy.description import ANSWERS, INPUT, OUTPUT, PREPROCESSING, Description
from pawprint.deploy.formats import (
    BATCH,
    OPSET,
    Standardized,
    as_program,
    onnx_bytes,
    program_bytes,
    read_program,
    read_torchscript,
    torchscript_bytes,
)
from pawprint.deploy.parity import BATCH_SIZES, MOST_DIFFERENCE, Parity, answers_to_files
from pawprint.deploy.predictor import Predictor, answers_of, from_onnx
from pawprint.test_time_augmentation import Answer
from pawprint.types import Split

PROGRAM, ONNX_FILE, TORCHSCRIPT = "model.pt2", "model.onnx", "model.torchscript.pt"
NAMES = {"program": PROGRAM, "onnx": ONNX_FILE, "torchscript": TORCHSCRIPT}
RECORD = "export.json"
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")
FORMAT = 1  # of the record


def export(
    model: Standardized, checkpoint: Predictor, pictures: Split, files: Sequence[Path | bytes], target: Path
) -> dict[str, Any]:
    """Write `model` into the folder `target` if it answers as `checkpoint` does; its numbers, for metrics.

    `pictures` are as the checkpoint was tested on them, `files` the same as they came. Raises PawprintError, and leaves
    `target` as it was, where an answer differs.
    """
    with whole_folder(target) as unfinished:
        deprecation = _write(model, checkpoint.description, unfinished)
        expected = checkpoint(pictures.images[:])
        answers = answers_to_files(_answers(unfinished), files, checkpoint.image_shape)
        numbers: dict[str, Any] = {"n_pictures": len(pictures)}
        for kind, found in answers.items():
            parity = Parity(expected, found)
            parity.refuse(NAMES[kind], pictures.names, checkpoint.class_names)
            numbers[kind] = {**parity.numbers, "megabytes": (unfinished / NAMES[kind]).stat().st_size / 1e6}
        write_json(unfinished / RECORD, _record(checkpoint.description, unfinished, numbers, deprecation))
    return numbers


def _write(model: Standardized, description: Description, folder: Path) -> list[str]:
    """The three files; what torch said of TorchScript."""
    shape = description.input.shape
    program = as_program(model, shape)
    script, deprecation = torchscript_bytes(model, shape)
    write_bytes(folder / PROGRAM, program_bytes(program))
    write_bytes(folder / ONNX_FILE, onnx_bytes(program, description.metadata))
    write_bytes(folder / TORCHSCRIPT, script)
    return deprecation


def _answers(folder: Path) -> dict[str, Answer]:
    """The files as whoever gets them reads them."""
    return {
        "program": answers_of(read_program(folder / PROGRAM)),
        "onnx": from_onnx(folder / ONNX_FILE).answer,
        "torchscript": answers_of(read_torchscript(folder / TORCHSCRIPT)),
    }


def _record(
    description: Description, folder: Path, numbers: dict[str, Any], deprecation: Sequence[str]
) -> dict[str, Any]:
    """What is in the folder, for whoever gets it without the study."""
    batch, classes = [BATCH, *description.input.shape], [BATCH, len(description.class_names)]
    return {
        "format": FORMAT,
        **asdict(description),
        "preprocessing": PREPROCESSING,
        "answers": ANSWERS,
        "takes": {"name": INPUT, "shape": batch, "type": "float32", "range": [0, 1]},
        "gives": {"name": OUTPUT, "shape": classes, "type": "float32"},
        "opset": OPSET,
        "files": {kind: _file(folder / name) for kind, name in NAMES.items()},
        "torchscript_is_deprecated": list(deprecation),
        "parity": {**numbers, "batch_sizes": BATCH_SIZES, "most_difference": MOST_DIFFERENCE},
        "versions": {name: version(name) for name in PACKAGES},
    }


def _file(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"file": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
