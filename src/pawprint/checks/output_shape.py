"""Does the model's output fit the labels?

Method: labels are held against the classes, part by part. A fresh model in train mode answers the training's first
batch; another in eval mode answers it as well, a single picture and an odd number of them. The answer must be one
floating-point tensor (B, number of classes), finite. A head of another width trains without an error as long as no
label lies beyond it, and then never predicts, or always may predict, classes that do not exist.

Then eval mode is asked what a shape does not show, on pictures as they are, ten times as strong, inverted, and on
noise:

- *Logits, not probabilities.* Rows that are nowhere negative and sum to 1 are a softmax's: cross-entropy applies
  another, and the loss cannot come near 0 (with K classes it stays above ln(e + K - 1) - 1). Outputs that are never
  negative come from an activation behind the head. Few classes are all positive by luck, in a fresh model even on all
  pictures: so before it is accused, a copy has the signs of its parameters drawn anew, until luck would be one in a
  million: of K honest outputs each draw leaves all positive with probability 2^-K. Log-probabilities (log_softmax) are
  no fault: softmax gives them back unchanged, so cross-entropy and accuracy are what they were, and NLL loss needs
  them. They are told.
- *The same answer twice.* Two calls that differ are random in eval mode: a dropout that does not know of it.
- *Each picture by itself.* A picture's output alone, in a batch, and in the batch with all others replaced must agree.
  Where they do not, val's score depends on how val is cut into batches. Random models are asked with equal seeds.
- *Any answer to the picture at all.* Zero-initialized heads (torchvision's ViT) answer nothing as yet: they are filled
  before they are judged. Nor does a batch-normalized network whose running statistics are still 0 and 1 if the signal
  dies on its way (MobileNetV3 under a new head): it is judged with the statistics of a batch.

Limit: no fault. `tolerance` is of the picture's largest output. Measured on torchvision's ResNet-18 and -50,
MobileNetV3, EfficientNet, DenseNet, ConvNeXt, Swin and ViT, an MLP and CNNs in float32: a picture alone and in a batch
differ by at most 1.2e-5, from rounding; batch statistics, a softmax or a mean over the batch, and mixed rows make 0.18
and more.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, NamedTuple

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from pawprint.checks import CheckSubject
from pawprint.data.batches import Batch
from pawprint.seeding import preserve_rng
from pawprint.types import STRICT, Data, Finding, PositiveInt

PARTS = ("train", "val", "test")
LUCK_BITS = 20  # that outputs are never negative is luck with a probability of 2^-this before it is an activation's
ROUNDINGS = 16  # units of the last place within which sums to 1, and answers, are equal
IGNORED_LABEL = -100  # torch's cross-entropy leaves it out
# What calling a model that does not fit raises.
ERRORS = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError)

HEAD = "give the head one output a class (torchvision: `num_classes=`, or replace the last layer)"
LABELS = "number the labels from 0 to the number of classes - 1"
LOGITS = "return the last layer's output as it is: cross-entropy has the softmax inside"
ONE_TENSOR = "let forward return one tensor of logits, (B, number of classes)"
ANY_SIZE = "let forward take any number of pictures: no squeeze, no batch size inside a view"
NEIGHBORS = "let eval mode use running statistics, and no operation reduce or mix over dimension 0"
NOT_RANDOM = "pass training=self.training to functional dropout, or use the module"
DEAD = "look for a layer that lets nothing through: a bias far below 0 before a ReLU, a product with 0"
FINITE = "look for a division, a logarithm or a scale of initial weights that leaves the numbers' range"


@dataclass(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    # Pictures, tried in eval mode beside the training's own; more than a thousand show nothing that fewer do not.
    batch_sizes: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = (1, 3)
    n_examples: PositiveInt = 4  # pictures whose outputs are looked into, each as it is and altered
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-3  # of a picture's largest output: beyond, it is another one


@plain_dataclass(frozen=True)
class Fault:
    """One thing that does not fit."""

    where: str  # labels, or the mode and the number of pictures
    what: str
    remedy: str


class Ending(NamedTuple):
    """What the outputs are, if not plain logits."""

    what: str
    is_fault: bool


@plain_dataclass(frozen=True)
class Behavior:
    """What the outputs of a model in eval mode turned out to be."""

    faults: list[Fault]
    notes: list[str]  # what is unusual, and no fault
    random_share: float = float("nan")  # difference of two identical calls, of the largest output
    neighbor_share: float = float("nan")  # the largest difference that neighbors make, likewise


@plain_dataclass(frozen=True)
class Answers:
    """What a model in eval mode says to pictures, and to the same altered."""

    inputs: torch.Tensor  # (4 n, C, H, W): n pictures as they are, ten times as strong, inverted, and n of noise
    outputs: torch.Tensor  # (4 n, outputs)
    n_real: int

    @property
    def sums_over_batch_are_1(self) -> bool:
        return _sums_to_1(self.outputs.T)


class Unfit(Exception):
    """The model gives no tensor to look into; says why."""

    def __init__(self, why: str, remedy: str, n_pictures: int) -> None:
        self.remedy, self.n_pictures = remedy, n_pictures
        super().__init__(why)


def run(subject: CheckSubject, settings: Settings) -> Finding:
    """Faults are counted and tabulated; the reading tells the first, and how many more."""
    n_classes = len(subject.data.class_names)
    with preserve_rng():
        batch = subject.batch()
        labels = _label_faults(subject.data, n_classes)
        labels += _batch_label_faults(batch, n_classes, known=any(f.where.startswith("train") for f in labels))
        in_eval, width = _eval_faults(subject, batch, settings, n_classes)
        behavior = _behavior(subject, batch, settings) if width > 0 else Behavior([], [])
        faults = _merged([*labels, *in_eval, *_train_faults(subject, batch, n_classes), *behavior.faults])
    return Finding(
        name="output_shape",
        question="Does the model's output fit the labels?",
        numbers={
            "n_faults": len(faults),
            "n_outputs": width,
            "n_classes": n_classes,
            "n_labels_out_of_range": sum(_n_outside(getattr(subject.data, part).labels, n_classes) for part in PARTS),
            "random_share": behavior.random_share,
            "neighbor_share": behavior.neighbor_share,
        },
        passed=not faults,
        limit="no fault",
        reading=_reading(faults, width, (len(batch), *settings.batch_sizes), behavior.notes),
        remedy="; ".join(dict.fromkeys(fault.remedy for fault in faults)) or None,
        table=tuple({"where": fault.where, "fault": fault.what, "remedy": fault.remedy} for fault in faults),
    )


def _reading(faults: list[Fault], width: int, sizes: Sequence[int], notes: list[str]) -> str:
    noted = "".join(f"; {note}" for note in notes)
    if not faults:
        tried = f"{', '.join(map(str, sizes[:-1]))} and {sizes[-1]}" if len(sizes) > 1 else str(sizes[0])
        return (
            f"{width} outputs for {width} classes, finite for batches of {tried}; each picture's are its own, and the "
            f"same at every call{noted}"
        )
    more = f"; and {len(faults) - 1} more fault{'s' * (len(faults) > 2)}" if len(faults) > 1 else ""
    return f"{faults[0].where}: {faults[0].what}{more}{noted}"


def _merged(faults: list[Fault]) -> list[Fault]:
    """Equal faults at several places are one."""
    places: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        places.setdefault((fault.what, fault.remedy), []).append(fault.where)
    return [Fault("; ".join(dict.fromkeys(where)), what, remedy) for (what, remedy), where in places.items()]


# ---- labels -------------------------------------------------------------------------------------------


def _label_faults(data: Data, n_classes: int) -> list[Fault]:
    faults = []
    parts = {part: np.asarray(getattr(data, part).labels) for part in PARTS}
    for part, labels in parts.items():
        n_outside = _n_outside(labels, n_classes)
        if not n_outside:
            continue
        low, high = labels.min(), labels.max()
        start = ": labels start at 1" if (low, high) == (1, n_classes) else ""
        ignored = f"; cross-entropy leaves out {IGNORED_LABEL}" if low == IGNORED_LABEL else ""
        what = f"{n_outside} of {len(labels)} are out of range, expected 0 to {n_classes - 1}"
        faults.append(Fault(f"{part}'s labels", f"{what}, found {low} to {high}{start}{ignored}", LABELS))
    found = set(np.unique(np.concatenate(list(parts.values()))).tolist())
    if not faults and n_classes > 1 and found == set(range(1, n_classes)):
        what = f"labels start at 1: none is 0, while all of 1 to {n_classes - 1} occur; output 0 stands for no picture"
        faults.append(Fault("the labels of all parts", what, LABELS))
    return faults


def _n_outside(labels: np.ndarray, n_classes: int) -> int:
    labels = np.asarray(labels)
    return int(((labels < 0) | (labels >= n_classes)).sum())


def _batch_label_faults(batch: Batch, n_classes: int, known: bool) -> list[Fault]:
    """What the training hands to the loss; `known`: the data's own labels are at fault already."""
    labels, where = batch.labels, "the labels of the training's first batch"
    if labels.is_floating_point() and labels.shape == (len(batch.images), n_classes):
        return []  # a distribution over the classes, as mixed or smoothed labels are
    if labels.dtype != torch.int64 or labels.shape != (len(batch.images),):
        found = f"{_name(labels.dtype)} {tuple(labels.shape)}"
        what = f"they are {found}, expected int64 ({len(batch.images)},): one class number a picture"
        return [Fault(where, what, "hand class numbers to the loss: `labels.long()`, `labels.squeeze(1)`")]
    if _n_outside(labels.numpy(), n_classes) and not known:
        what = f"they go from {labels.min()} to {labels.max()}, expected 0 to {n_classes - 1}"
        return [Fault(where, what, LABELS)]
    return []


