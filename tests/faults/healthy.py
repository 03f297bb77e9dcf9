"""A sound work as `pawprint audit` is given it: drawn pets of four breeds, a small network, its trained weights.

faults.py plants a fault by appending to a copy of this file. `python healthy.py` trains, and writes the weights.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import nn
from torch.utils.data import DataLoader, Dataset

from pawprint.data.sources.procedural import BREEDS, draw_pet

MODEL = "cnn"  # cnn | resnet | mlp
SEED = 0  # of pictures and weights
SIDE = 32
KINDS = BREEDS[::9][:4]
N_CLASSES = len(KINDS)
PER_CLASS = {"train": 100, "val": 30, "test": 50}
LR = {"cnn": 2e-3, "resnet": 2e-3, "mlp": 1e-3}[MODEL]
EPOCHS = {"cnn": 8, "resnet": 8, "mlp": 10}[MODEL]
WEIGHTS = Path(__file__).with_name(f"{MODEL}-{SEED}.pt")
PICTURES = Path(__file__).with_name(f"pictures-{SEED}.npz")


class Pets(Dataset):
    """Pictures (N, 32, 32, 3) uint8 as tensors (3, 32, 32), normalized, and their labels."""

    classes = tuple(kind.name for kind in KINDS)

    def __init__(self, images, labels, mean, std):
        self.images, self.labels = images, labels
        self.mean, self.std = (np.asarray(values, dtype=np.float32) for values in (mean, std))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        pixels = self.images[index].astype(np.float32) / 255
        return torch.from_numpy((pixels - self.mean) / self.std).permute(2, 0, 1), int(self.labels[index])


def photograph(kind, index):
    """A drawn pet, exposed as a camera would: from black to white."""
    drawn = draw_pet(kind, seed=SEED, index=index, pixels=SIDE)
    return np.asarray(ImageOps.autocontrast(Image.fromarray(drawn)))


def pixels(part):
    """A part's pictures and labels, drawn once."""
    if not PICTURES.exists():
        drawn, first = {}, 0
        for name, n in PER_CLASS.items():
            drawn[name] = np.stack([photograph(kind, index) for index in range(first, first + n) for kind in KINDS])
            first += n
        np.savez(PICTURES, **drawn)
    images = np.load(PICTURES)[part]
    return images, np.arange(len(images)) % N_CLASSES


def statistics():
    """Mean and standard deviation of train's channels, of pixels from 0 to 1."""
    images, _ = pixels("train")
    return images.mean(axis=(0, 1, 2)) / 255, images.std(axis=(0, 1, 2)) / 255


def get_dataset():
    """Train, val and test."""
    return tuple(Pets(*pixels(part), *statistics()) for part in PER_CLASS)


def get_test_set():
    """What the trained model is tested on."""
    return get_dataset()[2]


class ConvNet(nn.Module):
    """Three convolutions with batch normalization, two fully connected layers."""

    def __init__(self, n_classes=N_CLASSES):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.norm2 = nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.conv3, self.norm3 = nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.fc1, self.fc2 = nn.Linear(32 * 16, 32), nn.Linear(32, n_classes)

    def features(self, x):
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        x = F.max_pool2d(F.relu(self.norm3(self.conv3(x))), 2)
        return x.flatten(1)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(self.features(x))))


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(n_in, n_out, 3, 2, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.norm2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, 2, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


def network():
    """The untrained network that MODEL names."""
    if MODEL == "mlp":
        widths = [3 * SIDE * SIDE, 64, 32]
        hidden = [layer for n, m in pairwise(widths) for layer in (nn.Linear(n, m), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], N_CLASSES))
    if MODEL == "resnet":
        stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        blocks = [Block(16, 24), Block(24, 32), Block(32, 48)]
        return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, N_CLASSES))
    return ConvNet()


def get_model():
    """The network before training."""
    return network()


def get_optimizer(model):
    """At the rate that it is trained with."""
    return torch.optim.Adam(model.parameters(), LR)


def get_trained_model():
    """The network as `main` left it."""
    model = network()
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return model


def main():
    """Train by cross-entropy, every second picture mirrored; keep the weights that do best on val."""
    torch.manual_seed(SEED)
    train, val, _ = get_dataset()
    model, best = get_model(), float("inf")
    optimizer = get_optimizer(model)
    for _ in range(EPOCHS):
        model.train()
        for images, labels in DataLoader(train, 32, shuffle=True, drop_last=True):
            mirrored = torch.rand(len(images)) < 0.5
            images[mirrored] = images[mirrored].flip(3)
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            images, labels = next(iter(DataLoader(val, len(val))))
            loss = F.cross_entropy(model(images), labels).item()
        if loss < best:
            best = loss
            torch.save(model.state_dict(), WEIGHTS)


if __name__ == "__main__":
    main()
