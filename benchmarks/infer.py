"""What answering a folder of pictures costs against the loops that people write for it.

Ours: `predict_table`, behind `pawprint predict FOLDER`: pictures that cannot be used become rows that say why, the rest
goes through the model in batches; once from a checkpoint and once from its ONNX file. Theirs: the same ResNet-18 in
eager torch, a picture opened with PIL, transformed and asked by itself under no_grad; and the same files through an
ImageFolder and a DataLoader with 4 workers. The model is opened before in theirs, anew in ours, as the command does.
One thread each; the 4 workers are processes beside it. Ours does not use them: a folder is answered in one process.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.pictures import BATCH_SIZE, draw, train_folder
from benchmarks.ratio import Comparison, in_turn, timed
from benchmarks.serve import untrained
from benchmarks.threads import on_threads
from pawprint.predict import predict_table
from pawprint.trained_model import Opened, open_model

N_PICTURES = 160
PIXELS = 64  # side of what the model sees
WORKERS = 4
REPEATS = 5
LOOP, LOADER = "PIL, one by one", f"ImageFolder, {WORKERS} workers"


def run() -> list[Comparison]:
    """A checkpoint and an ONNX file against both loops."""
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder), N_PICTURES, PIXELS, REPEATS)


def compare(folder: Path, n_pictures: int, pixels: int, repeats: int) -> list[Comparison]:
    models = dict(zip(("checkpoint", "ONNX file"), untrained(folder / "models", pixels), strict=True))
    draw(folder / "fetch", n_pictures)
    pictures = train_folder(folder / "fetch")
    opened = open_model(models["checkpoint"])
    works: dict[str, Callable[[], list[str]]] = {name: partial(ours, model, pictures) for name, model in models.items()}
    works |= {LOOP: one_by_one(opened, pictures), LOADER: in_batches(opened, pictures)}
    seconds = in_turn({name: on_threads(1, timed(work)) for name, work in works.items()}, repeats)
    return [
        Comparison(f"infer, {n_pictures} pictures, {pixels} px, {model}", theirs, seconds[model], seconds[theirs])
        for model in models
        for theirs in (LOOP, LOADER)
    ]


def ours(model: Path, pictures: Path) -> list[str]:
    """The likeliest class of each picture, by name."""
    return [row.answers[0][0] for row in predict_table([pictures], str(model), top=1)]


def one_by_one(opened: Opened, folder: Path) -> Callable[[], list[str]]:
    """The loop of most notebooks."""
    transform = _transform(opened)

    def answer() -> list[str]:
        answers = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            image = transform(Image.open(path).convert("RGB"))
            with torch.no_grad():
                answers.append(opened.trained.class_names[int(opened.network(image[None]).argmax())])
        return answers

    return answer


def in_batches(opened: Opened, folder: Path) -> Callable[[], list[str]]:
    """The loop of those who know of DataLoader."""
    loader: DataLoader[Any] = DataLoader(
        ImageFolder(str(folder), _transform(opened)), BATCH_SIZE, num_workers=WORKERS, persistent_workers=True
    )
    network: nn.Module = opened.network

    def answer() -> list[str]:
        with torch.no_grad():
            best = torch.cat([network(images).argmax(dim=1) for images, _ in loader])
        return [opened.trained.class_names[k] for k in best.tolist()]

    return answer


def _transform(opened: Opened) -> v2.Compose:
    data = opened.data
    pixels = data.image_shape[1]
    return v2.Compose([
        v2.Resize(pixels), v2.CenterCrop(pixels), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(data.mean, data.std),
    ])  # fmt: skip
