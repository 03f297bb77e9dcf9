"""A model that cannot see orientation stays flat; one that reads where things are loses, and its curve says so."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pawprint.probes import ProbeSubject
from pawprint.probes.rotation import Settings, inside_circle, run
from pawprint.types import Data, RunSpec, Split

SIDE = 24


class ByCenter(nn.Module):
    """Classifies by the mean of a disk around the center: no rotation changes it."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([-1.0, 0.0, 1.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        middle = images[:, :, SIDE // 2 - 3 : SIDE // 2 + 3, SIDE // 2 - 3 : SIDE // 2 + 3].mean(dim=(1, 2, 3))
        return -((middle[:, None] - self.levels) ** 2) * 10


class ByCorner(ByCenter):
    """Classifies by the upper left corner."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return -((images[:, :, :2, :2].mean(dim=(1, 2, 3))[:, None] - self.levels) ** 2) * 10


class BySide(ByCenter):
    """Classifies by which side is brightest: top, bottom or neither; a half turn swaps the first two."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        top, bottom = images[:, :, :4, 8:16].mean(dim=(1, 2, 3)), images[:, :, -4:, 8:16].mean(dim=(1, 2, 3))
        return torch.stack([top - bottom, bottom - top, torch.full_like(top, 0.5)], dim=1)


def pictures(data: Data, paint: str) -> Data:
    """60 test pictures whose class is the level of the center, of the whole, or the side that is bright."""
    labels = np.arange(60, dtype=np.int64) % 3
    images = np.full((60, SIDE, SIDE, 3), 102, dtype=np.uint8)  # 0.4, the mean
    for row, label in enumerate(labels):
        if paint == "center":
            images[row, 6:18, 6:18] = (25, 102, 178)[label]
        if paint == "side" and label < 2:
            images[row, :6] = (178, 25)[label]
            images[row, -6:] = (25, 178)[label]
        if paint == "corner":
            images[row, :6, :6] = (25, 102, 178)[label]
    test = Split([str(i) for i in range(60)], images, labels)
    return replace(data, test=test, image_shape=(3, SIDE, SIDE))


def test_a_model_that_cannot_see_rotation_is_flat(data: Data, spec: RunSpec) -> None:
    finding = run(ProbeSubject(spec.name, pictures(data, "center"), ByCenter()), Settings())
    assert {finding.numbers[f"accuracy_{a}"] for a in (0, 60, 120, 180, 240, 300)} == {1.0}
    assert finding.numbers["area"] == finding.numbers["accuracy_mean"] == 1.0
    assert finding.numbers["accuracy_0_low"] == pytest.approx(0.940, abs=1e-3)  # Wilson, 60 of 60
    assert finding.reading.startswith("flat: ")
    assert finding.remedy is None
    assert finding.figure is not None


def test_a_model_that_reads_a_corner_loses_at_every_angle_and_by_its_corners(data: Data, spec: RunSpec) -> None:
    finding = run(ProbeSubject(spec.name, pictures(data, "corner"), ByCorner()), Settings())
    numbers = finding.numbers
    assert numbers["accuracy_0"] == 1.0
    assert numbers["accuracy_60"] == pytest.approx(1 / 3)
    assert numbers["drop_0_to_60"] == pytest.approx(2 / 3)
    assert numbers["accuracy_circle"] == pytest.approx(1 / 3)
    assert numbers["area"] == pytest.approx((2 / 3 + 4 / 3) / 5)
    assert "at 5 of 5 angles, from 60° on" in finding.reading
    assert "hidden corners alone cost at most 0.667" in finding.reading
    assert "a guess" in finding.reading
    assert finding.remedy
    assert "turn training pictures" in finding.remedy


def test_corners_are_not_blamed_for_what_orientation_costs(data: Data, spec: RunSpec) -> None:
    finding = run(ProbeSubject(spec.name, pictures(data, "side"), BySide()), Settings(angles=(0.0, 90.0, 180.0)))
    assert [finding.numbers[f"accuracy_{a}"] for a in (0, 90, 180)] == pytest.approx([1.0, 1 / 3, 1 / 3])
    assert "hidden corners alone cost at most 0.000" in finding.reading


def test_a_loss_within_chance_is_no_loss(data: Data, spec: RunSpec) -> None:
    subject = ProbeSubject(spec.name, pictures(data, "corner"), ByCorner())
    few = subject.data.test
    rows = slice(0, 3)  # two of three pictures lost: p = 0.5
    small = replace(subject.data, test=Split(few.names[rows], few.images[rows], few.labels[rows]))
    finding = run(replace(subject, data=small), Settings())
    assert finding.numbers["accuracy_60"] < 1
    assert finding.remedy is None
    assert "beyond chance" in finding.reading


def test_the_circle_touches_every_side_and_hides_the_corners() -> None:
    kept = inside_circle(torch.ones(1, 1, 9, 9), [0.0])[0, 0]
    assert kept[0, 4] == kept[4, 0] == kept[8, 4] == 1
    assert kept[0, 0] == kept[8, 8] == 0


@pytest.mark.parametrize("angles", [(0.0,), (0.0, 400.0), (0.0, 0.0), ("0", "60")])
def test_a_grid_that_is_none_is_refused(angles: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Settings(angles=angles)


def test_a_least_area_makes_it_a_verdict(data: Data, spec: RunSpec) -> None:
    subject = ProbeSubject(spec.name, pictures(data, "corner"), ByCorner())
    assert run(subject, Settings()).passed is None
    failed = run(subject, Settings(min_area=0.41))
    assert failed.passed is False
    assert failed.limit == "area under the curve at least 0.41"
    assert run(subject, Settings(min_area=0.39)).passed is True


def test_a_model_that_knows_nothing_upright_is_not_told_to_turn_pictures(data: Data, spec: RunSpec) -> None:
    model = ByCenter()
    with torch.no_grad():
        model.levels.copy_(torch.tensor([5.0, 5.0, 0.0]))  # one class, whatever it sees
    finding = run(ProbeSubject(spec.name, pictures(data, "center"), model), Settings(min_area=0.9))
    assert finding.passed is False
    assert finding.remedy
    assert "begin there" in finding.remedy
