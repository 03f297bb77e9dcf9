"""A small ResNet of bottleneck blocks (arXiv 1512.03385) for 32 x 32 pictures, with two fully connected layers."""

import torch
import torch.nn.functional as F
from torch import nn


def conv(n_in, n_out, size, stride=1):
    """A convolution and its batch normalization."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(n_out),
    )


class Bottleneck(nn.Module):
    """1x1 to `width` channels, 3x3, 1x1 to four times as many, beside a shortcut."""

    def __init__(self, n_in, width, stride):
        super().__init__()
        self.reduce = conv(n_in, width, 1)
        self.middle = conv(width, width, 3, stride)
        self.expand = conv(width, 4 * width, 1)
        same = n_in == 4 * width and stride == 1
        self.shortcut = nn.Identity() if same else conv(n_in, 4 * width, 1, stride)

    def forward(self, x):
        y = F.relu(self.reduce(x))
        y = F.relu(self.middle(y))
        return F.relu(self.expand(y) + self.shortcut(x))


class BottleneckNet(nn.Module):
    """Three stages of two blocks; `head_norm` normalizes what the first fully connected layer gives."""

    def __init__(self, n_classes=100, head_norm=False):
        super().__init__()
        self.stem = conv(3, 16, 3)
        self.stage1 = nn.Sequential(Bottleneck(16, 8, 2), Bottleneck(32, 8, 1))
        self.stage2 = nn.Sequential(Bottleneck(32, 16, 2), Bottleneck(64, 16, 1))
        self.stage3 = nn.Sequential(Bottleneck(64, 32, 2), Bottleneck(128, 32, 1))
        self.fc1 = nn.Linear(128, 64)
        self.norm = nn.BatchNorm1d(64) if head_norm else nn.Identity()
        self.fc2 = nn.Linear(64, n_classes)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = self.stage3(self.stage2(self.stage1(x)))
        x = torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)
        return self.fc2(F.relu(self.norm(self.fc1(x))))
