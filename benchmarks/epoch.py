"""What an epoch costs against the patterns that training scripts have, on two threads of the processor each.

Ours: the loop over prepared arrays (decoded once, memory-mapped), flips and crops of whole batches, channels last, a
fused Adam, gradient norms and a row of history a step; batches are made by the training itself (`workers: 0`, as in the
graph) and, as a second row, ahead by a worker. Theirs, each with ResNet-18 on the same files, decoded anew in every
epoch, with 4 workers that stay, NCHW and fp32:

- the ordinary pattern: ImageFolder, PIL, Resize, RandomCrop, mirror, ToTensor, Normalize; Adam; the loss read at each
  step;
- as torchvision's reference script has it (references/classification, its preset for training): RandomResizedCrop,
  mirror, SGD with momentum, loss, accuracy at 1 and 5 and rate read each step into smoothed meters;
- as timm's script has it: `create_dataset`, `create_loader` with its defaults for training (RandomResizedCrop,
  mirror, color jitter; a whole batch normalized at once), `create_model`, `create_optimizer_v2`, the loss read at
  each step.

And bare steps on batches in memory, which are the limit: ours against them, and they against the ordinary pattern.
Each in a process of its own, as people run them.

Neither's lines are here, only what they do. Validation is not counted. `study` says what the machine does when two
trainings are wanted, which is what the graph has it do.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import timm.data
import timm.models
import timm.optim
import torch
from torch import nn
from torch.nn import functional
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.transforms import v2

from benchmarks.apart import Apart, apart
from benchmarks.pictures import BATCH_SIZE, N_CLASSES, draw, loader_of, ordinary_loader, prepared, train_folder
from benchmarks.ratio import Comparison, Work, in_turn, timed
from benchmarks.step import TimedBatches, bare_step, our_epoch
from benchmarks.threads import threads
from pawprint.data.batches import TrainBatches
from pawprint.models import build_model
from pawprint.training.optimizers import build_optimizer
from pawprint.types import Data, RunSpec

Epoch = Callable[[], int]  # goes through all pictures: so many
PLACES = {64: (320, 3, 0.83), 224: (96, 2, 0.67)}  # side, pixels → pictures of an epoch, repeats, target
THREADS = min(2, os.cpu_count() or 1)
WORKERS = 4  # theirs
AHEAD = 1  # of ours, where they are made ahead


def run() -> list[Comparison]:
    """Ours with and without a worker against each pattern, at each size."""
    rows = []
    for pixels, (n_train, repeats, target) in PLACES.items():
        with tempfile.TemporaryDirectory() as folder:
            fetched = Path(folder) / "fetch"
            draw(fetched, n_train)
            rows += compare(pixels, fetched, repeats, target)
    return rows


def compare(pixels: int, fetched: Path, repeats: int, target: float | None = None) -> list[Comparison]:
    """Against the ordinary pattern twice, ours with and without a worker; then ours without against the others."""
    data = prepared(fetched, pixels)
    with ExitStack() as running:

        def started(make: Callable[..., Any], *arguments: object) -> Apart:
            return running.enter_context(apart(make, fetched, pixels, *arguments))

        works = {f"ours{ahead}": started(ours, ahead) for ahead in (0, AHEAD)}
        works |= {name: started(theirs, made) for name, made in PATTERNS.items()}
        works[LIMIT] = started(theirs, bare)
        seconds = in_turn(works, repeats)
    place = f"epoch, {len(data.train)} pictures, {pixels} px"
    rows = [_row(place, "ours0", name, seconds, target) for name in PATTERNS]
    return [
        *rows,
        _row(f"{place}, {AHEAD} worker", f"ours{AHEAD}", ORDINARY, seconds, target),
        _row(place, "ours0", LIMIT, seconds, None),
        _row(f"{LIMIT}, {data.image_shape[1]} px: the limit", LIMIT, ORDINARY, seconds, None),
    ]


@contextmanager
def ours(fetched: Path, pixels: int, ahead: int = 0, n_threads: int = THREADS) -> Iterator[Work]:
    """An epoch of ours, with so many workers."""
    data = prepared(fetched, pixels)
    spec = RunSpec(
        study="bench", variant="epoch", run="epoch", seed=0, batch_size=BATCH_SIZE, accelerator="cpu",
        threads=n_threads,
    )  # fmt: skip
    yield our_epoch(spec, data, TimedBatches(data, spec, ahead), lambda row, step: None)


@contextmanager
def theirs(fetched: Path, pixels: int, made: Callable[[Path, Data], Epoch]) -> Iterator[Work]:
    """An epoch of a pattern."""
    with threads(THREADS):
        yield timed(made(train_folder(fetched), prepared(fetched, pixels)))


def bare(folder: Path, data: Data) -> Epoch:
    """As many steps on batches that are there already, with our optimizer and layout: what nobody's epoch is under."""
    spec = RunSpec(study="bench", variant="bare", run="bare", seed=0, batch_size=BATCH_SIZE, accelerator="cpu")
    batches, model = list(TrainBatches(data, spec).epoch(1)), build_model(spec, data).train()
    optimizer = build_optimizer(spec, model)
    steps = [bare_step(model, batch, optimizer) for batch in batches]

    def epoch() -> int:
        for step in steps:
            step()
        return sum(map(len, batches))

    return epoch