# ---- shape --------------------------------------------------------------------------------------------


def _eval_faults(subject: CheckSubject, batch: Batch, settings: Settings, n_classes: int) -> tuple[list[Fault], int]:
    """Faults at each batch size, and the number of outputs: 0 where there is nothing to look into."""
    model = subject.model().eval()
    faults, width = [], 0
    for size in (len(batch), *settings.batch_sizes):
        images = batch.images[torch.arange(size) % len(batch)]
        where = f"eval mode, {_pictures(size)}"
        try:
            output = _answer(model, images)
        except Unfit as unfit:
            faults.append(Fault(where, str(unfit), unfit.remedy))
            continue
        faults += _form_faults(output, size, n_classes, where)
        if size == len(batch) and output.ndim == 2 and output.is_floating_point() and output.isfinite().all():
            width = output.shape[1]
    return faults, width


def _train_faults(subject: CheckSubject, batch: Batch, n_classes: int) -> list[Fault]:
    """A train mode that answers with more than a tensor is a fault where the objective cannot use it."""
    model = training_mode(subject.model())
    where = f"train mode, {_pictures(len(batch))}"
    try:
        return _form_faults(_answer(model, batch.images), len(batch), n_classes, where)
    except Unfit as unfit:
        why, remedy = str(unfit), unfit.remedy
    if remedy == ONE_TENSOR:
        try:
            subject.objective(training_mode(subject.model()), batch)
        except ERRORS as error:
            why += f", of which the objective can make nothing ({first_line(error)})"
        else:
            return []
    return [Fault(where, why, remedy)]


