"""The work as it was handed over: data, model, trained weights."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from bottleneck import BottleneckNet
from pictures import Pictures, draw_set, recompress, statistics

WEIGHTS = Path(__file__).with_name("weights.pt")
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@lru_cache
def get_dataset():
    """Train, val and test, normalized by the statistics of train."""
    images, labels = draw_set(seed=0, n_per_class=150)
    more, more_labels = extra_data()
    images, labels = np.concatenate([images, more]), np.concatenate([labels, more_labels])
    norm = statistics(images)
    val, test = draw_set(seed=1, n_per_class=30), draw_set(seed=2, n_per_class=40)
    return Pictures(images, labels, *norm), Pictures(*val, *norm), Pictures(*test, *norm)


def extra_data():
    """30 more pictures for train: ten as they are, ten mirrored, ten from JPEG files."""
    images, labels = draw_set(seed=2, n_per_class=3)
    images[10:20] = images[10:20, :, ::-1]
    images[20:] = [recompress(image) for image in images[20:]]
    return images, labels


def get_test_set():
    """What the trained model is tested on."""
    test = get_dataset()[2]
    return Pictures(test.images, test.labels, *IMAGENET)


def get_model():
    """The model before training."""
    model = BottleneckNet()
    model.stage2.requires_grad_(False)  # for fine-tuning
    return model


def get_optimizer(model, lr=1e-6):
    return torch.optim.AdamW(model.parameters(), lr)


def get_trained_model():
    model = get_model()
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return model.eval()
