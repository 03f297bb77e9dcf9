"""Does the untrained model's loss start at a blind guess?

Method: a fresh model in train mode, the training's objective, its first `n_batches` batches, no step. A model that
knows nothing should give each of K classes about the same probability, and then mean cross-entropy is ln K, whatever
the labels; class weights do not change that, since a weighted mean divides by the weights it used. To look at the first
loss is custom (A. Karpathy, "A Recipe for Training Neural Networks", 2019). The logits are listened to as the objective
calls the model, and cross-entropy is computed from them anew: so an objective at fault is told from a model at fault.
Of an objective of several terms, the one called `cross_entropy` is judged; one that is no cross-entropy, by its terms'
names and its value, gets no verdict.

Limits, measured on fresh models of torchvision (ResNet-18 and -50, VGG-11 without and with normalization, MobileNetV3,
DenseNet, ConvNeXt, Swin, ViT), an MLP and bare CNNs, at 32 px, for 2, 3, 10 and 37 classes, 5 seeds, on noise and on
drawn pets: in batches of 16 the loss lies between 0.94 ln K and ln K + 0.54 nats. The two sides are not alike:

- `max_excess_nats` is 1, nearly twice what is healthy. Logits that scatter by s cost about s²/2 nats, whatever K is: so
  the limit is a difference, and no share of ln K. 1 nat is a scatter of 1.4: a model that has decided before it has
  seen anything, and whose first steps go into forgetting. New heads on trained bodies start up to 0.6 too high where
  the features are normalized. Beyond the limit, and told, are those on a trained MLP whose features had grown (up to
  6 nats), and torchvision's EfficientNet-B0 with few classes, whose head is drawn by their number (2 to 9 nats).
- `min_share` of ln K is 0.5: nobody is right about labels never seen. Unequal classes and a head that leans to the
  frequent ones (a bias set to their frequencies, say) do start lower; so a low loss is a fault only if it rises again
  when the labels are exchanged among a batch's pictures.

What this cannot see: a softmax before cross-entropy (the loss then starts at ln K all the same), shuffled labels, and
pictures in 0 to 255 where a normalization behind the first layer takes the scale away.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional

from pawprint.checks import CheckSubject
from pawprint.checks.output_shape import training_mode
from pawprint.data.batches import Batch
from pawprint.seeding import preserve_rng
from pawprint.types import STRICT, Finding, PositiveInt

QUESTION = "Does the untrained model's loss start at a blind guess?"
SAY_NOTHING = {"loss", "total", "total_loss"}  # names of terms that leave open which loss it is
MIN_PICTURES = 32  # of fewer the loss is luck: of 8 it was measured down to 0.55 ln K
SAME = 0.02  # relative: two ways to compute a loss agree
MUCH_LEAD = 1.0  # nats by which a head's bias prefers a class, from which on it is to blame
FAR_FROM_STANDARD = 5.0  # mean or standard deviation of pictures that were to have 0 and 1


@dataclass(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    n_batches: PositiveInt = 4  # of the training's first; more where they hold fewer than MIN_PICTURES together
    max_excess_nats: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0  # above ln K
    min_share: Annotated[float, Field(gt=0, lt=1)] = 0.5  # of ln K


@plain_dataclass(frozen=True)
class Answers:
    """What the first batches' logits say by themselves; losses in nats, one a batch."""

    cross_entropy: torch.Tensor  # (n_batches,)
    exchanged: torch.Tensor  # (n_batches,) the same with the labels exchanged among the pictures, mean over all ways to
    negative_logit: torch.Tensor  # (n_batches,) what nll_loss makes of logits: minus the right class's
    accuracy: float  # share of the pictures that are right
    n_outputs: int
    scatter: float  # standard deviation of a picture's logits over the classes, root mean square over pictures


@plain_dataclass(frozen=True)
class Bias:
    """The last parameter that has one number a class."""

    name: str
    lead: float  # by how much the largest is above the mean
    favorite: int  # the class that has it


@plain_dataclass(frozen=True)
class Start:
    """What the first batches gave."""

    losses: torch.Tensor  # (n_batches,) the objective's
    sizes: torch.Tensor  # (n_batches,)
    answers: Answers | None  # None: no logits of one a class to listen to, or no class numbers to hold them against
    picture_mean: float
    picture_std: float
    parts: tuple[str, ...]  # what the objective calls its terms
    bias: Bias | None  # None: no parameter with one number a class

    @property
    def loss(self) -> float:
        return self.losses.mean().item()

    @property
    def cross_entropy(self) -> float:
        return self.answers.cross_entropy.mean().item() if self.answers else math.nan

    @property
    def is_cross_entropy(self) -> bool:
        """Whether ln K is to be expected: by what the objective calls its terms, or by its value."""
        says_nothing = set(self.parts) <= SAY_NOTHING
        named = says_nothing or any("cross_entropy" in part or "nll" in part for part in self.parts)
        return named or (self.answers is not None and _same(self.losses, self.answers.cross_entropy))