def _form_faults(output: torch.Tensor, n_rows: int, n_classes: int, where: str) -> list[Fault]:
    shape = tuple(output.shape)
    if len(shape) != 2 or shape[0] != n_rows:
        expected = f"expected {(n_rows, n_classes)}: one row a picture, one number a class"
        return [Fault(where, f"the output is {shape}, {expected}", ONE_TENSOR if len(shape) > 2 else ANY_SIZE)]
    faults = [] if shape[1] == n_classes else [Fault(where, _width_fault(shape[1], n_classes), HEAD)]
    if not output.is_floating_point():
        what = f"the output holds {_name(output.dtype)}, expected floating point: class numbers in place of logits?"
        faults.append(Fault(where, what, f"no argmax in forward; {LOGITS}"))
    elif not output.isfinite().all():
        what = f"{int((~output.isfinite()).sum())} of {output.numel()} outputs are not finite"
        faults.append(Fault(where, what, FINITE))
    return faults


def _width_fault(width: int, n_classes: int) -> str:
    what = f"the head has {width} output{'s' * (width != 1)} for {n_classes} classes"
    if width - n_classes in (-1, 1) and (width, n_classes) != (1, 2):
        what += ": off by one"
    if width == 1:
        return f"{what}: a single output is for binary cross-entropy, cross-entropy needs one a class"
    if width < n_classes:
        return f"{what}; cross-entropy raises at the first label from {width} on"
    source = "; ImageNet's head was not replaced" if width == 1000 else ""
    return f"{what}; those from {n_classes} on stand for no class{source}"


# ---- behavior in eval mode ----------------------------------------------------------------------------


