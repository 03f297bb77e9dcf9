"""Sound data passes; a copy of each kind, planted across parts, is found, named and told for what it is."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image, ImageEnhance, ImageOps
from pydantic import ValidationError

from pawprint.checks import leakage
from pawprint.checks.leakage import Settings, dropped_names, find, run
from pawprint.data.decode import square
from pawprint.data.likeness import likeness
from pawprint.data.prepared import without
from pawprint.data.sources.procedural import BREEDS, draw_pet
from pawprint.types import Data, Split

DRAWN_PIXELS = 160  # of the files, which copies are made of
PIXELS = 64


def jpeg(image: Image.Image, quality: int = 85) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def crop(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


COPIES: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "recompressed": ("alike", lambda image: jpeg(image, 30)),
    "resized": ("alike", lambda image: image.resize((80, 80), Image.Resampling.LANCZOS)),
    "mirrored": ("mirrored", lambda image: jpeg(ImageOps.mirror(image))),
    "cropped": ("cropped", lambda image: jpeg(crop(image, 0.05, 0.05, 0.95, 0.95))),
    "cropped at a corner": ("cropped", lambda image: jpeg(crop(image, 0.0, 0.1, 0.9, 1.0))),
    "brighter": ("alike", lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.2))),
    "darker": ("alike", lambda image: jpeg(ImageEnhance.Brightness(image).enhance(0.7))),
    "grey": ("alike", lambda image: jpeg(image.convert("L").convert("RGB"))),
    "black border": ("cropped", lambda image: ImageOps.expand(image, 8, "black")),
    "red border": ("cropped", lambda image: ImageOps.expand(image, 16, "red")),
    "grey in a red border": ("cropped", lambda image: ImageOps.expand(image.convert("L").convert("RGB"), 8, "red")),
    "mirrored and cropped": (
        "mirrored and cropped",
        lambda image: jpeg(crop(ImageOps.mirror(image), 0.05, 0.05, 0.95, 0.95), 60),
    ),
}


@pytest.fixture(scope="module")
def originals() -> list[Image.Image]:
    """Two pictures of each breed."""
    return [
        Image.fromarray(draw_pet(breed, seed=0, index=index, pixels=DRAWN_PIXELS))
        for breed in BREEDS
        for index in range(2)
    ]


def data_of(train: list[Image.Image], val: list[Image.Image], test: list[Image.Image], pixels: int = PIXELS) -> Data:
    def split(part: str, images: list[Image.Image]) -> Split:
        pictures = [square(image, pixels) for image in images]
        names = [f"{part}_{row}.jpg" for row in range(len(pictures))]
        array = np.stack(pictures) if pictures else np.empty((0, pixels, pixels, 3), dtype=np.uint8)
        return Split(names, array, np.zeros(len(pictures), dtype=np.int64))

    parts = [split(part, images) for part, images in (("train", train), ("val", val), ("test", test))]
    return Data(*parts, None, ["any"], (3, pixels, pixels), (0.5,) * 3, (0.2,) * 3, "0" * 64, "1" * 64)


@pytest.fixture
def sound(originals: list[Image.Image]) -> Data:
    return data_of(originals[:40], originals[40:56], originals[56:])


@pytest.mark.parametrize("pixels", [16, 32, 64])
def test_different_pictures_of_one_breed_pass(originals: list[Image.Image], pixels: int) -> None:
    finding = run(data_of(originals[::2], [], originals[1::2], pixels), Settings())
    assert finding.passed
    assert not any(finding.numbers.values())
    assert "no copy across parts" in finding.reading
    assert finding.remedy is None
    assert finding.figure is None


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_of_each_kind_is_found(originals: list[Image.Image], copy: str) -> None:
    kind, change = COPIES[copy]
    kept = list(range(10, 30))
    data = data_of(originals[:40], originals[40:50], [*originals[50:], *(change(originals[k]) for k in kept)])
    n_others = len(originals) - 50
    pairs = find(data, Settings()).pairs
    found = {(pair.first.row, pair.second.row - n_others) for pair in pairs if pair.crosses}
    assert found <= {(k, place) for place, k in enumerate(kept)}
    assert len(found) >= 18
    assert sum(pair.kind == kind for pair in pairs) >= len(pairs) / 2
    assert run(data, Settings()).passed is False


@pytest.mark.parametrize("copy", ["recompressed", "mirrored"])
def test_the_pair_is_named_counted_and_drawn(sound: Data, originals: list[Image.Image], copy: str) -> None:
    kind, change = COPIES[copy]
    image = square(change(originals[7]), PIXELS)
    test = Split([*sound.test.names, "twin $1.jpg"], np.concatenate([sound.test.images, image[None]]), _labels(sound))
    finding = run(replace(sound, test=test), Settings())
    assert finding.passed is False
    assert f"train's train_7.jpg and test's twin $1.jpg ({kind})" in finding.reading
    assert finding.numbers["n_train_test"] == finding.numbers["n_pairs_across"] == 1
    assert finding.numbers["test_in_train_percent"] == pytest.approx(100 / len(test))
    assert "drop_from_train" in (finding.remedy or "")
    assert finding.figure is not None
    FigureCanvasAgg(finding.figure).draw()


def _labels(data: Data) -> np.ndarray:
    return np.zeros(len(data.test) + 1, dtype=np.int64)


def test_copies_inside_a_part_are_told_and_pass(originals: list[Image.Image]) -> None:
    finding = run(data_of([*originals[:20], jpeg(originals[3])], originals[20:30], originals[30:]), Settings())
    assert finding.passed
    assert finding.numbers["n_inside_train"] == 1
    assert "1 pair of copies inside one part" in finding.reading


def test_train_can_do_without_its_copies(originals: list[Image.Image]) -> None:
    data = data_of(originals[:40], [*originals[40:50], jpeg(originals[5])], [*originals[50:], jpeg(originals[9])])
    settings = Settings(on_leak="drop_from_train")
    finding = run(data, settings)
    assert finding.passed
    assert finding.numbers["n_dropped_from_train"] == 2
    names = dropped_names(find(data, settings).pairs, "train")
    assert names == ["train_5.jpg", "train_9.jpg"]
    kept = [row for row, name in enumerate(data.train.names) if name not in names]
    train = Split([data.train.names[row] for row in kept], data.train.images[kept], data.train.labels[kept])
    assert run(replace(data, train=train), Settings()).passed


def test_dropping_from_train_mends_no_copies_between_val_and_test(originals: list[Image.Image]) -> None:
    data = data_of([*originals[:40], originals[45]], originals[40:50], [*originals[50:], jpeg(originals[42])])
    finding = run(data, Settings(on_leak="drop_from_train"))
    assert finding.passed is False
    assert "val and test share some" in (finding.remedy or "")


@pytest.fixture
def half_labelled(originals: list[Image.Image]) -> Data:
    """Ten pictures with labels and thirty without, none of them in val or test, and one of them in train as well."""
    data = data_of(originals[:10], originals[40:50], originals[50:])
    unlabelled = data_of([*originals[10:39], jpeg(originals[3])], [], []).train
    names = [f"unlabelled_{row}.jpg" for row in range(len(unlabelled))]
    return replace(data, unlabelled=replace(unlabelled, names=names))


def with_test_copy(data: Data, original: Image.Image, part: str) -> Data:
    """The same with the copy of one picture put over the first of val or test."""
    split = getattr(data, part)
    images = np.concatenate([square(jpeg(original), PIXELS)[None], split.images[1:]])
    return replace(data, **{part: replace(split, images=images)})


def test_copies_between_train_and_unlabelled_are_told_and_pass(half_labelled: Data) -> None:
    for settings in (Settings(), Settings(on_leak="drop_from_train")):
        finding = run(half_labelled, settings)
        assert finding.passed
        assert finding.numbers["n_train_unlabelled"] == 1
        assert finding.numbers["n_pairs_across"] == 0
        assert finding.drop_from_train == ()
    n_pictures = 10 + 30 + 10 + 24
    told = f"among {n_pictures} pictures; 1 between train and unlabelled, which is no leak"
    assert finding.reading == f"no copy across parts {told}"


@pytest.mark.parametrize("part", ["val", "test"])
def test_an_unlabelled_picture_that_is_held_out_is_a_leak(
    half_labelled: Data, originals: list[Image.Image], part: str
) -> None:
    leaked = with_test_copy(half_labelled, originals[17], part)
    finding = run(leaked, Settings())
    assert finding.passed is False
    assert f"(1 between unlabelled and {part})" in finding.reading
    assert f"the unlabelled unlabelled_7.jpg and {part}'s {part}_0.jpg (alike)" in finding.reading
    assert finding.numbers[f"n_unlabelled_{part}"] == finding.numbers["n_pairs_across"] == 1
    assert finding.numbers[f"{part}_in_unlabelled_percent"] == pytest.approx(100 / len(getattr(leaked, part)))
    assert "or take the unlabelled out of it" in (finding.remedy or "")
    assert finding.figure is not None

    dropping = run(leaked, Settings(on_leak="drop_from_train"))
    assert dropping.passed
    assert dropping.drop_from_train == ("unlabelled_7.jpg",)
    assert (dropping.numbers["n_dropped_from_unlabelled"], dropping.numbers["n_dropped_from_train"]) == (1, 0)
    assert "1 of the unlabelled pictures are dropped" in dropping.reading
    assert dropping.limit == "no pair across parts but those dropped from unlabelled"
    assert run(without(leaked, dropping.drop_from_train), Settings()).passed


def test_both_of_a_learned_pair_are_dropped_for_one_held_out(half_labelled: Data, originals: list[Image.Image]) -> None:
    leaked = with_test_copy(half_labelled, originals[3], "test")
    finding = run(leaked, Settings(on_leak="drop_from_train"))
    assert finding.drop_from_train == ("train_3.jpg", "unlabelled_29.jpg")
    assert finding.limit.endswith("but those dropped from train and unlabelled")
    assert run(without(leaked, finding.drop_from_train), Settings()).passed
    told = run(leaked, Settings())
    assert "or take train's and the unlabelled out of it" in (told.remedy or "")


def test_dropping_all_that_is_unlabelled_is_no_way_out(originals: list[Image.Image]) -> None:
    data = data_of(originals[:20], originals[20:30], originals[30:40])
    unlabelled = replace(data.test, names=[f"unlabelled_{row}" for row in range(10)])
    finding = run(replace(data, unlabelled=unlabelled), Settings(on_leak="drop_from_train"))
    assert finding.passed is False
    assert "each of the unlabelled pictures is in val or test" in (finding.remedy or "")


def test_dropping_everything_is_no_way_out(originals: list[Image.Image]) -> None:
    data = data_of(originals[:5], originals[10:20], originals[:5])
    finding = run(data, Settings(on_leak="drop_from_train"))
    assert finding.passed is False
    assert "nothing" in (finding.remedy or "")


def test_hundreds_of_equal_placeholders_make_few_pairs(originals: list[Image.Image]) -> None:
    blank = Image.new("RGB", (PIXELS, PIXELS), "white")
    pairs = find(data_of([*originals[:10], *[blank] * 300], originals[10:20], [blank] * 100), Settings()).pairs
    assert {pair.kind for pair in pairs} == {"identical"}
    assert len(dropped_names(pairs, "train")) == 300
    assert len({pair.second.row for pair in pairs if pair.parts == ("train", "test")}) == 100
    assert len(pairs) < 1000


def test_blank_pictures_of_other_shades_are_not_alike() -> None:
    shades = [Image.new("RGB", (PIXELS, PIXELS), (level,) * 3) for level in range(0, 250, 25)]
    assert not find(data_of(shades[:5], [], shades[5:]), Settings()).pairs


def test_of_tiny_pictures_only_equal_ones_are_found(data: Data) -> None:
    assert run(data, Settings()).passed
    train = Split(["a", "b"], np.stack([data.test.images[4], data.test.images[5] ^ 1]), data.train.labels[:2])
    pairs = find(replace(data, train=train), Settings()).pairs
    assert [(pair.first.name, pair.second.name) for pair in pairs] == [("a", "test_4")]


def test_crops_are_looked_for_only_if_asked(originals: list[Image.Image]) -> None:
    corner = COPIES["red border"][1](originals[0])
    data = data_of(originals[:10], [], [corner])
    assert find(data, Settings()).pairs
    assert not find(data, Settings(cropped=False)).pairs


def garments(n: int, seed: int) -> np.ndarray:
    """Grey trousers on black, (n, 28, 28, 1): no two are one, and a quarter of the pairs are within 14 bits."""
    draws = np.random.default_rng(seed)
    images = draws.integers(0, 25, (n, 28, 28, 1)).astype(np.uint8)
    for image in images:
        left, right = draws.integers(7, 10), draws.integers(18, 21)
        for part in (np.s_[3:25, left:13], np.s_[3:25, 15:right], np.s_[3:8, 13:15]):
            image[part] += draws.integers(130, 220, dtype=np.uint8)
    return images


@pytest.fixture
def silhouettes() -> Data:
    parts = [
        Split([f"{part}_{row}" for row in range(n)], garments(n, seed), np.zeros(n, dtype=np.int64))
        for seed, (part, n) in enumerate((("train", 80), ("val", 20), ("test", 20)))
    ]
    return Data(*parts, None, ["trousers"], (1, 28, 28), (0.3,), (0.3,), "0" * 64, "1" * 64)


@pytest.mark.parametrize(("most", "said"), [
    (1_000_000, None),
    (500, "pairs within 5 bits: more than 500 pairs are within the 6 of checks.leakage.radius"),
    (1, "equal pictures: more than 1 pairs are within"),
])  # fmt: skip
@pytest.mark.parametrize("sample", [60, 1000])
def test_pictures_too_alike_for_their_hashes_are_searched_less_far(
    silhouettes: Data, monkeypatch: pytest.MonkeyPatch, most: int, said: str | None, sample: int
) -> None:
    """The reading tells of it, no more is compared, and darker copies are found, unless none is looked for."""
    images = silhouettes.test.images.copy()
    images[7] = silhouettes.train.images[12] * 0.9
    images[8] = silhouettes.train.images[20]
    silhouettes = replace(silhouettes, test=replace(silhouettes.test, images=images))
    n_compared = 0

    def counted(*arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        nonlocal n_compared
        n_compared += len(arguments[2])
        return likeness(*arguments)

    monkeypatch.setattr(leakage, "MOST_CANDIDATES", most)
    monkeypatch.setattr(leakage, "SAMPLE", sample)
    monkeypatch.setattr(leakage, "likeness", counted)
    finding = run(silhouettes, Settings(radius=6, cropped=False, likeness=0.99))
    assert n_compared <= most * 1.2
    looked_for = finding.reading.partition("; looked for were only ")[2]
    assert looked_for.startswith(said) if said else not looked_for
    copies = {(row["first_name"], row["second_name"]): row["kind"] for row in finding.table}
    assert copies[("train_20", "test_8")] == "identical"
    assert copies.get(("train_12", "test_7")) == (None if most == 1 else "alike")
    assert (n_compared == 0) == (most == 1)


def test_two_runs_say_the_same(originals: list[Image.Image]) -> None:
    data = data_of(originals[:40], originals[40:], [jpeg(image) for image in originals[:5]])
    first, second = run(data, Settings()), run(data, Settings())
    assert first.as_json() == second.as_json()
    assert find(data, Settings()) == find(data, Settings())


@pytest.mark.parametrize("wrong", [{"radius": 17}, {"likeness": 0.0}, {"on_leak": "ignore"}, {"radios": 3}])
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)