def run(subject: CheckSubject, settings: Settings) -> Finding:
    """The untrained loss against that of a blind guess; the reading says what makes the difference."""
    with preserve_rng():
        start = _start(subject, settings.n_batches)
    # A head of another width guesses among its outputs; that it has another is output_shape's to say.
    n_classes = start.answers.n_outputs if start.answers else len(subject.data.class_names)
    log_k = math.log(n_classes)
    low, high = settings.min_share * log_k, log_k + settings.max_excess_nats
    passed, why, remedy = _judge(start, low, high, subject.data.class_names)
    told = f"the untrained loss is {start.loss:.4g}, a blind guess among {n_classes} classes would be {log_k:.4g}"
    return Finding(
        name="initial_loss",
        question=QUESTION,
        numbers={
            "loss": start.loss,
            "blind_loss": log_k,
            "excess_nats": start.loss - log_k,
            "cross_entropy": start.cross_entropy,
            "accuracy": start.answers.accuracy if start.answers else math.nan,
            "logit_std": start.answers.scatter if start.answers else math.nan,
            "picture_mean": start.picture_mean,
            "picture_std": start.picture_std,
            "n_batches": len(start.losses),
        },
        passed=passed,
        limit=f"{low:.3g} to {high:.3g} ({settings.min_share:g} ln K to ln K + {settings.max_excess_nats:g})",
        reading=f"{told}; {why}" if why else told,
        remedy=remedy,
    )


def _judge(start: Start, low: float, high: float, class_names: list[str]) -> tuple[bool | None, str, str | None]:
    """The verdict, why, and what to do."""
    if not start.losses.isfinite().all():
        return (False, *_not_finite(start))
    slip = _slip(start, start.answers) if start.answers else None
    if not start.is_cross_entropy and slip is None:
        named = ", ".join(start.parts)
        why = f"the objective is no cross-entropy ({named}), which of the same logits is {start.cross_entropy:.4g}"
        return None, why, None
    if low <= start.loss <= high:
        return True, "", None
    if slip:
        return (False, *slip)
    if low <= start.cross_entropy <= high:
        why = f"cross-entropy of the same logits is {start.cross_entropy:.4g}: the objective adds to it or weighs it"
        return False, why, "look into the objective: its terms, their weights and signs"
    if start.loss > high:
        return (False, *_too_high(start, class_names))
    if start.answers and start.answers.exchanged.mean() < low:
        return True, "lower, as the classes are unequal and the head leans to the frequent ones", None
    return (False, *_too_low(start, start.answers.n_outputs if start.answers else len(class_names)))


# ---- why ----------------------------------------------------------------------------------------------


def _not_finite(start: Start) -> tuple[str, str]:
    n = int((~start.losses.isfinite()).sum())
    why = f"it is not finite in {n} of the first {len(start.losses)} batches"
    if not math.isfinite(start.picture_std):
        return f"{why}: the pictures are not either", "look for a standard deviation of 0 in the standardization"
    if math.isfinite(start.cross_entropy):
        why += f", although cross-entropy of the same logits is {start.cross_entropy:.4g}"
        return why, "look into the objective: a logarithm of 0, a division by an empty class"
    return f"{why}: the logits are not either", "look for weights never set, a division by 0, a logarithm of 0"


def _slip(start: Start, answers: Answers) -> tuple[str, str] | None:
    """The known ways to miss the mean cross-entropy of good logits; None for none of them."""
    losses, sizes, own = start.losses, start.sizes, answers.cross_entropy
    size, mean = sizes.mean().item(), start.cross_entropy
    if size > 1 and _same(losses, sizes * own):
        why = f"it is the batch size, {size:g}, times {mean:.4g}: summed over the batch, not averaged"
        return why, "average over the batch (reduction='mean'), or every rate means that many times as much"
    if size > 1 and _same(losses, own / sizes):
        return f"it is {mean:.4g} over the batch size, {size:g}: averaged twice", "divide by the batch size once"
    if _same(losses, -own):
        return "it is cross-entropy with the wrong sign: training would climb", "take the minus sign away"
    if _same(losses, answers.negative_logit):
        why = f"it is minus the right class's logit, where cross-entropy is {mean:.4g}: nll_loss on logits"
        return why, "use cross_entropy, or log_softmax before nll_loss"
    return None


