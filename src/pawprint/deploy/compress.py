"""Smaller models of one: what each costs in accuracy and in robustness, held against the checkpoint picture by picture.

    float32             the checkpoint as ONNX, what the int8 ones are made of
    int8                statically quantized (`quantize`)
    int8_dynamic        linear layers alone, as courses have it (`quantize`); TorchScript
    trained_on          the checkpoint, trained on as the pruned ones are: what they are to be held against
    pruned_random       weights set to zero at random, as courses have it, then trained on (`prune`)
    pruned_magnitude    the smallest weights set to zero, then trained on (`prune`)
    pruned_channels     channels taken out, then trained on (`prune`)
    student             a smaller architecture, trained by the labels alone
    student_distilled   the same with the checkpoint as its teacher (`objectives.distill`)

All but one are ONNX files that say of themselves what an exported one says, so that `pawprint predict` and `pawprint
serve` take them. Trainings are the one loop's, on train, their epoch chosen on val; calibration sees train, the choice
of layers val. Test chooses nothing; each model is asked about it as it is, darker, and turned, since a model may keep
its accuracy and lose these. Lost is what McNemar's exact test says so of, the same pictures by both models, at 5 % over
all models and conditions (Bonferroni; `pawprint.probes`). The pruned ones are held against what training on alone
makes of the checkpoint, which may be better than that; all others against the checkpoint.

Limits: one training each, so that differences between students or ways of pruning carry the noise of a seed, which is
not measured here. How fast they are is another matter than a result: `make compression` measures it.
"""

from __future__ import annotations

import copy
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pawprint.atomic import whole_folder, write_bytes
from pawprint.data.batches import in_order
from pawprint.deploy.description import Description
from pawprint.deploy.formats import Standardized, as_program, onnx_bytes, read_torchscript, torchscript_bytes
from pawprint.deploy.formats import described as with_description
from pawprint.deploy.predictor import ONNX, answers_of, from_onnx
from pawprint.deploy.prune import unmask, without_channels, without_weights, zero_share
from pawprint.deploy.quantize import dynamic_int8, static_int8
from pawprint.params import Compression
from pawprint.probes import LEVEL, altered, wilson
from pawprint.probes.brightness import darkened
from pawprint.seeding import preserve_rng
from pawprint.test_time_augmentation import Answer, turn
from pawprint.training.arithmetic import bare
from pawprint.training.evaluate import BATCH_SIZE, evaluate, log_probabilities
from pawprint.training.identity import identity
from pawprint.training.resumable import Resumable
from pawprint.training.variant import Given, train_run
from pawprint.types import Conduct, Data, RunSpec, Split

TORCHSCRIPT = ".torchscript.pt"
ZIP_LEVEL = 1  # of zlib: the fastest; the best would save little more
CHECKPOINT, TRAINED_ON = "checkpoint", "trained_on"
AS_IS, DARKER, TURNED = "as_is", "darker", "turned"  # how test is shown


@dataclass(frozen=True)
class Model:
    """One of the smaller models, written down."""

    name: str
    file: Path
    answer: Answer
    n_parameters: int
    numbers: dict[str, Any] = field(default_factory=dict)  # of how it was made
    against: str = CHECKPOINT  # the model it is held against


@dataclass(frozen=True)
class Origin:
    """What smaller models are made of."""

    network: nn.Module  # in eval mode
    description: Description
    data: Data
    compression: Compression
    conduct: Conduct

    def fitted(self, spec: RunSpec, given: Given) -> nn.Module:
        """The network of a training of `spec`, in the weights that val chose; goes on where it was killed."""
        networks = {"network": given.network, "teacher": given.teacher}
        hashes = {name: weights_hash(network) for name, network in networks.items() if network is not None}
        state = Resumable(spec, identity(spec, self.data) | hashes)
        with state.wanted(), state.held():
            training, _ = train_run(spec, self.data, self.conduct, state, given=given)
            state.forget()
        return bare(training.state.model).cpu().eval()


