"""Each form of a model answers as the model does, for any number of pictures, and is the same bytes each time."""

import io
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from pawprint.data.batches import standardize
from pawprint.deploy.formats import (
    OPSET,
    Standardized,
    as_program,
    onnx_bytes,
    program_bytes,
    read_program,
    read_torchscript,
    torchscript_bytes,
)
from pawprint.deploy.predictor import Run
from pawprint.models import build_model
from pawprint.seeding import preserve_rng
from pawprint.types import Data, RunSpec

SHAPE = (3, 12, 12)
MODELS = {
    "mlp": {"model": "mlp", "mlp_widths": (8, 6), "mlp_layer_norm": (1,), "mlp_activation": "tanh", "dropout": 0.5},
    "cnn": {"model": "cnn", "cnn_widths": (4, 6), "cnn_grid": 3, "cnn_hidden": (5,), "dropout": 0.5},
    "resnet18": {"model": "resnet18", "dropout": 0.5},
}


def standardized(spec: RunSpec, data: Data) -> Standardized:
    """Of random weights, with the running statistics that some batches have left in it."""
    with preserve_rng():
        torch.manual_seed(1)
        network = build_model(spec, data).train()
        for _ in range(3):
            network(standardize(torch.rand(8, *data.image_shape), data))
        return Standardized(network, data.mean, data.std)


@pytest.fixture
def model(spec: RunSpec, data: Data) -> Standardized:
    return standardized(replace(spec, **MODELS["cnn"]), data)


def run_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"pictures": images.numpy()})[0])


@pytest.mark.parametrize("name", MODELS)
def test_every_form_answers_as_the_network_does(name: str, spec: RunSpec, data: Data, tmp_path: Path) -> None:
    whole = standardized(replace(spec, **MODELS[name]), data)
    program = as_program(whole, SHAPE)
    readers: dict[str, tuple[bytes, Callable[[Path], Run]]] = {
        "a.pt2": (program_bytes(program), read_program),
        "a.onnx": (onnx_bytes(program, {}), run_onnx),
        "a.torchscript.pt": (torchscript_bytes(whole, SHAPE)[0], read_torchscript),
    }
    with torch.inference_mode():
        for file, (content, read) in readers.items():
            (tmp_path / file).write_bytes(content)
            run = read(tmp_path / file)
            for n_pictures in (1, 2, 3, 32):
                images = torch.rand(n_pictures, *SHAPE, generator=torch.Generator().manual_seed(n_pictures))
                expected = whole.network(standardize(images, data))
                assert run(images).shape == (n_pictures, 3)
                torch.testing.assert_close(run(images), expected, atol=1e-5, rtol=1e-4)


def test_the_standardization_before_a_network_is_trainings_own(model: Standardized, data: Data) -> None:
    images = torch.rand(5, *SHAPE)
    assert torch.equal(model(images), model.network(standardize(images, data)))
    assert not model.network.training


def test_an_onnx_file_is_whole_in_itself_and_says_what_it_is(model: Standardized) -> None:
    metadata = {"class_names": '["dark", "größer"]', "preprocessing": "in words"}
    content = onnx_bytes(as_program(model, SHAPE), metadata)
    read = onnx.load_from_string(content)
    onnx.checker.check_model(read, full_check=True)
    assert [(entry.domain, entry.version) for entry in read.opset_import] == [("", OPSET)]
    assert {entry.key: entry.value for entry in read.metadata_props} == metadata
    assert not any(onnx.external_data_helper.uses_external_data(tensor) for tensor in read.graph.initializer)
    (taken,), (given,) = read.graph.input, read.graph.output
    sides = [
        [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (taken, given)
    ]
    assert (taken.name, given.name) == ("pictures", "logits")
    assert sides == [["batch", 3, 12, 12], ["batch", 3]]


def test_program_and_onnx_are_the_same_bytes_twice(model: Standardized) -> None:
    once, again = ([program_bytes(p), onnx_bytes(p, {"a": "1", "b": "2"})] for p in [as_program(model, SHAPE)] * 2)
    anew = as_program(model, SHAPE)
    assert once == again == [program_bytes(anew), onnx_bytes(anew, {"a": "1", "b": "2"})]


def unpacked(content: bytes) -> bytes:
    """All of a file, of an archive all of its members, which may be compressed."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return b"".join(name.encode() + archive.read(name) for name in archive.namelist())


def test_no_file_names_a_place_of_this_machine(model: Standardized) -> None:
    program = as_program(model, SHAPE)
    files = [program_bytes(program), onnx_bytes(program, {}), torchscript_bytes(model, SHAPE)[0]]
    traced = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.trace(model, torch.zeros(2, *SHAPE)), traced)
    here = [str(Path(torch.__file__).parent).encode(), str(Path(__file__).parents[2]).encode()]
    assert any(place in unpacked(traced.getvalue()) for place in here), "as torch writes it, it does"
    assert not any(place in unpacked(content) for content in files for place in here)


def test_what_torch_says_of_torchscript_is_told_once_and_not_printed(
    model: Standardized, recwarn: pytest.WarningsRecorder
) -> None:
    _, said = torchscript_bytes(model, SHAPE)
    assert any("`torch.jit.trace` is deprecated" in line for line in said)
    assert len(said) == len(set(said))
    assert not recwarn.list
