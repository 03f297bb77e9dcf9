"""Works as people hand them over: a Python file, its pictures and weights beside it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pawprint.data.sources.procedural import BREEDS, draw_pet

N_CLASSES = 3
N_OF_PART = {"train": 36, "val": 15, "test": 24}

PREAMBLE = """
import numpy as np, torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset, random_split
from PIL import Image

stored = np.load("pictures.npz")

def tensors(part, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    pixels = torch.from_numpy(stored[part]).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (mean, std))
    return TensorDataset((pixels - mean) / std, torch.from_numpy(stored[part + "_labels"]))
"""
DATASET = """
def get_dataset():
    return tensors("train"), tensors("val"), tensors("test")
"""
MODEL = """
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
                         nn.Flatten(), nn.Linear(128, 3))

def get_model():
    return Net()
"""
TRAINED = """
def get_trained_model():
    torch.manual_seed(0)
    model = Net()
    pixels, labels = tensors("train").tensors
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(pixels), labels)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
    return model
"""
TEST_SET = """
def get_test_set():
    return tensors("test")
"""
HEALTHY = DATASET + MODEL + TRAINED + TEST_SET

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def drawn() -> dict[str, np.ndarray]:
    """Pictures (N, 32, 32, 3) uint8 of three breeds, and labels, by part; 0 and 255 in each channel of each part."""
    drawn = {}
    for start, (part, n) in enumerate(N_OF_PART.items()):
        labels = np.arange(n, dtype=np.int64) % N_CLASSES
        images = [draw_pet(BREEDS[5 * k], seed=start, index=i, pixels=32) for i, k in enumerate(labels)]
        drawn[part], drawn[f"{part}_labels"] = np.stack(images), labels
        drawn[part][0, 0, 0], drawn[part][0, 0, 1] = 0, 255
    return drawn


@pytest.fixture
def write(tmp_path: Path, drawn: dict[str, np.ndarray]) -> Write:
    """Writes a work's file of these parts, after the preamble, into a folder of its own beside its pictures."""

    def write(*parts: str, name: str = "handed_in.py", preamble: str = PREAMBLE) -> Path:
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        np.savez(folder / "pictures.npz", **drawn)
        (folder / name).write_text(preamble + "".join(parts), encoding="utf-8")
        return folder / name

    return write
