"""Weights, and the state from which a killed training goes on to the same bytes.

Both are safetensors: tensors plus text, no pickle that could run code. A nested state (an optimizer's, say) is
split into its tensors and a JSON skeleton that says where each belongs; the skeleton is the file's one metadata
entry (with two their order, and so the bytes, would vary).
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from pawprint import atomic
from pawprint.errors import PawprintError
from pawprint.types import TrainState


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """A state dict, byte for byte the same for the same values."""
    atomic.write_bytes(path, save({name: tensor.cpu().contiguous() for name, tensor in weights.items()}))


def load_weights(path: Path, model: torch.nn.Module) -> torch.nn.Module:
    """Fill `model`; PawprintError if the file is missing, damaged or of another architecture."""
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise PawprintError(f"{path}: no such file; `dvc pull {path}` or `dvc repro` brings it") from None
    except SafetensorError as error:
        raise PawprintError(f"{path}: not a whole safetensors file ({error}); delete it and `dvc repro`") from None
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise PawprintError(f"{path}: weights of another model than the settings': {error}") from None
    return model


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the model's weights that training on does not change."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def save_state(path: Path, tree: Any, keep: Path | None = None) -> None:
    """Any nesting of dicts, lists, tensors and JSON values, in one file, atomically; what was there goes to `keep`."""
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _skeleton(tree, tensors)
    header = json.dumps({"sha256": _digest(skeleton, tensors), "skeleton": skeleton})
    atomic.write_bytes(path, save(tensors, metadata={"pawprint": header}), keep)


def read_state(path: Path) -> Any:
    """What `save_state` wrote; FileNotFoundError, or PawprintError for a file that is not whole."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["pawprint"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise PawprintError(f"{path}: not a whole safetensors file ({error})") from None
    if header["sha256"] != _digest(header["skeleton"], tensors):
        raise PawprintError(f"{path}: its content is not what was written: damaged on the disk")
    return _fill(header["skeleton"], tensors)


def training_state(state: TrainState) -> dict[str, Any]:
    """What `restore` needs, as a tree for `save_state`."""
    return {
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scheduler": state.scheduler.state_dict() if state.scheduler else None,
        "step": state.step,
        "examples_seen": state.examples_seen,
        "rng": torch.get_rng_state(),
    }


def restore(state: TrainState, saved: dict[str, Any]) -> None:
    """Put a training back to where `training_state` was taken, torch's generator included."""
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    for parameter, values in state.optimizer.state.items():
        for name, value in values.items():  # in the parameter's own memory layout, as they were
            if torch.is_tensor(value) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter).copy_(value)
    if state.scheduler:
        state.scheduler.load_state_dict(saved["scheduler"])
    state.step, state.examples_seen = saved["step"], saved["examples_seen"]
    torch.set_rng_state(saved["rng"])


def _digest(skeleton: Any, tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(skeleton).encode())
    for name in sorted(tensors):
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _skeleton(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if torch.is_tensor(tree):
        name = f"{len(tensors):06d}"
        tensors[name] = tree.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(tree, dict):
        return {"dict": [[key, _skeleton(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        return {type(tree).__name__: [_skeleton(value, tensors) for value in tree]}
    return {"value": tree}


def _fill(skeleton: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Any:
    ((kind, content),) = skeleton.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _fill(value, tensors) for key, value in content}
    if kind in ("list", "tuple"):
        filled = [_fill(value, tensors) for value in content]
        return tuple(filled) if kind == "tuple" else filled
    return content
