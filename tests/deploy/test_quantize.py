"""int8: near float32 where nothing speaks against it; a layer that does not bear it is found and left out."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from pawprint.data.batches import unit_range
from pawprint.deploy.description import INPUT
from pawprint.deploy.formats import Standardized, as_program, onnx_bytes
from pawprint.deploy.quantize import Answers, dynamic_int8, layers_of, static_int8
from pawprint.training.loop import run
from pawprint.training.variant import set_up
from pawprint.types import Data, RunSpec

LAYERS = ["0.0", "0.3", "1.0", "2"]


@pytest.fixture
def network(data: Data, spec: RunSpec) -> nn.Module:
    """A small network that knows its pictures."""
    own = replace(spec, model="cnn", cnn_widths=(16, 16), cnn_hidden=(16,), epochs=8, lr=5e-3, random_crop_percent=0.0)
    training = set_up(own, data)
    run(training, lambda row, step: None, lambda row, step: None, lambda: None, 1e9)
    assert training.best.val["accuracy"] > 0.9
    network = training.evaluated
    network.load_state_dict(training.best.weights)
    return network.eval()


def as_onnx(network: nn.Module, data: Data) -> bytes:
    return onnx_bytes(as_program(Standardized(network, data.mean, data.std), data.image_shape), {})


def answers_to_val(data: Data) -> Answers:
    import onnxruntime

    def answers(content: bytes) -> np.ndarray:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (logits,) = session.run(None, {INPUT: unit_range(data.val.images[:]).contiguous().numpy()})
        return torch.from_numpy(logits).softmax(dim=1).numpy()

    return answers


def in_float32(content: bytes) -> set[str]:
    """Layers whose weights an ONNX file has as they were; quantized ones have another name."""
    return set(layers_of(content))


def test_a_healthy_network_is_quantized_whole_and_answers_nearly_the_same(network: nn.Module, data: Data) -> None:
    model, answers = as_onnx(network, data), answers_to_val(data)
    found = static_int8(model, data.train.images[:32], answers, data.val.labels, most_points_lost=0.0)
    assert found.left_out == []
    assert found.divergence == {}
    assert in_float32(found.content) == set()
    assert len(found.content) < len(model)
    np.testing.assert_allclose(answers(found.content), answers(model), atol=0.1)


def test_layers_are_named_as_the_network_names_them(network: nn.Module, data: Data) -> None:
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert list(layers_of(as_onnx(network, data))) == names


def test_a_layer_that_does_not_bear_it_is_found_and_left_out(network: nn.Module, data: Data) -> None:
    """Planted: a unit that no picture of val needs is huge, so that eight bits say nothing of the others beside it."""
    victim = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    name = next(name for name, module in network.named_modules() if module is victim)
    spoil(victim)
    model, answers = as_onnx(network, data), answers_to_val(data)
    before = (answers(model).argmax(axis=1) == data.val.labels).mean()
    assert before > 0.9, "in float32 it is as good as ever"
    found = static_int8(model, data.train.images[:32], answers, data.val.labels, most_points_lost=1.0)
    assert found.left_out == [name]
    assert max(found.divergence, key=lambda layer: found.divergence[layer]) == name
    assert found.points_lost <= 1.0
    assert in_float32(found.content) == {name}


def spoil(layer: nn.Linear) -> None:
    """An offset that is the same for every class cancels in the softmax, and fills the range of what is quantized."""
    with torch.no_grad():
        layer.bias += 1e4


def test_calibration_sees_what_it_is_given_and_gives_the_same_bytes_again(network: nn.Module, data: Data) -> None:
    model, answers = as_onnx(network, data), answers_to_val(data)
    made = [
        static_int8(model, pictures, answers, data.val.labels, most_points_lost=100.0).content
        for pictures in (data.train.images[:32], data.train.images[:32], data.train.images[:32] // 4)
    ]
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_dynamic_int8_is_of_linear_layers_alone(network: nn.Module, data: Data) -> None:
    model = Standardized(network, data.mean, data.std)
    quantized = dynamic_int8(model)
    kinds = {type(module).__module__ for module in quantized.modules() if type(module).__name__ == "Linear"}
    assert kinds == {"torch.ao.nn.quantized.dynamic.modules.linear"}
    assert sum(isinstance(module, nn.Conv2d) for module in quantized.modules()) == 2
    pictures = unit_range(data.val.images[:])
    with torch.inference_mode():
        torch.testing.assert_close(quantized(pictures).softmax(1), model(pictures).softmax(1), atol=0.05, rtol=0)
    assert onnx.load_from_string(as_onnx(network, data)).graph.node, "and the network itself can still be exported"
