"""Can the model learn one batch by heart?

Method: a fresh model trains on the same few pictures, again and again, with the training's objective and Adam over all
trainable parameters. Whatever has more parameters than pictures should learn them (A. Karpathy, "A Recipe for Training
Neural Networks", 2019: overfit one batch); one that cannot will not learn more of them. The rate is this check's own:
it asks about model, objective and labels, not about the configured optimizer. It rises linearly over `warmup_steps`,
because no one rate suits all: at 1e-3 from the first step on VGG-11 never learns, and at 1e-4 a bare CNN takes hundreds
of steps.

The pictures are the training's first, at most `batch_size`, as evenly over their classes as they come; if the first
batches hold a single class, more are drawn. Equal pictures with unequal labels can be learned by nobody: only the first
of them is used, and the others are told.

Learned is: all pictures right, and the loss below `loss_share` of what it was, or cross-entropy of the logits below
that share of ln K (a smoothed or weighted objective keeps a floor of its own). Train mode counts, or eval mode, which
is asked every 10 steps: dropout can hold train mode back, young running statistics eval mode.

Limit: learned within `max_steps`, 200. Measured with 16 pictures of 32 px, noise and drawn pets, 3 to 37 classes:

    most steps of all draws, on noise or drawn pets
    ResNet-18 4, ResNet-50 5, zero-initialized ResNet-18 21, MLP 27, MobileNetV3 29, EfficientNet 31, ViT 52,
    CNN of three convolutions with normalization 55, VGG-11 with normalization 60, the CNN without it 127 (pets: 69)

A share of 0.2 lies well below where a softmax before cross-entropy has to stop (0.45 ln K for 2 classes, and more for
more). What this does not see: a body that gets no gradient, if the head can learn the batch from its random features
(`parameter_update` sees it), and an activation behind the head that leaves each class alive by luck (`output_shape`).
"""

import math
from collections import Counter
from dataclasses import asdict, field
from dataclasses import dataclass as plain_dataclass
from itertools import islice
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional

from pawprint.checks import CheckSubject
from pawprint.checks.initial_loss import heard, logits_among
from pawprint.checks.output_shape import training_mode
from pawprint.data.batches import Batch
from pawprint.seeding import preserve_rng
from pawprint.training.evaluate import eval_mode
from pawprint.types import STRICT, Finding, PositiveInt

QUESTION = "Can the model learn one batch by heart?"
MAX_BATCHES = 50  # drawn in search of a second class
EVAL_EVERY_STEPS = 10
N_COMPARED = 4  # batches whose labels are compared between two calls
N_PATIENT_STEPS = 3  # in which a zero-initialized head, or branch, gets its first gradient
ALIKE = 1e-4  # of the largest logit: pictures whose logits differ by less are answered alike


