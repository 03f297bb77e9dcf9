"""The drawn data set: determinism, what `fetch` writes, and that no shortcut gives the breeds away."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pawprint.data.sources import drawing, procedural
from pawprint.data.sources.procedural import BREEDS, draw_pet

# What the baseline reaches with the default settings, mean over its seeds: the committed result of `make repro`.
TABLE = Path(__file__).parents[2] / "metrics/compare/table.json"
BASELINE_TEST_ACCURACY = json.loads(TABLE.read_text())["baseline"]["baseline"]["scores"]["test_accuracy"]
SHORTCUT_SHARE = 0.6  # of the baseline's accuracy, at most
IMAGE_SIZE = 32  # pixels
N_TRAIN, N_TEST = 27, 9  # pictures of a breed

Pictures = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def settings(n_per_class: int, seed: int = 0) -> SimpleNamespace:
    """The fields of `DataSettings` that the source reads."""
    return SimpleNamespace(n_per_class=n_per_class, draw_pixels=64, seed=seed, classes=())


def reduced(picture: np.ndarray) -> np.ndarray:
    """The picture at the size the classifier sees: (IMAGE_SIZE, IMAGE_SIZE, 3), uint8."""
    return np.asarray(Image.fromarray(picture).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """Training pictures and labels, test pictures and labels: (n, side, side, 3), uint8, and (n,)."""
    drawn = np.stack([
        [reduced(draw_pet(breed, seed=0, index=index + 1, pixels=64)) for index in range(N_TRAIN + N_TEST)]
        for breed in BREEDS
    ])  # fmt: skip
    labels = np.repeat(np.arange(len(BREEDS))[:, None], N_TRAIN + N_TEST, axis=1)
    train, test = drawn[:, :N_TRAIN], drawn[:, N_TRAIN:]
    shape = (-1, IMAGE_SIZE, IMAGE_SIZE, 3)
    return train.reshape(shape), labels[:, :N_TRAIN].ravel(), test.reshape(shape), labels[:, N_TRAIN:].ravel()


def joint_histogram(images: np.ndarray) -> np.ndarray:
    """Shares of pixels in 4 x 4 x 4 bins of red, green and blue: (n, 64)."""
    bins = (images // 64).astype(np.int64) @ (16, 4, 1)
    return np.stack([np.bincount(image.ravel(), minlength=64) / image.size for image in bins])


def channel_histograms(images: np.ndarray) -> np.ndarray:
    """Shares of pixels in 16 bins of each channel: (n, 48)."""
    bins = np.add(images // 16, (0, 16, 32))
    return np.stack([np.bincount(image.ravel(), minlength=48) / image.size for image in bins])


def test_there_are_37_breeds_with_distinct_names_and_recipes() -> None:
    assert len(BREEDS) == 37
    assert len({breed.name for breed in BREEDS}) == 37
    assert sum(breed.species == "cat" for breed in BREEDS) == 12
    recipes = {tuple(value for field, value in vars(breed).items() if field != "name") for breed in BREEDS}
    assert len(recipes) == 37


def test_recipes_use_known_words() -> None:
    kinds = get_type_hints(drawing.Breed)
    for breed in BREEDS:
        for field in ("species", "pattern", "ears", "muzzle", "head", "build"):
            assert getattr(breed, field) in get_args(kinds[field]), (breed.name, field)
        assert {breed.coat, breed.marking, breed.trim, breed.eyes} <= drawing.COLOURS.keys(), breed.name


@pytest.mark.parametrize("breed", BREEDS, ids=lambda breed: breed.name)
def test_a_picture_follows_from_its_seed_and_index(breed: drawing.Breed) -> None:
    picture = draw_pet(breed, seed=3, index=5, pixels=64)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw_pet(breed, seed=3, index=5, pixels=64))
    assert not np.array_equal(picture, draw_pet(breed, seed=4, index=5, pixels=64))
    assert not np.array_equal(picture, draw_pet(breed, seed=3, index=6, pixels=64))


def test_fetch_writes_pictures_and_their_index(tmp_path: Path) -> None:
    procedural.fetch(settings(n_per_class=2), tmp_path)
    text = (tmp_path / "index.csv").read_bytes().decode()
    rows = list(csv.reader(text.splitlines()))
    assert "\r" not in text
    assert rows[0] == ["image_name", "label", "split"]
    labels = sorted(breed.name for breed in BREEDS)
    assert rows[1:] == [[f"{label}_{index}.png", label, ""] for label in labels for index in (1, 2)]
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == sorted(row[0] for row in rows[1:])
    beagle = next(breed for breed in BREEDS if breed.name == "beagle")
    with Image.open(tmp_path / "images" / "beagle_2.png") as image:
        assert np.array_equal(np.asarray(image), draw_pet(beagle, seed=0, index=2, pixels=64))


def test_a_picture_does_not_depend_on_how_many_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procedural, "BREEDS", BREEDS[5:8])
    contents = []
    for n_per_class in (1, 3):
        folder = tmp_path / str(n_per_class)
        folder.mkdir()
        procedural.fetch(settings(n_per_class), folder)
        contents.append({path.name: path.read_bytes() for path in (folder / "images").iterdir()})
    few, many = contents
    assert (len(few), len(many)) == (3, 9)
    assert all(many[name] == data for name, data in few.items())


def test_the_breeds_are_neither_trivial_nor_hopeless() -> None:
    assert 0.4 <= BASELINE_TEST_ACCURACY <= 0.9


@pytest.mark.parametrize("features", [joint_histogram, channel_histograms])
@pytest.mark.parametrize("inverse_penalty", [0.1, 1.0])
def test_colours_alone_do_not_give_the_breed_away(
    pictures: Pictures, features: Callable[[np.ndarray], np.ndarray], inverse_penalty: float
) -> None:
    train_x, train_y, test_x, test_y = pictures
    model = make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=300))
    accuracy = model.fit(features(train_x), train_y).score(features(test_x), test_y)
    assert accuracy <= SHORTCUT_SHARE * BASELINE_TEST_ACCURACY


def test_pixels_at_their_places_do_not_give_the_breed_away(pictures: Pictures) -> None:
    train_x, train_y, test_x, test_y = pictures
    known = train_x.reshape(len(train_x), -1).astype(np.float64)
    asked = test_x.reshape(len(test_x), -1).astype(np.float64)
    # The asked picture's own square is the same for every neighbour and is left out.
    distance = (known**2).sum(axis=1) - 2.0 * asked @ known.T
    accuracy = float(np.mean(train_y[distance.argmin(axis=1)] == test_y))
    assert accuracy <= SHORTCUT_SHARE * BASELINE_TEST_ACCURACY