def compress(origin: Origin, checkpoint: Path, target: Path) -> dict[str, Any]:
    """Write the smaller models into the folder `target`; by name their numbers, the `checkpoint`'s first."""
    test, conditions = origin.data.test, shown(origin)
    answer = partial(log_probabilities, origin.network, data=origin.data)
    seen = {CHECKPOINT: {name: recognized(answer, test, show) for name, show in conditions.items()}}
    made: dict[str, tuple[Model, dict[str, float]]] = {}
    with whole_folder(target) as unfinished:
        for model in models_of(origin, unfinished):
            seen[model.name] = {name: recognized(model.answer, test, show) for name, show in conditions.items()}
            _say_accuracy(model, origin.description, float(seen[model.name][AS_IS].mean()))
            made[model.name] = model, _megabytes(model.file)
    level = LEVEL / (len(made) * len(conditions))
    numbers: dict[str, Any] = {
        CHECKPOINT: {
            "megabytes": (checkpoint / "weights.safetensors").stat().st_size / 1e6,
            "n_parameters": _n_parameters(origin.network),
            **_accuracies(seen[CHECKPOINT]),
        }
    }
    for name, (model, sizes) in made.items():
        numbers[name] = {
            **sizes,
            "n_parameters": model.n_parameters,
            **_accuracies(seen[name]),
            "against": model.against,
            **losses(seen[name], seen[model.against], level),
            **model.numbers,
        }
    return numbers


def models_of(origin: Origin, folder: Path) -> Iterator[Model]:
    """Each of the smaller models in turn, written into `folder`."""
    settings = origin.compression.settings
    float32 = _as_onnx(origin, "float32", origin.network, folder)
    yield float32
    yield _int8(origin, float32, folder)
    yield _int8_dynamic(origin, folder)
    random = partial(without_weights, percent=settings.weights_percent, which="random")
    smallest = partial(without_weights, percent=settings.weights_percent, which="smallest")
    shape = origin.data.image_shape
    channels = partial(without_channels, percent=settings.channels_percent, image_shape=shape)
    yield _pruned(origin, TRAINED_ON, copy.deepcopy, folder)
    yield _pruned(origin, "pruned_random", random, folder)
    yield _pruned(origin, "pruned_magnitude", smallest, folder)
    yield _pruned(origin, "pruned_channels", channels, folder)
    yield _student(origin, "student", Given(), folder)
    yield _student(origin, "student_distilled", Given(teacher=copy.deepcopy(origin.network)), folder)


def shown(origin: Origin) -> dict[str, Callable[[torch.Tensor], torch.Tensor] | None]:
    """How test is shown, by name: what is done to its pictures (B, C, H, W) in [0, 1]."""
    settings, fill = origin.compression.settings, list(origin.data.mean)
    darker, turned = partial(darkened, factor=settings.darker), partial(turn, angle=settings.turned, fill=fill)
    return {AS_IS: None, DARKER: darker, TURNED: turned}


def recognized(answer: Answer, split: Split, show: Callable[[torch.Tensor], torch.Tensor] | None = None) -> np.ndarray:
    """Which pictures of a split are recognized, as they are or shown otherwise, (N,) bool."""
    pictures = (images for images, _ in in_order(split, BATCH_SIZE))
    answers = answer(map(show, pictures) if show else pictures)
    return answers.argmax(dim=1).numpy() == split.labels