def _behavior(subject: CheckSubject, batch: Batch, settings: Settings) -> Behavior:
    real = batch.images[: settings.n_examples]
    inputs = torch.cat([real, 10 * real, -real, _noise_like(real)])
    try:
        model, constant = _awake(subject, real)
        answers = Answers(inputs, _rows(model, inputs), len(real))
        by_luck = max(_differences(answers.outputs, _rows(model, inputs, seed=1), len(real)))
        is_random = by_luck > settings.tolerance
        by_neighbors = _neighbor_share(model, answers, settings.tolerance, alone=not is_random)
        ending = _ending(subject, answers)
    except Unfit as unfit:
        return Behavior([Fault(f"eval mode, {_pictures(unfit.n_pictures)}", str(unfit), unfit.remedy)], [])
    faults, notes = [], []
    if is_random:
        what = f"two identical calls differ by {_percent(by_luck)} of the largest output: random in eval mode"
        faults.append(Fault("eval mode", f"{what} (a dropout that does not know of it?)", NOT_RANDOM))
    if by_neighbors > settings.tolerance:
        faults.append(Fault("eval mode", _mixing(model, answers, by_neighbors), NEIGHBORS))
    for said, remedy in ((ending, LOGITS), (constant, DEAD)):
        faults += [Fault("eval mode", said.what, remedy)] if said and said.is_fault else []
        notes += [said.what] if said and not said.is_fault else []
    return Behavior(faults, notes, by_luck, by_neighbors)


def _neighbor_share(model: nn.Module, answers: Answers, tolerance: float, alone: bool) -> float:
    """How far a picture's output moves when all others are replaced, or left out; NaN if equal seeds answer unequally.

    Asked of the first and of the last picture. `alone`: a random model draws otherwise for another number of pictures.
    """
    inputs, outputs, n = answers.inputs, answers.outputs, answers.n_real
    if max(_differences(outputs, _rows(model, inputs), n)) > tolerance:
        return float("nan")
    share = 0.0
    for row in {0, n - 1}:
        replaced = 3 * inputs.flip(0)
        replaced[row] = inputs[row]
        share = max(share, _difference(outputs[row], _rows(model, replaced)[row]))
        if alone:
            with suppress(Unfit):  # a model that takes no single picture is at fault for that already
                share = max(share, _difference(outputs[row], _rows(model, inputs[row : row + 1])[0]))
    return share


def _mixing(model: nn.Module, answers: Answers, share: float) -> str:
    what = f"a picture's output moves by {_percent(share)} when the others in its batch are replaced or left out"
    if answers.sums_over_batch_are_1:
        return f"{what}: a softmax over dimension 0, the batch, in place of dimension 1"
    stateless = [name for name, m in model.named_modules() if isinstance(m, _BatchNorm) and m.running_mean is None]
    if stateless:
        more = f" and {len(stateless) - 1} more" if len(stateless) > 1 else ""
        return f"{what}: {stateless[0]}{more} keeps no running statistics (track_running_stats=False)"
    return f"{what}: batch statistics, a mean or a softmax over dimension 0, or a reshape that mixes pictures"


def _ending(subject: CheckSubject, answers: Answers) -> Ending | None:
    """What was done to the outputs behind the head; None for plain logits."""
    outputs = answers.outputs[answers.outputs.isfinite().all(dim=1)].double()
    n_outputs = outputs.shape[1]
    if n_outputs < 2 or answers.sums_over_batch_are_1:
        return None
    if _sums_to_1(outputs):
        what = "they are nowhere negative and each picture's sum to 1, so a softmax ends the model"
        return Ending(f"the outputs are probabilities: {what}; {_applied_twice(n_outputs)}", True)
    if _sums_to_1(outputs.exp()):
        what = "a log_softmax ends the model, which neither cross-entropy nor NLL loss minds"
        return Ending(f"the outputs are log-probabilities: {what}", False)
    return _activation(subject, answers.inputs, n_outputs) if (outputs >= 0).all() else None


