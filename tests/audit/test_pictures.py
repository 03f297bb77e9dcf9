"""Data sets in every form people have them."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from pawprint.audit import pictures
from pawprint.audit.pictures import Pictures, class_names_of, name_of, of_one_size, seeded
from pawprint.audit.work import AuditError, Work

N = 30


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work.py", {})


def read(dataset: Any, work: Work, limit: int = 1000) -> Pictures:
    return pictures.read(dataset, "train", work, limit)


def floats(n: int = N) -> TensorDataset:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, 3, 8, 8)))
    return TensorDataset(pixels / 255, torch.arange(n) % 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six files of two classes, in three sizes."""
    draws = np.random.default_rng(0)
    for i in range(6):
        path = tmp_path / "pets" / ("cat", "dog")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (20 + i // 2, 24, 3)).astype(np.uint8)).save(path)
    return tmp_path / "pets"


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        return iter(list(floats()))


def test_every_form_of_a_data_set_gives_the_same_pictures(work: Work) -> None:
    expected = read(floats(), work)
    halves = ConcatDataset([Subset(floats(), range(10)), Subset(floats(), range(10, N))])
    for form in (list(floats()), tuple(floats()), halves, DataLoader(floats(), 4), Stream()):
        found = read(form, work)
        assert np.array_equal(of_one_size(found.codes), of_one_size(expected.codes))
        assert np.array_equal(found.labels, expected.labels)
    assert (expected.n_offered, len(expected), expected.sizes, expected.form) == (N, N, [(8, 8)], "floats")


def test_image_folders_names_and_classes_are_found_through_subsets_and_chains(work: Work, folder: Path) -> None:
    whole = ImageFolder(str(folder), transforms.ToTensor())
    chain = ConcatDataset([Subset(whole, [5, 0]), Subset(Subset(whole, [1, 2]), [1])])
    assert [name_of(chain, i) for i in range(3)] == ["dog/5.png", "cat/0.png", "cat/4.png"]
    assert class_names_of(chain) == ["cat", "dog"]
    assert class_names_of(floats()) is None
    assert name_of(Subset(floats(), [7]), 0) == "no. 7"


def test_pictures_of_several_sizes_are_read_and_reduced_to_one(work: Work, folder: Path) -> None:
    for transform in (None, transforms.ToTensor()):
        found = read(ImageFolder(str(folder), transform), work)
        assert found.sizes == [(20, 24), (21, 24), (22, 24)]
        assert of_one_size(found.codes).shape == (6, 64, 64, 3)


def test_grey_files_among_colored_ones_are_read_as_color(work: Work) -> None:
    grey, color = np.full((8, 8), 9, np.uint8), np.full((8, 8, 3), 9, np.uint8)
    found = read([(Image.fromarray(grey), 0), (Image.fromarray(color), 1)], work)
    assert np.array_equal(found.codes[0], color)


def test_of_many_pictures_some_are_read_evenly_spaced(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(floats(), work, limit=4)
    assert found.names == ["no. 0", "no. 9", "no. 19", "no. 29"]
    assert (found.n_offered, len(found)) == (N, 4)
    monkeypatch.setattr(pictures, "MAX_BYTES", 5 * 8 * 8 * 3)
    assert len(read(floats(), work)) == 5


def test_random_transforms_are_noticed_and_read_alike_every_time(work: Work) -> None:
    class Augmented(Dataset):
        def __len__(self) -> int:
            return N

        def __getitem__(self, i: int) -> Any:
            picture, label = floats()[i]
            shift = random.randrange(3) + int(np.random.randint(3)) + int(torch.randint(3, ()))
            return picture.roll(shift, 2), label

    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first, second = read(Augmented(), work), read(Augmented(), work)
    assert first.is_random
    assert not read(floats(), work).is_random
    assert np.array_equal(of_one_size(first.codes), of_one_size(second.codes))
    assert states[0] == random.getstate()
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert torch.equal(states[2], torch.get_rng_state())


def test_seeded_starts_every_generator_anew() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    with seeded(0):
        first = draws()
    with seeded(0):
        assert draws() == first


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ([], "train: no example in it"),
        (7, "train: found a int, expected a torch data set"),
        ([(np.zeros((8, 8, 3), np.uint8), 0), (torch.rand(3, 8, 8), 1)], "a mixture of 8-bit arrays and floats"),
        ([(torch.rand(1, 8, 8), 0), (torch.rand(3, 8, 8), 1)], "pictures of 1 and of 3 channels"),
        ({"image": 1, "label": 2}, "train[0]: KeyError: 0"),
    ],
)
def test_what_is_no_data_set_is_refused(dataset: Any, said: str, work: Work) -> None:
    with pytest.raises(AuditError, match=said.replace("[", r"\[")):
        read(dataset, work)
