"""Which training this is: a hash of settings, data and code. Equal hashes mean equal results."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pawprint import paths
from pawprint.params import spec_as_dict
from pawprint.types import Data, RunSpec


def identity(spec: RunSpec, data: Data, start: Path | None = None) -> dict[str, str]:
    """What a training is made of, each part as a hash. `start`: the file of pretrained weights."""
    parts = {
        "settings": _hash(spec_as_dict(spec)),
        "pictures": _hash([data.content_hash, data.train.names]),  # some may have been left out of train
        "code": code_hash(),
        "versions": _hash(versions()),
    }
    if spec.pretrained and start is not None and start.is_file():
        parts["starting weights"] = hashlib.sha256(start.read_bytes()).hexdigest()
    return parts


def run_id(parts: dict[str, str]) -> str:
    """16 hex digits; names the resumable state and the W&B run."""
    return _hash(parts)[:16]


def code_hash() -> str:
    """sha256 over the source files that a training is made of (`paths.TRAINING_CODE`)."""
    digest = hashlib.sha256()
    for place in paths.TRAINING_CODE:
        root = paths.PACKAGE / place
        for file in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(file.relative_to(paths.PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """What the numbers depend on beside our own code."""
    packages = ("torch", "torchvision", "lightning-fabric", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
