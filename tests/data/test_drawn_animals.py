"""The source task's pictures: determinism, what `fetch` writes, and that nothing of it is among the pets."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from pawprint.data.sources import SOURCES, drawing, drawn_animals, procedural
from pawprint.data.sources.drawn_animals import ANIMALS, CLASSES, THINGS, draw_class
from pawprint.data.sources.procedural import BREEDS, draw_pet

IMAGE_SIZE = 32  # pixels
N_TRAIN, N_TEST = 12, 6  # pictures of a class
SHORTCUT_ACCURACY = 0.35  # at most; measured: 0.03 (mean color), 0.18 (pixels at their places); chance is 0.025


def settings(n_per_class: int, seed: int = 0) -> SimpleNamespace:
    """The fields of `DataSettings` that the source reads."""
    return SimpleNamespace(n_per_class=n_per_class, draw_pixels=32, seed=seed, classes=())


def recipe(breed: drawing.Breed) -> tuple[object, ...]:
    """All that says how a breed is drawn, without its name."""
    return tuple(value for field, value in vars(breed).items() if field != "name")


def test_animals_and_things_have_names_of_their_own() -> None:
    assert 24 <= len(ANIMALS) <= 30
    assert 6 <= len(THINGS) <= 10
    assert len(CLASSES) == len(ANIMALS) + len(THINGS)
    pets = {breed.name.lower() for breed in BREEDS}
    assert pets.isdisjoint(name.lower() for name in CLASSES)


def test_no_animal_is_drawn_as_another_or_as_a_pet() -> None:
    recipes = [recipe(breed) for breed in (*ANIMALS, *BREEDS)]
    assert len(set(recipes)) == len(recipes)


def test_recipes_use_known_words() -> None:
    kinds = get_type_hints(drawing.Breed)
    for animal in ANIMALS:
        for field in ("species", "pattern", "ears", "muzzle", "head", "build"):
            assert getattr(animal, field) in get_args(kinds[field]), (animal.name, field)
        assert {animal.coat, animal.marking, animal.trim, animal.eyes} <= drawing.COLOURS.keys(), animal.name
        assert 0.0 <= animal.fur <= 1.0, animal.name


@pytest.mark.parametrize("name", CLASSES)
def test_a_picture_follows_from_its_seed_and_index(name: str) -> None:
    picture = draw_class(name, seed=3, index=5, pixels=64)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw_class(name, seed=3, index=5, pixels=64))
    assert not np.array_equal(picture, draw_class(name, seed=4, index=5, pixels=64))
    assert not np.array_equal(picture, draw_class(name, seed=3, index=6, pixels=64))


@pytest.mark.parametrize("pixels", [16, 33, 128])
def test_every_class_can_be_drawn_at_every_size(pixels: int) -> None:
    for name in CLASSES:
        picture = draw_class(name, seed=0, index=1, pixels=pixels)
        assert picture.shape == (pixels, pixels, 3), name
        assert picture.std() > 10.0, name


def test_classes_differ_in_more_than_their_surroundings() -> None:
    def alone(name: str) -> np.ndarray:
        """The class's subject on an empty canvas, with the same chances for all."""
        image, rng = Image.new("RGB", (128, 128)), np.random.default_rng(0)
        subject = CLASSES[name]
        if isinstance(subject, drawing.Breed):
            drawing.draw_individual(image, subject, rng)
        else:
            subject(image, rng)
        return np.asarray(image.reduce(4)).astype(np.float64)

    subjects = {name: alone(name) for name in CLASSES}
    for one, other in combinations(CLASSES, 2):
        assert np.abs(subjects[one] - subjects[other]).mean() > 2.0, (one, other)


def test_no_picture_has_the_stream_of_a_pet(monkeypatch: pytest.MonkeyPatch) -> None:
    for source in (procedural, drawn_animals):
        monkeypatch.setattr(source, "draw_scene", lambda _subject, _pixels, rng: rng.random(2))
    streams = [tuple(draw_class(name, seed=0, index=1, pixels=16)) for name in CLASSES]
    streams += [tuple(draw_pet(breed, seed=0, index=1, pixels=16)) for breed in BREEDS]
    assert len(set(streams)) == len(streams)


def test_fetch_writes_pictures_and_their_index(tmp_path: Path) -> None:
    assert SOURCES["drawn_animals"] is drawn_animals.fetch
    drawn_animals.fetch(settings(n_per_class=2, seed=9), tmp_path)
    text = (tmp_path / "index.csv").read_bytes().decode()
    rows = list(csv.reader(text.splitlines()))
    assert "\r" not in text
    assert rows[0] == ["image_name", "label", "split"]
    assert rows[1:] == [[f"{label}_{index}.png", label, ""] for label in sorted(CLASSES) for index in (1, 2)]
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == sorted(row[0] for row in rows[1:])
    for name in ("fox", "umbrella"):
        with Image.open(tmp_path / "images" / f"{name}_2.png") as image:
            assert np.array_equal(np.asarray(image), draw_class(name, seed=9, index=2, pixels=32))


def test_a_picture_does_not_depend_on_what_else_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = []
    for n_per_class, names in ((1, ("zebra", "cup")), (3, ("cup", "otter", "zebra"))):
        monkeypatch.setattr(drawn_animals, "CLASSES", {name: CLASSES[name] for name in names})
        folder = tmp_path / str(n_per_class)
        folder.mkdir()
        drawn_animals.fetch(settings(n_per_class), folder)
        contents.append({path.name: path.read_bytes() for path in (folder / "images").iterdir()})
    few, many = contents
    assert (len(few), len(many)) == (2, 9)
    assert all(many[name] == data for name, data in few.items())


def test_neither_mean_color_nor_pixels_at_their_places_give_a_class_away() -> None:
    drawn = np.stack([
        [draw_class(name, seed=0, index=index + 1, pixels=IMAGE_SIZE) for index in range(N_TRAIN + N_TEST)]
        for name in CLASSES
    ]).astype(np.float64)  # fmt: skip
    for features in (drawn.mean(axis=(2, 3)), drawn.reshape(*drawn.shape[:2], -1)):
        centroids = features[:, :N_TRAIN].mean(axis=1)
        asked = features[:, N_TRAIN:].reshape(-1, features.shape[-1])
        # The asked picture's own square is the same for every centroid and is left out.
        nearest = ((centroids**2).sum(axis=1) - 2.0 * asked @ centroids.T).argmin(axis=1)
        accuracy = np.mean(nearest == np.repeat(np.arange(len(CLASSES)), N_TEST))
        assert accuracy <= SHORTCUT_ACCURACY