def ordinary(folder: Path, data: Data, n_workers: int = WORKERS) -> Epoch:
    """The pattern of most scripts."""
    model = resnet18(num_classes=N_CLASSES).train()
    loader = ordinary_loader(folder, data, n_workers)
    return partial(_epoch, model, loader, torch.optim.Adam(model.parameters()), lambda loss, *_: loss.item())


def of_reference(folder: Path, data: Data, n_workers: int = WORKERS) -> Epoch:
    """As torchvision's reference script trains."""
    transform = v2.Compose([
        v2.RandomResizedCrop(data.image_shape[1]), v2.RandomHorizontalFlip(), v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize(data.mean, data.std), v2.ToPureTensor(),
    ])  # fmt: skip
    loader = loader_of(ImageFolder(str(folder), transform), n_workers)
    model = resnet18(num_classes=N_CLASSES).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    return partial(_epoch, model, loader, optimizer, Meters().update)


def of_timm(folder: Path, data: Data, n_workers: int = WORKERS) -> Epoch:
    """As timm's script trains, with its defaults."""
    pictures = timm.data.create_dataset("", root=str(folder))
    loader = timm.data.create_loader(
        pictures, data.image_shape, BATCH_SIZE, is_training=True, mean=data.mean, std=data.std,
        num_workers=n_workers, device=torch.device("cpu"),
    )  # fmt: skip
    model = timm.create_model("resnet18", num_classes=N_CLASSES).train()
    optimizer = timm.optim.create_optimizer_v2(model, opt="sgd", lr=0.05, weight_decay=2e-5, momentum=0.9)
    return partial(_epoch, model, loader, optimizer, lambda loss, *_: loss.item())


ORDINARY, LIMIT = "ImageFolder, 4 workers", "bare steps on tensors in memory"
PATTERNS: dict[str, Callable[[Path, Data], Epoch]] = {
    ORDINARY: ordinary,
    "torchvision's reference script": of_reference,
    "timm's script": of_timm,
}


class Meters:
    """What the reference script reads at each step: smoothed values of loss and accuracy at 1 and at 5."""

    def __init__(self) -> None:
        self.seen: dict[str, list[float]] = {"loss": [], "acc1": [], "acc5": []}

    def update(self, loss: torch.Tensor, answers: torch.Tensor, labels: torch.Tensor) -> None:
        hits = answers.topk(5, dim=1).indices == labels[:, None]
        self.seen["loss"].append(loss.item())
        for n in (1, 5):
            self.seen[f"acc{n}"].append(100 * hits[:, :n].any(dim=1).float().mean().item())

    @property
    def smoothed(self) -> dict[str, float]:
        """The median of the last 20 steps."""
        return {name: float(torch.tensor(values[-20:]).median()) for name, values in self.seen.items()}


def _epoch(
    model: nn.Module,
    loader: Iterable[tuple[torch.Tensor, torch.Tensor]],
    optimizer: torch.optim.Optimizer,
    read: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Any],
) -> int:
    n_seen = 0
    for images, labels in loader:
        optimizer.zero_grad()
        answers = model(images)
        loss = functional.cross_entropy(answers, labels)
        loss.backward()
        optimizer.step()
        read(loss, answers, labels)
        n_seen += len(labels)
    return n_seen


def _row(name: str, ours: str, theirs: str, seconds: dict[str, list[float]], target: float | None) -> Comparison:
    return Comparison(name, theirs, seconds[ours], seconds[theirs], target=target)