def weights_hash(network: nn.Module) -> str:
    """sha256 over the names, shapes and values of a state dict: of what a training was given."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _int8(origin: Origin, float32: Model, folder: Path) -> Model:
    data, settings = origin.data, origin.compression.settings
    rows = np.linspace(0, len(data.train) - 1, min(settings.calibration_pictures, len(data.train))).round().astype(int)
    file = folder / f"int8{ONNX}"

    def answers(content: bytes) -> np.ndarray:
        write_bytes(file, with_description(content, origin.description.metadata))
        return from_onnx(file)(data.val.images[:])

    int8 = static_int8(
        float32.file.read_bytes(), data.train.images[rows], answers, data.val.labels, settings.most_points_lost
    )
    write_bytes(file, with_description(int8.content, origin.description.metadata))
    numbers = {
        "left_in_float32": int8.left_out,
        "val_points_lost": int8.points_lost,
        "sensitivity": int8.divergence,
        "n_calibration": len(rows),
    }
    return Model("int8", file, from_onnx(file).answer, float32.n_parameters, numbers)


def _int8_dynamic(origin: Origin, folder: Path) -> Model:
    file, data = folder / f"int8_dynamic{TORCHSCRIPT}", origin.data
    quantized = dynamic_int8(Standardized(origin.network, data.mean, data.std))
    content, _ = torchscript_bytes(quantized, data.image_shape)
    write_bytes(file, content)
    return Model("int8_dynamic", file, answers_of(read_torchscript(file)), _n_parameters(origin.network))


def _pruned(origin: Origin, name: str, prune: Callable[[nn.Module], nn.Module], folder: Path) -> Model:
    """Pruned, trained on, and written; how it answered before it was trained on is among its numbers."""
    spec = replace(origin.compression.fine_tune, run=name)
    with preserve_rng():
        torch.manual_seed(spec.seed)  # which weights go at random
        pruned = prune(origin.network)
    before = evaluate(pruned, origin.data.test, origin.data)
    network = origin.fitted(spec, Given(network=pruned))
    unmask(network)
    numbers = {"accuracy_before_training_on": before.accuracy, "zero_share": zero_share(network)}
    made = _as_onnx(origin, name, network, folder, numbers)
    return made if name == TRAINED_ON else replace(made, against=TRAINED_ON)


def _student(origin: Origin, name: str, given: Given, folder: Path) -> Model:
    spec = replace(origin.compression.student, run=name)
    if given.teacher is not None:
        spec = replace(spec, objective="distill")
    return _as_onnx(origin, name, origin.fitted(spec, given), folder)


def _as_onnx(
    origin: Origin, name: str, network: nn.Module, folder: Path, numbers: dict[str, Any] | None = None
) -> Model:
    data, file = origin.data, folder / f"{name}{ONNX}"
    program = as_program(Standardized(network, data.mean, data.std), data.image_shape)
    write_bytes(file, onnx_bytes(program, origin.description.metadata))
    return Model(name, file, from_onnx(file).answer, _n_parameters(network), numbers or {})


def _say_accuracy(model: Model, description: Description, accuracy: float) -> None:
    """An ONNX file says how accurate it is itself, and which model it is."""
    if model.file.suffix == ONNX:
        own = replace(description, run=f"{description.run}, {model.name}", test_accuracy=accuracy)
        write_bytes(model.file, with_description(model.file.read_bytes(), own.metadata))


def _n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _megabytes(file: Path) -> dict[str, float]:
    """As it is, and as it travels: zeros, and what repeats, cost nothing there."""
    content = file.read_bytes()
    return {"megabytes": len(content) / 1e6, "megabytes_zipped": len(zlib.compress(content, ZIP_LEVEL)) / 1e6}


def _accuracies(seen: dict[str, np.ndarray]) -> dict[str, float]:
    """Shares of test, and Wilson's 95 % interval of that of test as it is."""
    low, high = wilson(int(seen[AS_IS].sum()), len(seen[AS_IS]))
    shares = {f"accuracy_{name}": float(right.mean()) for name, right in seen.items()}
    return shares | {"accuracy_low": low, "accuracy_high": high}


def losses(seen: dict[str, np.ndarray], by_other: dict[str, np.ndarray], level: float) -> dict[str, Any]:
    """In each condition the change of the share against another model's, and whether it is a loss beyond chance."""
    changes: dict[str, Any] = {}
    for name, right in seen.items():
        point = altered(0.0, right, by_other[name])
        changes[f"change_{name}"] = point.change
        changes[f"is_lost_{name}"] = point.change < 0 and point.p < level
    return changes
