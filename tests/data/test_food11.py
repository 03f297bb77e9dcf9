"""Food-11 in each form in which it goes round, and test pictures that tell no class."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pawprint.data.faults import read_faults
from pawprint.data.index import read_table
from pawprint.data.packed import pack
from pawprint.data.prepared import load
from pawprint.data.sources import SOURCES
from pawprint.data.sources.food11 import CLASS_NAMES
from pawprint.errors import DataError
from pawprint.types import DataSettings

KINDS = (0, 4, 10)  # by number; 10 is told from 1 by more than its first digit
N_TRAIN, N_VAL, N_TEST = 10, 3, 2  # of each class


def make_pictures(folder: Path, names: list[str]) -> Path:
    """Small pictures, each of its own noise."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
    return folder


def flat(part: str, n: int) -> list[str]:
    """As published: `training/0_123.jpg`."""
    return [f"{part}/{kind}_{number}.jpg" for kind in KINDS for number in range(n)]


def numbered(part: str, n: int) -> list[str]:
    """As the course hands it out: `validation/00/0_123.jpg`."""
    return [f"{part}/{kind:02d}/{kind}_{number}.jpg" for kind in KINDS for number in range(n)]


def named(part: str, n: int) -> list[str]:
    """As Kaggle has it: `training/Bread/123.jpg`."""
    return [f"{part}/{CLASS_NAMES[kind]}/{number}.jpg" for kind in KINDS for number in range(n)]


UNLABELLED = [f"training/unlabeled/00/{number}.jpg" for number in range(4)]
FORMS = {
    "published": flat("training", N_TRAIN) + flat("validation", N_VAL) + flat("evaluation", N_TEST),
    "by name": named("training", N_TRAIN) + named("validation", N_VAL) + named("evaluation", N_TEST),
    "by number": numbered("training", N_TRAIN) + numbered("validation", N_VAL) + numbered("test", N_TEST),
    "half and half": numbered("training", N_TRAIN) + flat("validation", N_VAL) + named("testing", N_TEST),
    "course": numbered("training/labeled", N_TRAIN)
    + UNLABELLED
    + numbered("validation", N_VAL)
    + named("testing", N_TEST),
}
UNTOLD = {  # test pictures that tell no class
    "in one folder": [f"testing/00/{number:04d}.jpg" for number in range(7)],
    "beside each other": [f"test/{number:04d}.jpg" for number in range(7)],
}


def fetched(source: Path, tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path / "fetch"
    folder.mkdir()
    SOURCES["food11"](DataSettings(source="food11", path=str(source)), folder)
    return folder, read_table(folder / "index.csv")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrapper", ["", "food-11/"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_has_the_same_classes_and_parts(form: str, wrapper: str, packed: bool, tmp_path: Path) -> None:
    source = make_pictures(tmp_path / "own", [wrapper + name for name in FORMS[form]])
    if packed:
        with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
            for file in source.rglob("*.jpg"):
                archive.write(file, file.relative_to(source).as_posix())
        source = tmp_path / "own.zip"
    folder, index = fetched(source, tmp_path)
    labelled = index[index["split"] != "unlabelled"]
    for split, n in (("train", N_TRAIN), ("val", N_VAL), ("test", N_TEST)):
        counts = labelled["label"][labelled["split"] == split].value_counts()
        assert counts.to_dict() == {CLASS_NAMES[kind]: n for kind in KINDS}
    assert sorted(index["image_name"]) == sorted(FORMS[form])  # by the names that their owner knows
    unlabelled = index[index["split"] == "unlabelled"]
    assert unlabelled["image_name"].tolist() == (UNLABELLED if form == "course" else [])
    assert set(unlabelled["label"]) <= {""}
    assert not (folder / "faults.csv").exists()
    assert all((folder / "images" / name).is_file() for name in index["image_name"])


@pytest.mark.parametrize("untold", UNTOLD)
@pytest.mark.parametrize("form", ["published", "course"])
def test_test_pictures_that_tell_no_class_are_left_out_and_test_is_drawn(
    form: str, untold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [name for name in FORMS[form] if not name.startswith(("test", "evaluation"))]
    source = make_pictures(tmp_path / "own", others + UNTOLD[untold])
    folder, index = fetched(source, tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    place = UNTOLD[untold][0].split("/")[0]
    assert line == f"{source}: left out 7 pictures in {place}/, which tell no class: test is drawn"
    assert sorted(index["image_name"]) == sorted(others)
    pack(folder, tmp_path / "prepare", DataSettings(source="food11", image_size=8))
    data = load(tmp_path / "prepare")
    assert data.class_names == sorted(CLASS_NAMES[kind] for kind in KINDS)
    assert np.bincount(data.test.labels).tolist() == [N_TRAIN // 5] * 3
    assert np.bincount(data.val.labels).tolist() == [N_VAL] * 3
    assert set(data.test.names) < {name for name in others if name.startswith("training/")}
    assert (len(data.unlabelled) if data.unlabelled else 0) == (4 if form == "course" else 0)


@pytest.mark.parametrize("name", ["testing/Bread/1.jpg", "testing/0_1.jpg"])
def test_test_pictures_of_one_class_that_is_told_are_tested_on(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_pictures(tmp_path / "own", [*FORMS["course"][:-6], name])
    _, index = fetched(source, tmp_path)
    assert index.query("split == 'test'")[["image_name", "label"]].values.tolist() == [[name, "Bread"]]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["training/11_5.jpg", "training/bread_5.jpg", "training/5.jpg", "training/100_5.jpg"])
def test_picture_without_a_class_in_its_name_is_a_fault(name: str, tmp_path: Path) -> None:
    folder, index = fetched(make_pictures(tmp_path / "own", [*FORMS["published"], name]), tmp_path)
    assert name not in set(index["image_name"])
    expected = "no class in its name; expected 0 to 10 and a picture's number, as in 0_123.jpg"
    assert read_faults(folder / "faults.csv") == [(name, expected)]


def test_the_other_labels_are_hidden_beside_what_has_none(tmp_path: Path) -> None:
    folder, _ = fetched(make_pictures(tmp_path / "own", FORMS["course"]), tmp_path)
    pack(folder, tmp_path / "prepare", DataSettings(source="food11", image_size=8, labels_per_class=4))
    data = load(tmp_path / "prepare")
    assert data.unlabelled is not None
    assert np.bincount(data.train.labels).tolist() == [4] * 3
    assert np.bincount(data.unlabelled.labels + 1).tolist() == [4, *[N_TRAIN - 4] * 3]


def test_no_path_and_no_classes_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.path: not set; data.source food11 needs a folder"):
        SOURCES["food11"](DataSettings(source="food11"), tmp_path)
    (tmp_path / "own").mkdir()
    with pytest.raises(DataError, match="no pictures found"):
        fetched(tmp_path / "own", tmp_path)
