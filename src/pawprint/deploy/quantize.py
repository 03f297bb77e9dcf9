"""A model in 8-bit integers: a quarter of the size, and on processors with instructions for it faster.

*Static* (`static_int8`): ONNX Runtime's, on the ONNX file. Each layer's weights become int8, per output channel; what
flows between layers uint8, over ranges that are seen on pictures of train (calibration, min and max). Where that costs
more accuracy on val than is allowed, the layers are found that cost most, and left in float32, one after the other,
until it does not: partial quantization by sensitivity, after Wu et al. (arXiv 2004.09602). A layer's sensitivity is
here how far the answers move when it alone is quantized: the mean KL divergence, over val, from those of float32. Test
chooses nothing.

*Dynamic* (`dynamic_int8`): torch's `quantize_dynamic`, as courses have it: weights of linear layers alone, ranges of
their inputs taken anew from each batch. torch calls it deprecated; ONNX has no form of it, so it is TorchScript.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from pawprint.data.batches import unit_range
from pawprint.deploy.description import INPUT
from pawprint.deploy.formats import Standardized

CALIBRATION_BATCH = 32  # pictures; ranges are of all of them
OF_LAYERS = ("Conv", "Gemm", "MatMul")  # what ONNX calls the layers that have weights
Answers = Callable[[bytes], np.ndarray]  # an ONNX file → probabilities (N, K) of val


@dataclass(frozen=True)
class Int8:
    """A quantized ONNX file, and what it took."""

    content: bytes
    left_out: list[str]  # layers that stay in float32, the most sensitive first
    points_lost: float  # of val accuracy, against float32
    divergence: dict[str, float]  # layer → nats by which it alone moves the answers; empty where nobody had to ask


def static_int8(
    model: bytes, calibration: np.ndarray, answers: Answers, labels: np.ndarray, most_points_lost: float
) -> Int8:
    """`model`, an ONNX file, in int8, with as many layers left out as it takes to lose no more than that on val.

    `calibration` are pictures of train (N, H, W, C) uint8; `answers` asks a model about val, whose `labels` are (N,).
    """
    layers = layers_of(model)
    expected = answers(model)

    def attempt(left_out: Sequence[str]) -> tuple[bytes, float]:
        content = _quantized(model, calibration, [layers[name] for name in layers if name not in left_out], layers)
        return content, points_lost(expected, answers(content), labels)

    content, lost = attempt([])
    if lost <= most_points_lost:
        return Int8(content, [], lost, {})
    divergence = {
        name: _divergence(expected, answers(_quantized(model, calibration, [node], layers)))
        for name, node in layers.items()
    }
    left_out: list[str] = []
    for name in sorted(divergence, key=lambda name: -divergence[name])[:-1]:
        left_out.append(name)
        content, lost = attempt(left_out)
        if lost <= most_points_lost:
            break
    return Int8(content, left_out, lost, divergence)


def dynamic_int8(model: Standardized) -> Standardized:
    """A copy whose linear layers are torch's dynamically quantized ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated, thrice; the docstring above says it
        return torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)


def layers_of(model: bytes) -> dict[str, str]:
    """Layers with weights, by their name in the network: the name of their node in an ONNX file."""
    import onnx

    graph = onnx.load_from_string(model).graph
    weights = {tensor.name for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in OF_LAYERS and node.input[1] in weights]
    return {node.input[1].removeprefix("network.").removesuffix(".weight"): node.name for node in nodes}


def points_lost(expected: np.ndarray, found: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of probabilities (N, K) `expected` over that of `found`, in percentage points."""
    return 100 * float((expected.argmax(axis=1) == labels).mean() - (found.argmax(axis=1) == labels).mean())


class _Pictures(CalibrationDataReader):
    """Calibration's pictures in batches, as ONNX Runtime asks for them."""

    def __init__(self, pictures: np.ndarray) -> None:
        self.batches = self._batches(pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)

    def _batches(self, pictures: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(pictures), CALIBRATION_BATCH):
            images = unit_range(pictures[start : start + CALIBRATION_BATCH])
            yield {INPUT: images.contiguous().numpy()}


def _quantized(model: bytes, calibration: np.ndarray, nodes: list[str], layers: dict[str, str]) -> bytes:
    """`model` with these of its layers' nodes in int8, and what lies between them where nothing is left out."""
    others = [node for node in layers.values() if node not in nodes]
    with tempfile.TemporaryDirectory() as name:
        given, prepared, written = (Path(name) / f"{step}.onnx" for step in ("given", "prepared", "quantized"))
        given.write_bytes(model)
        quant_pre_process(given, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared, written, _Pictures(calibration), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=None if not others else nodes,
        )  # fmt: skip
        return written.read_bytes()


def _divergence(expected: np.ndarray, found: np.ndarray) -> float:
    """Mean KL(expected || found) of probabilities (N, K), nats."""
    smallest = np.finfo(np.float32).tiny
    p, q = (np.maximum(one.astype(np.float64), smallest) for one in (expected, found))
    return float((p * np.log(p / q)).sum(axis=1).mean())