def _activation(subject: CheckSubject, inputs: torch.Tensor, n_outputs: int) -> Ending | None:
    """Which activation stands behind the head, if other signs of the parameters do not make any output negative."""
    model = subject.model().eval()
    chance = torch.Generator().manual_seed(0)
    seen = []
    for _ in range(max(2, -(-LUCK_BITS // n_outputs))):
        _redraw_signs(model, chance)
        outputs = _rows(model, inputs)
        seen.append(outputs[outputs.isfinite().all(dim=1)])
        if (seen[-1] < 0).any():
            return None
    outputs = torch.cat(seen)
    if not outputs.any():
        return None  # nothing comes through, whatever the signs: the model is dead, and that is said
    never = "no output is negative, on any picture and for any signs of the parameters"
    if (outputs == 0).any():
        what = f"{never}, and {(outputs == 0).double().mean():.0%} are 0: a ReLU stands behind the head"
        return Ending(f"{what}, and a class whose output is 0 learns nothing from the picture", True)
    if outputs.max() <= 1:
        what = f"{never}, and none above 1: a sigmoid ends the model"
        return Ending(f"{what}; {_applied_twice(n_outputs)}", True)
    return Ending(f"{never}: an activation stands behind the head (softplus, exp, abs …)", True)


def _applied_twice(n_outputs: int) -> str:
    floor = np.log(np.e + n_outputs - 1) - 1
    return f"cross-entropy applies a softmax again, and its loss stays above {floor:.2f}"


def _redraw_signs(model: nn.Module, chance: torch.Generator) -> None:
    """Each parameter's magnitude stays; those that are 0 throughout get small values."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.any():
                signs = 2 * torch.randint(0, 2, parameter.shape, generator=chance) - 1
                parameter.mul_(signs.to(parameter))
            else:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=chance))


def _awake(subject: CheckSubject, real: torch.Tensor) -> tuple[nn.Module, Ending | None]:
    """A model in eval mode that answers pictures differently, and why the fresh one does not, if so.

    Answering alike is a fault unless training mends it by itself.
    """
    model = subject.model().eval()
    if _depends(model, real):
        return model, None
    settled = _with_statistics_of(real, subject.model())
    if _depends(settled, real):
        what = "eval mode answers every picture alike until the running statistics are those of pictures"
        return settled, Ending(what, False)
    at_zero = [(name, p) for name, p in settled.named_parameters() if not name.endswith("bias") and not p.any()]
    if at_zero:
        name, parameter = at_zero[-1]
        with torch.no_grad():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        if _depends(settled, real):
            what = f"{name} starts at 0, so all pictures are answered alike until the first step"
            return settled, Ending(what, False)
    return model, Ending("the output is the same for every picture, and for noise", True)


def _with_statistics_of(real: torch.Tensor, model: nn.Module) -> nn.Module:
    """The model in eval mode, with running statistics as a batch has them in place of those it starts with."""
    for module in model.modules():
        if isinstance(module, _NormBase) and module.running_mean is not None:
            module.reset_running_stats()
            module.momentum = None  # the next batch's, and nothing else
    _rows(training_mode(model), torch.cat([real, _noise_like(real)]))
    return model.eval()


def _depends(model: nn.Module, real: torch.Tensor) -> bool:
    """Whether other pictures get other outputs, in the model's mode and whatever it draws at random."""
    pictures = torch.cat([real, _noise_like(real)])
    here, there = _rows(model, pictures), _rows(model, pictures.roll(1, dims=0))
    within = ROUNDINGS * torch.finfo(here.dtype).eps
    return any(_difference(a, b) > within for a, b in zip(here, there, strict=True))


# ---- calling the model --------------------------------------------------------------------------------


def _answer(model: nn.Module, images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """The model's output in the mode it is in; equal seeds give it equal random numbers."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    try:
        with torch.no_grad():
            output = model(images)
    except ERRORS as error:
        raise Unfit(f"the model raises {first_line(error)}", ANY_SIZE, len(images)) from error
    if isinstance(output, torch.Tensor):
        return output
    held = f" of {len(output)}" if isinstance(output, dict | list | tuple) else ""
    raise Unfit(f"the output is a {type(output).__name__}{held}, expected one tensor", ONE_TENSOR, len(images))


def _rows(model: nn.Module, images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """The model's answer, one row a picture."""
    output = _answer(model, images, seed)
    if output.ndim != 2 or len(output) != len(images):
        expected = f"expected {len(images)} rows: one a picture"
        raise Unfit(f"the output is {tuple(output.shape)}, {expected}", ANY_SIZE, len(images))
    return output


def training_mode(model: nn.Module) -> nn.Module:
    """As training begins with it: parts that stand in eval mode while the whole does not stay so."""
    return model if model.training else model.train()


def _noise_like(images: torch.Tensor) -> torch.Tensor:
    return torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).to(images)


def _differences(outputs: torch.Tensor, others: torch.Tensor, n: int) -> list[float]:
    return [_difference(outputs[row], others[row]) for row in range(n)]


def _difference(output: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference between two outputs for a picture, as a share of the first's largest number."""
    if torch.equal(output, other) or not output.isfinite().all():
        return 0.0
    share = ((output - other).abs().max() / output.abs().max()).item()
    return share if np.isfinite(share) else float("inf")


def _sums_to_1(rows: torch.Tensor) -> bool:
    within = max(1e-4, ROUNDINGS * torch.finfo(rows.dtype).eps)
    return bool((rows >= 0).all() and ((rows.sum(dim=1) - 1).abs() <= within).all())


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _pictures(n: int) -> str:
    return f"{n} picture{'s' * (n != 1)}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 100 else "more than a hundredfold"
