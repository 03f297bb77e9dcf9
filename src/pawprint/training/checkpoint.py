"""Weights, and the state from which a killed training goes on to the same bytes.

Both are safetensors: tensors plus text, no pickle that could run code. A nested state (an optimizer's, say) is
split into its tensors and a JSON skeleton that says where each belongs; the skeleton, with the number of its format and
a hash of all, is the file's one metadata entry (with two their order, and so the bytes, would vary). Weights have none:
DVC has their hash.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from pawprint import atomic
from pawprint.errors import PawprintError, shown
from pawprint.tensors import read_tensors, why_unfit
from pawprint.types import TrainState

STATE_FORMAT = 1  # of the skeleton: to be raised when `read_state` could no longer read what was written before
SKELETON = "skeleton"  # the one metadata entry
MAX_DEPTH = 50  # of a skeleton; a state nests eight deep


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """A state dict, byte for byte the same for the same values."""
    atomic.write_bytes(path, save({name: tensor.cpu().contiguous() for name, tensor in weights.items()}))


def load_weights(path: Path, model: torch.nn.Module) -> torch.nn.Module:
    """Fill `model`; PawprintError if the file is missing, damaged or of another architecture."""
    try:
        weights = read_tensors(path)
    except FileNotFoundError:
        raise PawprintError(f"{path}: no such file; `dvc pull {path}` or `dvc repro` brings it") from None
    except PawprintError as error:
        raise PawprintError(f"{error}; delete it and `dvc repro`") from None
    if SKELETON in weights.metadata:
        raise PawprintError(f"{path}: the state of a training, not its weights; delete it and `dvc repro`")
    difference = why_unfit(weights.by_name, model.state_dict())
    if difference:
        raise PawprintError(f"{path}: weights of another model than the settings': {difference}")
    model.load_state_dict(weights.by_name)
    return model


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the model's weights that training on does not change."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def save_state(path: Path, tree: Any, keep: Path | None = None) -> None:
    """Any nesting of dicts, lists, tensors and JSON values, in one file, atomically; what was there goes to `keep`."""
    atomic.write_bytes(path, _packed(tree), keep)


def read_state(path: Path) -> Any:
    """What `save_state` wrote; FileNotFoundError, or PawprintError that says why the file is none of its."""
    file = read_tensors(path)
    if SKELETON not in file.metadata:
        raise PawprintError(f"{path}: weights or another program's file, not the state of a training")
    try:
        content = json.loads(file.metadata[SKELETON])
        found = content.get("format", 0) if isinstance(content, dict) else "unknown"
        if found != STATE_FORMAT:
            raise PawprintError(f"{path}: a state of format {shown(found)}, this pawprint reads {STATE_FORMAT}")
        if content.get("sha256") != digest(content.get("state"), file.by_name):
            raise ValueError("the hash is of other content")
        tree = _fill(content["state"], unused := dict(file.by_name))
        if unused:
            raise ValueError(f"{len(unused)} tensors have no place in the skeleton")
    except (ValueError, RecursionError) as error:  # JSON's errors are ValueErrors
        raise PawprintError(f"{path}: a damaged state: {error}") from None
    return tree


def digest(state: Any, tensors: dict[str, torch.Tensor]) -> str:
    """Of all that a state is; a flipped bit in it would be trained on. 0.2 s for ResNet-18 with Adam's averages."""
    sha256 = hashlib.sha256(json.dumps(state).encode())
    for name, tensor in sorted(tensors.items()):
        sha256.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha256.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def training_state(state: TrainState) -> dict[str, Any]:
    """What `restore` needs, as a tree for `save_state`."""
    return {
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scheduler": state.scheduler.state_dict() if state.scheduler else None,
        "ema": state.ema.state_dict() if state.ema else None,
        "scaler": state.scaler.state_dict() if state.scaler else None,
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
    if state.ema:
        state.ema.load_state_dict(saved["ema"])
    if state.scaler:
        state.scaler.load_state_dict(saved["scaler"])
    state.step, state.examples_seen = saved["step"], saved["examples_seen"]
    torch.set_rng_state(saved["rng"])


def _packed(tree: Any) -> bytes:
    tensors: dict[str, torch.Tensor] = {}
    state = _skeleton(tree, tensors)
    skeleton = json.dumps({"format": STATE_FORMAT, "sha256": digest(state, tensors), "state": state})
    return save(tensors, metadata={SKELETON: skeleton})


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


def _fill(skeleton: Any, tensors: dict[str, torch.Tensor], depth: int = 0) -> Any:
    """The tree, its tensors taken out of `tensors`; ValueError where the skeleton is none that `_skeleton` makes."""
    if not isinstance(skeleton, dict) or len(skeleton) != 1 or depth > MAX_DEPTH:
        raise ValueError(f"expected one kind and its content, at most {MAX_DEPTH} deep, found {shown(skeleton)}")
    ((kind, content),) = skeleton.items()
    if kind == "value" and isinstance(content, str | int | float | None):
        return content
    if kind == "tensor" and isinstance(content, str) and content in tensors:
        return tensors.pop(content)
    if kind in ("list", "tuple") and isinstance(content, list):
        filled = [_fill(value, tensors, depth + 1) for value in content]
        return tuple(filled) if kind == "tuple" else filled
    if kind == "dict" and isinstance(content, list) and all(_is_entry(entry) for entry in content):
        return {key: _fill(value, tensors, depth + 1) for key, value in content}
    raise ValueError(f"expected a tensor that is there, a value, list, tuple or dict, found {shown(skeleton)}")


def _is_entry(entry: Any) -> bool:
    """Of a dict: a name or number, and what it stands for."""
    return isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str | int)
