"""Noise is each picture's own, strengths mean the same at every size, and what costs accuracy is named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torchvision.io import decode_jpeg, encode_jpeg

from pawprint.probes import ProbeSubject
from pawprint.probes.corruptions import Noise, Settings, blur, contrast, jpeg, run
from pawprint.types import Data, Finding, Split

SIDE = 24


class ByMean(nn.Module):
    """Classifies by the mean of the whole picture, which no corruption moves far."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([-1.0, 0.0, 1.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return -((images.mean(dim=(1, 2, 3))[:, None] - self.levels) ** 2) * 10


class ByTexture(ByMean):
    """Classifies by how much neighboring pixels differ: noise adds to it, blur takes from it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        roughness = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        return -((roughness[:, None] - torch.tensor([0.0, 0.25, 0.5])) ** 2) * 100


def pictures(data: Data, paint: Callable[[int], np.ndarray], n_channels: int = 3, n: int = 90) -> Data:
    """Test pictures of three classes, (SIDE, SIDE) grey values each; standardized by mean 0.4 and deviation 0.3."""
    labels = np.arange(n, dtype=np.int64) % 3
    images = np.stack([np.repeat(paint(label)[..., None], n_channels, axis=2) for label in labels]).astype(np.uint8)
    shape, mean, std = (n_channels, SIDE, SIDE), (0.4,) * n_channels, (0.3,) * n_channels
    test = Split([str(i) for i in range(n)], images, labels)
    return replace(data, test=test, image_shape=shape, mean=mean, std=std)


def flat(label: int) -> np.ndarray:
    return np.full((SIDE, SIDE), (25, 102, 178)[label])


def stripes(label: int) -> np.ndarray:
    """Of one pixel's width; their differences are 0, 0.25 and 0.5 once standardized."""
    return 102 + np.tile([-1, 1], SIDE // 2)[None, :] * np.full((SIDE, 1), (0, 9.5625, 19.125)[label])


def probe(data: Data, model: nn.Module, **settings: Any) -> Finding:
    return run(ProbeSubject("subject", data, model), Settings(**settings))


# ---- what is measured ----------------------------------------------------------------------------------


def test_a_model_that_reads_the_mean_loses_nothing(data: Data) -> None:
    finding = probe(pictures(data, flat), ByMean())
    assert finding.numbers["accuracy_mean"] == finding.numbers["accuracy_as_they_are"] == 1.0
    assert "with none of them are fewer pictures recognized beyond chance" in finding.reading
    assert finding.passed is None
    assert finding.remedy is None
    assert finding.figure is not None


def test_a_model_that_reads_texture_loses_by_noise_and_blur_and_is_told_so(data: Data) -> None:
    finding = probe(pictures(data, stripes), ByTexture())
    numbers = finding.numbers
    assert numbers["accuracy_as_they_are"] == 1.0
    assert numbers["accuracy_noise_0.12"] < 0.5
    assert numbers["accuracy_blur_3"] == pytest.approx(1 / 3)
    assert numbers["accuracy_blur_3_low"] < 1 / 3 < numbers["accuracy_blur_3_high"]
    means = [numbers[f"accuracy_mean_{name}"] for name in ("noise", "blur", "jpeg", "contrast")]
    assert numbers["accuracy_mean"] == pytest.approx(np.mean(means))
    assert numbers["accuracy_mean_noise"] == pytest.approx(
        np.mean([numbers[f"accuracy_noise_{deviation}"] for deviation in ("0.04", "0.08", "0.12")])
    )
    assert "(a guess between the classes)" in finding.reading
    assert "blur from 2 on" in finding.reading
    assert len(finding.reading) <= 500
    assert finding.remedy
    assert "blur training pictures" in finding.remedy


def test_only_what_costs_is_remedied(data: Data) -> None:
    mild = {"noise_deviations": (0.001,), "jpeg_qualities": (), "contrast_factors": ()}
    finding = probe(pictures(data, stripes), ByTexture(), blur_percent=(10.0,), **mild)
    assert finding.remedy
    assert "blur" in finding.remedy
    assert "noise" not in finding.remedy
    assert "accuracy_jpeg_80" not in finding.numbers


def test_a_loss_within_chance_is_no_loss(data: Data) -> None:
    finding = probe(pictures(data, stripes, n=3), ByTexture())
    assert finding.numbers["accuracy_mean_blur"] < 1
    assert finding.remedy is None


def test_a_least_mean_makes_it_a_verdict(data: Data) -> None:
    textured = pictures(data, stripes)
    only_blur = {"noise_deviations": (), "jpeg_qualities": (), "contrast_factors": (), "blur_percent": (10.0,)}
    failed = probe(textured, ByTexture(), min_area=0.34, **only_blur)
    assert failed.passed is False
    assert failed.limit == "mean accuracy over corruptions at least 0.34"
    assert probe(textured, ByTexture(), min_area=0.33, **only_blur).passed is True


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
def test_pictures_of_any_number_of_channels_are_corrupted(data: Data, n_channels: int) -> None:
    finding = probe(pictures(data, flat, n_channels, n=6), ByMean())
    assert finding.numbers["accuracy_mean"] == 1.0


@pytest.mark.parametrize("settings", [
    {"noise_deviations": (), "blur_percent": (), "jpeg_qualities": (), "contrast_factors": ()},
    {"noise_deviations": (0.1, 0.1)}, {"noise_deviations": (0.0,)}, {"jpeg_qualities": (101,)},
    {"jpeg_qualities": (50.5,)}, {"contrast_factors": (1.0,)}, {"blur_percent": (-1.0,)}, {"min_area": 1.5},
])  # fmt: skip
def test_settings_that_are_none_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)


