"""`init-data` points params.yaml at good pictures, and touches nothing for bad ones."""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from pawprint.data.init_data import init_data
from pawprint.errors import DataError
from pawprint.params import read_study

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """A copy of the repository's own params.yaml, with shares that small classes can bear."""
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"(?m)^(  (val|test)_percent:) [\d.]+", r"\1 20", PARAMS.read_text()))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "my pictures"
    for label, count in (("cat", 4), ("dog", 6)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (30, 20), "red").save(folder / label / f"{number}.jpg")
    return folder


def test_only_source_and_path_change(pictures: Path, params: Path) -> None:
    before = params.read_text().splitlines()
    summary = init_data(pictures, params)
    after = params.read_text().splitlines()
    assert len(before) == len(after)
    changed = [line for old, line in zip(before, after, strict=True) if old != line]
    assert [line.split("#")[0].strip() for line in changed] == ["source: folder", f"path: {pictures}"]
    assert all("#" in line for line in changed)
    data = read_study(params)[0].data
    assert (data.source, data.path) == ("folder", str(pictures))
    assert "10 pictures of 2 classes, 4 to 6 a class" in summary
    assert "used as train 6, val 2, test 2" in summary
    assert "dvc repro" in summary


def test_pictures_without_a_label_are_told_beside_the_classes(pictures: Path, params: Path) -> None:
    (pictures / "unlabelled").mkdir()
    for number in range(3):
        Image.new("RGB", (30, 20), "blue").save(pictures / f"unlabelled/{number}.jpg")
    params.write_text(params.read_text().replace("labels_per_class: 0", "labels_per_class: 1", 1))
    summary = init_data(pictures, params)
    assert "10 pictures of 2 classes, 4 to 6 a class, and 3 without a label; all can be read" in summary
    assert "split: unlabelled 3; used as train 2, val 2, test 2, unlabelled 7" in summary


def test_relative_folder_is_written_absolute(pictures: Path, params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    init_data(Path("../my pictures"), params)
    assert read_study(params)[0].data.path == str(pictures)


def test_bad_folder_changes_nothing(pictures: Path, params: Path, tmp_path: Path) -> None:
    before = params.read_bytes()
    (pictures / "cat/0.jpg").write_bytes(b"")
    (pictures / "dog/0.jpg").write_text("text")
    with pytest.raises(DataError, match=r"(?s)2 faults.*cat/0.jpg: empty.*dog/0.jpg: not a picture.*again"):
        init_data(pictures, params)
    for path in (tmp_path / "nowhere", pictures / "cat"):
        with pytest.raises(DataError):
            init_data(path, params)
    assert params.read_bytes() == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["my pictures", "params.yaml"]


def test_class_too_small_to_split_is_refused(pictures: Path, params: Path) -> None:
    (pictures / "bird").mkdir()
    Image.new("RGB", (9, 9)).save(pictures / "bird/1.png")
    with pytest.raises(DataError, match="class bird: too few pictures to be in train, val and test: bird has 1"):
        init_data(pictures, params)


def test_on_drop_it_says_what_will_be_left_out(pictures: Path, params: Path) -> None:
    params.write_text(params.read_text().replace("on_bad: stop", "on_bad: drop", 1))
    (pictures / "dog/0.jpg").write_bytes(b"")
    (pictures / "bird").mkdir()
    Image.new("RGB", (9, 9)).save(pictures / "bird/1.png")
    found = init_data(pictures, params).splitlines()
    assert found[0].startswith("2 faults in the data: 1 empty file, 1 too few pictures")
    assert found[1].startswith("  bird/1.png: too few pictures")
    assert found[2] == "  dog/0.jpg: empty file"
    assert found[3] == "data.on_bad is drop: these will be left out"
    assert found[4].endswith("9 pictures of 2 classes, 4 to 5 a class can be used")
    assert "used as train 5, val 2, test 2" in found[5]
    assert read_study(params)[0].data.path == str(pictures)


def test_archive_is_checked_in_place(pictures: Path, params: Path) -> None:
    archive = Path(shutil.make_archive(str(pictures), "zip", pictures))
    assert "10 pictures of 2 classes" in init_data(archive, params)
    assert read_study(params)[0].data.path == str(archive)