def _too_high(start: Start, class_names: list[str]) -> tuple[str, str]:
    if max(abs(start.picture_mean), start.picture_std) > FAR_FROM_STANDARD:
        found = f"mean {start.picture_mean:.3g}, standard deviation {start.picture_std:.3g}"
        why = f"the pictures come in without standardization ({found}; expected about 0 and 1)"
        return why, "bring pixels into [0, 1], then subtract the mean and divide by the standard deviation"
    if start.bias and start.bias.lead > MUCH_LEAD:
        favorite = class_names[start.bias.favorite]
        why = f"before any training {start.bias.name} favors {favorite} by {start.bias.lead:.3g} above the mean"
        return why, "start the head's bias at 0, or at the logarithms of the classes' frequencies"
    found = f": a picture's logits scatter by {start.answers.scatter:.3g}, expected at most 1" if start.answers else ""
    why = f"the model decides before it has learned anything{found}"
    return why, "draw smaller initial weights, the head's first, or normalize what reaches it"


def _too_low(start: Start, n_classes: int) -> tuple[str, str]:
    if start.loss < 0:
        return "a cross-entropy is never negative", "look into the objective: a sign, or a term that is not bounded"
    right = f", and {start.answers.accuracy:.0%} are right (a guess: {1 / n_classes:.0%})" if start.answers else ""
    why = f"the untrained model knows labels it has not seen{right}: a head that is trained, or labels that leak"
    return why, "draw the head anew, or look for what gives the label away (a mark, a border, a size, a color)"


# ---- measuring ----------------------------------------------------------------------------------------


def _start(subject: CheckSubject, n_batches: int) -> Start:
    model = training_mode(subject.model())
    batches, losses, outputs, parts = [], [], [], {}
    with torch.no_grad():
        for batch in _first(subject, n_batches):
            with heard(model) as calls:
                terms = subject.objective(model, batch)
            parts = terms.parts
            # Of several terms it is the cross-entropy that starts at ln K.
            losses.append(terms.total if len(parts) < 2 else parts.get("cross_entropy", terms.total))
            outputs.append(logits_among(calls, len(batch)))
            batches.append(batch)
    pixels = torch.cat([batch.images.double().flatten() for batch in batches])
    logits = [z.double() for z in outputs if z is not None]
    has_numbers = all(batch.labels.ndim == 1 and not batch.labels.is_floating_point() for batch in batches)
    return Start(
        losses=torch.stack(losses).double(),
        sizes=torch.tensor([len(batch) for batch in batches], dtype=torch.float64),
        answers=_answers(logits, [b.labels for b in batches]) if has_numbers and len(logits) == len(batches) else None,
        picture_mean=pixels.mean().item(),
        picture_std=pixels.std().item(),
        parts=tuple(parts),
        bias=_bias(model, len(subject.data.class_names)),
    )


def _first(subject: CheckSubject, n_batches: int) -> Iterator[Batch]:
    """The training's first batches, more where they are small."""
    n_pictures = 0
    for number, batch in enumerate(subject.batches()):
        if number >= n_batches and n_pictures >= MIN_PICTURES:
            return
        n_pictures += len(batch)
        yield batch


def _answers(logits: list[torch.Tensor], labels: list[torch.Tensor]) -> Answers:
    """Of each batch's logits (B, K) and labels (B,)."""
    right = torch.cat([z.argmax(dim=1) == y for z, y in zip(logits, labels, strict=True)])
    return Answers(
        cross_entropy=torch.stack([functional.cross_entropy(z, y) for z, y in zip(logits, labels, strict=True)]),
        exchanged=torch.stack([-z.log_softmax(1).mean(0)[y].mean() for z, y in zip(logits, labels, strict=True)]),
        negative_logit=torch.stack([functional.nll_loss(z, y) for z, y in zip(logits, labels, strict=True)]),
        accuracy=right.double().mean().item(),
        n_outputs=logits[0].shape[1],
        scatter=torch.cat(logits).std(dim=1, correction=0).square().mean().sqrt().item(),
    )


def _bias(model: nn.Module, n_classes: int) -> Bias | None:
    fitting = [(name, p.detach()) for name, p in model.named_parameters() if p.shape == (n_classes,)]
    if not fitting:
        return None
    name, numbers = fitting[-1]
    return Bias(name, (numbers.max() - numbers.mean()).item(), int(numbers.argmax()))


@contextmanager
def heard(model: nn.Module) -> Iterator[list[Any]]:
    """What the model answers inside the block, call after call."""
    calls: list[Any] = []
    hook = model.register_forward_hook(lambda _module, _inputs, output: calls.append(output))
    try:
        yield calls
    finally:
        hook.remove()


def logits_among(calls: list[Any], n_pictures: int) -> torch.Tensor | None:
    """The first call's logits (n_pictures, any width), alone or among others in a tuple or dict."""
    if not calls:
        return None
    first = calls[0]
    among = list(first.values()) if isinstance(first, dict) else first if isinstance(first, tuple | list) else [first]
    return next((z for z in among if isinstance(z, torch.Tensor) and z.ndim == 2 and len(z) == n_pictures), None)


def _same(losses: torch.Tensor, others: torch.Tensor) -> bool:
    return bool(torch.allclose(losses, others, rtol=SAME, atol=1e-6))