@dataclass(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    batch_size: Annotated[int, Field(ge=2)] = 16  # pictures at most
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3  # Adam's, once it is warm
    warmup_steps: PositiveInt = 50  # over which the rate rises to it
    max_steps: PositiveInt = 200
    loss_share: Annotated[float, Field(gt=0, lt=1)] = 0.2  # of the first loss, to come below


@plain_dataclass(frozen=True)
class Moment:
    """Where the model stands before a step."""

    step: int
    rate: float
    loss: float  # the objective's
    cross_entropy: float  # of the logits, nats
    accuracy: float  # share of the batch


Stop = Literal["", "not finite", "no trainable parameter", "no graph", "no gradient", "climbs"]


@plain_dataclass
class Course:
    """How the learning went."""

    moments: list[Moment] = field(default_factory=list)
    learned_in: Literal["", "train mode", "eval mode"] = ""
    stopped: Stop = ""  # why it was of no use to go on
    n_without_gradient: int = 0  # of the trainable parameters, at the last step
    logits: torch.Tensor = field(default_factory=lambda: torch.zeros(0, 0))  # (B, K) the last in train mode

    @property
    def first(self) -> Moment:
        return self.moments[0]

    @property
    def last(self) -> Moment:
        return self.moments[-1]


def run(subject: CheckSubject, settings: Settings) -> Finding:
    """One batch, again and again; where it is not learned by heart the reading says what stands in the way."""
    with preserve_rng():
        batch, n_left_out = _one_batch(subject, settings.batch_size)
        if len(classes_of(batch).unique()) < 2:
            return _of_one_class(batch, n_left_out)
        n_changing, n_compared = _changing_labels(subject)
        course = _learn(subject, batch, settings)
    reasons = [] if course.learned_in else [_why(course)]
    if n_changing:
        what = f"{n_changing} of {n_compared} pictures come with another label when the batches are made again"
        reasons.append((what, "tie each picture to its label once, before anything is shuffled"))
    whys, remedies = ["; ".join(column) for column in zip(*reasons, strict=True)] if reasons else ("", "")
    return Finding(
        name="overfit_one_batch",
        question=QUESTION,
        numbers={
            "n_steps": course.last.step,
            "n_pictures": len(batch),
            "n_classes": len(classes_of(batch).unique()),
            "first_loss": course.first.loss,
            "last_loss": course.last.loss,
            "last_cross_entropy": course.last.cross_entropy,
            "last_accuracy": course.last.accuracy,
            "n_left_out": n_left_out,
            "n_changing_labels": n_changing,
        },
        passed=not reasons,
        limit=f"all right and the loss below {settings.loss_share:g} of the first within {settings.max_steps} steps",
        reading=_reading(course, batch, n_left_out) + (f"; {whys}" if whys else ""),
        remedy=remedies or None,
        table=tuple(asdict(moment) for moment in course.moments),
    )


def _reading(course: Course, batch: Batch, n_left_out: int) -> str:
    pictures = f"{len(batch)} pictures of {len(classes_of(batch).unique())} classes"
    if n_left_out:
        pictures += f" ({n_left_out} more are such a picture again with another label, and left out)"
    steps = f"{course.last.step} step{'s' * (course.last.step != 1)}"
    losses = f"the loss went from {course.first.loss:.3g} to {course.last.loss:.3g}"
    if course.learned_in:
        return f"{pictures} are learned by heart in {steps}, by {course.learned_in}; {losses}"
    return f"{pictures} are not learned in {steps}: {losses}, and {course.last.accuracy:.0%} are right"


def _of_one_class(batch: Batch, n_left_out: int) -> Finding:
    """Nothing can be learned: no verdict, unless it is for equal pictures with unequal labels."""
    reading = f"the first {MAX_BATCHES} batches hold pictures of class {int(classes_of(batch)[0])} alone"
    remedy = "shuffle the training set: a model taught one class after the other knows the last"
    if n_left_out:
        reading += f", but for {n_left_out} that equal one of these in every pixel and have another label"
        remedy = "look for what makes all pictures the same on their way to the model"
    return Finding(
        name="overfit_one_batch",
        question=QUESTION,
        numbers={"n_pictures": len(batch), "n_classes": 1, "n_left_out": n_left_out},
        passed=False if n_left_out else None,
        limit="at least two classes",
        reading=reading,
        remedy=remedy,
    )


# ---- why not ------------------------------------------------------------------------------------------


def _why(course: Course) -> tuple[str, str]:
    """Why the batch was not learned, and what to do; the surest reasons first."""
    if course.stopped:
        return _why_stopped(course)
    logits = course.logits
    if (logits >= 0).all() and (logits <= 1).all():
        end = "a softmax" if ((logits.sum(dim=1) - 1).abs() < 1e-3).all() else "a sigmoid"
        floor = math.log(math.e + logits.shape[1] - 1) - 1
        what = f"all outputs lie between 0 and 1, as behind {end}, so that cross-entropy stays above {floor:.2f}"
        return what, "return logits: cross-entropy has the softmax inside"
    if _are_alike(logits):
        return (
            "every picture gets the same answer: what reaches the head does not tell them apart",
            "look for a layer that lets nothing through (a bias far below 0 before a ReLU), or that cuts the gradient",
        )
    if (logits >= 0).all() and (logits == 0).any():
        return (
            f"no output is negative, and {(logits == 0).double().mean():.0%} are 0: a ReLU behind the head, whose "
            "classes at 0 learn nothing",
            "return the last layer's output as it is",
        )
    if course.n_without_gradient:
        what = f"{course.n_without_gradient} of the model's trainable parameters get no gradient"
        return what, "let each reach the loss: look for a detach or no_grad, and see `parameter_update`"
    recent = course.moments[-1 - min(20, len(course.moments) - 1)]
    if course.last.loss < 0.95 * recent.loss:
        what = f"in the last {course.last.step - recent.step} steps it still fell from {recent.loss:.3g}: slow"
        return what, "look for gradients that vanish on their way, or give the check more `max_steps`"
    return (
        "it does not fall any more",
        "look for labels that do not belong to the pictures, a loss of something else, a layer that loses the picture",
    )


def _why_stopped(course: Course) -> tuple[str, str]:
    reasons: dict[Stop, tuple[str, str]] = {
        "not finite": (
            f"the loss is {course.last.loss:g} at step {course.last.step}"
            + (", before any step" if course.last.step == 0 else f", having been {course.moments[-2].loss:.3g}"),
            "look for a division by 0, a logarithm of 0, or weights drawn too large",
        ),
        "no trainable parameter": ("no parameter is trainable", "leave requires_grad on where something is to learn"),
        "no graph": (
            "the loss hangs on no parameter: a detach, no_grad or argmax stands between",
            "let the loss be computed from the model's own output",
        ),
        "no gradient": (
            f"the gradient of every parameter is 0 in the first {N_PATIENT_STEPS} steps",
            "look for a layer that lets nothing through: a bias far below 0 before a ReLU, a product with 0",
        ),
        "climbs": (
            f"the loss falls while cross-entropy rises, to {course.last.cross_entropy:.3g}: its sign is wrong",
            "take the minus sign away",
        ),
    }
    return reasons[course.stopped]


def _are_alike(logits: torch.Tensor) -> bool:
    return bool((logits - logits.mean(dim=0)).abs().max() <= ALIKE * logits.abs().max())


# ---- the batch ----------------------------------------------------------------------------------------


def classes_of(batch: Batch) -> torch.Tensor:
    """(B,) the class of each picture, the heaviest where labels are distributions."""
    return batch.labels.argmax(dim=1) if batch.labels.ndim == 2 else batch.labels


def _one_batch(subject: CheckSubject, size: int) -> tuple[Batch, int]:
    """At most `size` of the training's first pictures, and how many contradict one that was taken."""
    images, labels, n_left_out = [], [], 0
    seen: dict[bytes, int] = {}
    for batch in islice(subject.batches(), MAX_BATCHES):
        for image, label, number in zip(batch.images, batch.labels, classes_of(batch).tolist(), strict=True):
            if seen.setdefault(_content(image), number) != number:
                n_left_out += 1
                continue
            images.append(image)
            labels.append(label)
        if len(images) >= size and len(set(seen.values())) > 1:
            break
    rows = _evenly(classes_of(Batch(torch.stack(images), torch.stack(labels))).tolist(), size)
    return Batch(torch.stack([images[row] for row in rows]), torch.stack([labels[row] for row in rows])), n_left_out


def _evenly(classes: list[int], size: int) -> list[int]:
    """The rows of the first of each class, then of the second, until there are `size`; in order."""
    counts: Counter[int] = Counter()
    turns = []
    for row, number in enumerate(classes):
        turns.append((counts[number], row))
        counts[number] += 1
    return sorted(row for _, row in sorted(turns)[:size])


def _changing_labels(subject: CheckSubject) -> tuple[int, int]:
    """How many pictures come with another label when the batches are made again, of how many that come again."""
    first, again = (
        {
            _content(image): label
            for batch in islice(subject.batches(), N_COMPARED)
            for image, label in zip(batch.images, classes_of(batch).tolist(), strict=True)
        }
        for _ in range(2)
    )
    common = first.keys() & again.keys()
    return sum(first[content] != again[content] for content in common), len(common)


def _content(image: torch.Tensor) -> bytes:
    return image.contiguous().numpy().tobytes()


# ---- learning it --------------------------------------------------------------------------------------


def _learn(subject: CheckSubject, batch: Batch, settings: Settings) -> Course:
    model, n_classes = training_mode(subject.model()), len(subject.data.class_names)
    trainable = [p for p in model.parameters() if p.requires_grad]
    course = Course(stopped="" if trainable else "no trainable parameter")
    optimizer = torch.optim.Adam(trainable or [torch.zeros(0)], settings.rate, fused=True)
    n_idle = 0  # steps from the first on whose gradient was 0
    for step in range(settings.max_steps + 1):
        rate = settings.rate * min(1.0, (step + 1) / settings.warmup_steps)
        with heard(model) as calls:
            total = subject.objective(model, batch).total
        course.logits = _logits(calls, len(batch), n_classes)
        course.moments.append(_moment(step, rate, total, course.logits, batch))
        course.learned_in = _learned_in(course, model, batch, settings, n_classes)
        course.stopped = course.stopped or _no_use(course, total, n_idle)
        if course.learned_in or course.stopped:
            break
        if step < settings.max_steps:
            _step(optimizer, total, rate)
            gradients = [p.grad for p in trainable if p.grad is not None]
            course.n_without_gradient = len(trainable) - len(gradients)
            n_idle += n_idle == step and not any(gradient.any() for gradient in gradients)
    return course


def _logits(calls: list[Any], n_pictures: int, n_classes: int) -> torch.Tensor:
    logits = logits_among(calls, n_pictures)
    if logits is None:
        raise ValueError(
            f"expected the model to answer {n_pictures} pictures with logits, {(n_pictures, n_classes)}; found none: "
            "`output_shape` says more"
        )
    return logits


def _moment(step: int, rate: float, total: torch.Tensor, logits: torch.Tensor, batch: Batch) -> Moment:
    with torch.no_grad():
        cross_entropy = functional.cross_entropy(logits, batch.labels).item()
    accuracy = (logits.argmax(dim=1) == classes_of(batch)).double().mean().item()
    return Moment(step, rate, total.item(), cross_entropy, accuracy)


def _learned_in(
    course: Course, model: nn.Module, batch: Batch, settings: Settings, n_classes: int
) -> Literal["", "train mode", "eval mode"]:
    floor = settings.loss_share * math.log(n_classes)
    now = course.last
    low = now.cross_entropy < floor or 0 <= now.loss < settings.loss_share * course.first.loss
    if now.accuracy == 1 and low:
        return "train mode"
    if now.step == 0 or now.step % EVAL_EVERY_STEPS:
        return ""
    with eval_mode(model), torch.no_grad():
        logits = _logits([model(batch.images)], len(batch), n_classes)
        is_right = bool((logits.argmax(dim=1) == classes_of(batch)).all())
        return "eval mode" if is_right and functional.cross_entropy(logits, batch.labels) < floor else ""


def _no_use(course: Course, total: torch.Tensor, n_idle: int) -> Stop:
    """Why no further step will help, as far as it is certain."""
    first, now = course.first, course.last
    if not math.isfinite(now.loss):
        return "not finite"
    if not total.requires_grad:
        return "no graph"
    if now.loss < min(first.loss, 0.0) and now.cross_entropy > first.cross_entropy + math.log(2):
        return "climbs"
    return "no gradient" if n_idle >= N_PATIENT_STEPS else ""


def _step(optimizer: torch.optim.Optimizer, total: torch.Tensor, rate: float) -> None:
    optimizer.zero_grad()
    total.backward()
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
