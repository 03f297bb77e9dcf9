"""A network in the three forms in which it is handed on, each the same bytes each time.

- torch.export's program (`.pt2`): the graph of the model's operations, run by torch without the model's code.
- ONNX (`.onnx`), made from that program: run by ONNX Runtime and others without torch.
- TorchScript (`.torchscript.pt`), by `torch.jit.trace`, as courses have it and libtorch reads it. torch calls it
  deprecated and names torch.export in its place; what it says is kept, for the record.

All take float32 (B, C, H, W) in [0, 1] with any B, and hold the standardization, so that nobody can forget it.

What varied from place to place, and is left out: the stack traces of a program, which name this machine's files, and of
TorchScript's archive the debug files, which do so too, with the id that is a hash over them. No reader needs any. In
one process TorchScript numbers its classes on from trace to trace, so that it is the same bytes for a process that
begins with the export, as the stage's does.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pawprint.deploy.description import INPUT, OUTPUT
from pawprint.deploy.predictor import Run

OPSET = 20  # of ONNX: what this torch writes unless told otherwise; told, so that the next one writes it as well
BATCH = "batch"  # the dynamic dimension's name
N_TRACED = 2  # pictures: torch.export takes sizes of 0 and 1 for constants
UNREAD = (".debug_pkl", ".data/serialization_id")  # how the names of members end that are left out of TorchScript's


class Standardized(nn.Module):
    """A network with the standardization of its pictures before it: [0, 1] → logits."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])
        self.eval()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, K); the arithmetic of `data.batches.standardize`."""
        return self.network((pictures - self.mean) / self.std)


def as_program(model: Standardized, shape: tuple[int, int, int]) -> torch.export.ExportedProgram:
    """For any number of pictures (C, H, W), from 1."""
    any_number = torch.export.Dim(BATCH, min=1)
    program = torch.export.export(model, (_pictures(shape),), dynamic_shapes=({0: any_number},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def program_bytes(program: torch.export.ExportedProgram) -> bytes:
    """A `.pt2` file."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No complete tensor found", UserWarning)  # of batch counters, on the CPU
        torch.export.save(program, content)
    return content.getvalue()


def onnx_bytes(program: torch.export.ExportedProgram, metadata: dict[str, str]) -> bytes:
    """An `.onnx` file that holds its weights, with `metadata` as its text."""
    from onnx.helper import set_model_props

    exported = torch.onnx.export(
        program, dynamo=True, external_data=False, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT],
        verbose=False,
    )  # fmt: skip
    assert exported is not None, "without a file to write, it returns the model"
    model = exported.model_proto
    _name_batch(model.graph)
    set_model_props(model, metadata)
    return model.SerializeToString(deterministic=True)


def described(content: bytes, metadata: dict[str, str]) -> bytes:
    """An `.onnx` file with `metadata` as its text, in place of what it had."""
    import onnx

    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, metadata)
    return model.SerializeToString(deterministic=True)


def torchscript_bytes(model: Standardized, shape: tuple[int, int, int]) -> tuple[bytes, list[str]]:
    """A TorchScript archive, and what torch said while it was made: that it is deprecated."""
    content = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.jit.save(torch.jit.trace(model, _pictures(shape)), content)
    said = [str(warning.message) for warning in caught if issubclass(warning.category, FutureWarning)]
    return _without_unread(content), list(dict.fromkeys(said))


def read_program(path: Path) -> Run:
    return torch.export.load(path).module()


def read_torchscript(path: Path) -> Run:
    """Without torch's word on it, which the record holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.load(path)


def _pictures(shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.zeros(N_TRACED, *shape)


def _name_batch(graph: Any) -> None:
    """The dynamic dimension of an ONNX graph by a name that says what it is; the exporter's is a number."""
    values = (*graph.input, *graph.output, *graph.value_info)
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for dimension in (dimension for value in values for dimension in value.type.tensor_type.shape.dim):
        if dimension.dim_param == symbol:
            dimension.dim_param = BATCH


def _without_unread(content: io.BytesIO) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(content) as archive, zipfile.ZipFile(kept, "w") as smaller:
        for name in archive.namelist():
            if not name.endswith(UNREAD):
                smaller.writestr(zipfile.ZipInfo(name), archive.read(name))  # of the year 1980, uncompressed
    return kept.getvalue()