# ---- what is done to pictures ---------------------------------------------------------------------------


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(7, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_noise_is_each_pictures_own_however_many_come_at_once(images: torch.Tensor) -> None:
    whole = Noise(0.1, seed=0)(images)
    in_parts = Noise(0.1, seed=0)
    assert torch.equal(whole, torch.cat([in_parts(part) for part in images.split((1, 4, 2))]))
    grey = torch.full((2, 3, SIDE, SIDE), 0.5)
    first, second = Noise(0.1, seed=0)(grey)
    assert not torch.equal(first, second)
    assert not torch.equal(whole, Noise(0.1, seed=1)(images))


def test_noise_has_the_deviation_asked_for_and_grows_from_one_draw() -> None:
    grey = torch.full((4, 3, 64, 64), 0.5)
    weak, strong = Noise(0.04, seed=0)(grey) - 0.5, Noise(0.08, seed=0)(grey) - 0.5
    assert weak.std() == pytest.approx(0.04, rel=0.02)
    assert weak.mean().abs() < 1e-3
    assert torch.allclose(2 * weak, strong, atol=1e-6)
    assert Noise(1.0, seed=0)(grey).min() == 0


def test_blur_hides_the_same_share_of_a_small_picture_as_of_a_large_one() -> None:
    def width(side: int) -> float:
        """Deviation of what one bright line becomes, as a share of the side."""
        line = torch.zeros(1, 1, side, side)
        line[..., side // 2] = 1
        profile = blur(line, percent=3.0)[0, 0, side // 2].double()
        return float((profile * (torch.arange(side) - side // 2) ** 2).sum().sqrt()) / side

    assert width(224) == pytest.approx(0.03, rel=0.01)
    assert width(32) == pytest.approx(0.03, rel=0.05)
    assert blur(torch.rand(1, 3, 8, 12), percent=20.0).shape == (1, 3, 8, 12)


def test_jpeg_is_torchvisions_picture_by_picture(images: torch.Tensor) -> None:
    pixels = (255 * images).round().to(torch.uint8)
    expected = torch.stack([decode_jpeg(encode_jpeg(picture, quality=50)) for picture in pixels])
    assert torch.equal(jpeg(images, 50), expected.float() / 255)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(jpeg(channels_last, 50), jpeg(images, 50))
    smooth = images.mean(dim=(2, 3), keepdim=True).expand(-1, -1, SIDE, SIDE)
    assert (jpeg(smooth, 100) - smooth).abs().max() < 0.02


def test_contrast_keeps_a_share_of_each_channels_spread(images: torch.Tensor) -> None:
    pale = contrast(images, 0.4)
    assert torch.allclose(pale.mean(dim=(2, 3)), images.mean(dim=(2, 3)), atol=1e-6)
    assert torch.allclose(pale.std(dim=(2, 3)), 0.4 * images.std(dim=(2, 3)), rtol=1e-4)
