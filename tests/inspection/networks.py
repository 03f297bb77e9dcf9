"""Networks to look into: each has something that a list of layers' names, or one hook a module, would miss."""

import torch
from torch import nn
from torch.nn import functional


class Shared(nn.Module):
    """One ReLU in three places, in place, and a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.act, self.head, self.unused = nn.ReLU(inplace=True), nn.Linear(4, 3), nn.Linear(7, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.act(self.first(images))
        x = self.act(self.second(x) + x)
        return self.head(self.act(x).mean(dim=(2, 3)))


class Attentive(nn.Module):
    """Patches as tokens; attention puts out two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        mixed, _ = self.attention(tokens, tokens, tokens)
        return self.head(functional.gelu(mixed).mean(dim=1))


class Branching(nn.Module):
    """What it computes depends on values: torch.fx cannot trace it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.conv(images)
        if x.sum() > 1e9:
            x = -x
        return self.head(x.mean(dim=(2, 3)))


class Counting(nn.Module):
    """With all that looking could change: running statistics, dropout, a buffer that counts, modes of parts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 3)
        self.register_buffer("n_calls", torch.zeros(()))
        self.n_calls: torch.Tensor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.n_calls += 1
        x = self.relu(self.norm(self.conv(images))) + torch.rand(())
        return self.head(self.block(x).mean(dim=(2, 3)))


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 12), nn.ReLU(), nn.Linear(12, 3))


def pictures(n: int = 4) -> torch.Tensor:
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))
