"""A person's own folder: both layouts are read, and what is no layout is refused with words."""

from pathlib import Path

import pytest
from PIL import Image

from pawprint.data.index import read_table
from pawprint.data.sources.folder import check_folder, fetch
from pawprint.errors import DataError
from pawprint.types import DataSettings

FOOD = Path(__file__).parents[3] / "shared/data/food10"


def make_pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        file_format = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF"}.get(name.lower().rpartition(".")[2])
        Image.new("RGB", (12, 9), "red").save(folder / name, file_format)
    return folder


def test_class_folders_without_splits(tmp_path: Path) -> None:
    source = make_pictures(tmp_path / "own", "dog/b.PNG", "cat/1.JPG", "cat/2.webp", "dog/a.tif")
    summary = check_folder(source)
    assert summary.index["image_name"].tolist() == ["cat/1.JPG", "cat/2.webp", "dog/a.tif", "dog/b.PNG"]
    assert summary.n_per_class == {"cat": 2, "dog": 2}
    assert summary.n_per_split == {}


@pytest.mark.parametrize(
    "names",
    [("train", "val", "test"), ("Training", "validation", "evaluation"), ("train", "valid", "testing")],
)
def test_split_folders_are_understood(tmp_path: Path, names: tuple[str, ...]) -> None:
    files = [f"{split}/{label}/1.png" for split in names for label in ("cat", "dog")]
    summary = check_folder(make_pictures(tmp_path, *files))
    assert summary.n_per_split == {"train": 2, "val": 2, "test": 2}
    assert summary.n_per_class == {"cat": 3, "dog": 3}


def test_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    summary = check_folder(make_pictures(tmp_path, "test/1.png", "rest/1.png"))
    assert summary.n_per_class == {"rest": 1, "test": 1}


def test_other_files_are_counted_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pictures(tmp_path, "cat/1.png", "dog/1.png", "stray.png", ".hidden/1.png", "__MACOSX/cat/1.png")
    (tmp_path / "cat/notes.txt").write_text("about cats")
    (tmp_path / "cat/.DS_Store").write_text("")
    summary = check_folder(tmp_path)
    assert sorted(summary.left_out) == ["cat/notes.txt", "stray.png"]
    assert "left out 2 files" in capsys.readouterr().err
    assert summary.n_per_class == {"cat": 1, "dog": 1}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a.png", "b.png"], "no pictures found"),
        (["train/a.png", "test/b.png"], "without class folders"),
        (["train/cat/a.png", "train/dog/a.png", "cat/b.png"], r"train/ with folders in it beside cat/"),
        (["cat/train/a.png", "dog/train/a.png"], "found train/ inside a class's folder"),
        (["train/cat/deep/a.png"], "found deep/ inside a class's folder"),
    ],
)
def test_unclear_layout_is_refused(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_folder(make_pictures(tmp_path, *files))


def test_class_without_pictures_is_refused(tmp_path: Path) -> None:
    make_pictures(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "bird").mkdir()
    with pytest.raises(DataError, match="bird: a class without pictures"):
        check_folder(tmp_path)


def test_fetch_copies_files_and_keeps_their_bytes(tmp_path: Path) -> None:
    source = make_pictures(tmp_path / "own", "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/2.jpg")
    target = tmp_path / "fetch"
    target.mkdir()
    fetch(DataSettings(source="folder", path=str(source)), target)
    index = read_table(target / "index.csv")
    assert index.values.tolist() == [
        ["test/cat/2.jpg", "cat", "test"],
        ["train/cat/1.jpg", "cat", "train"],
        ["train/dog/1.jpg", "dog", "train"],
    ]
    for name in index["image_name"]:
        assert (target / "images" / name).read_bytes() == (source / name).read_bytes()
        assert (target / "images" / name).stat().st_nlink == 1


def test_missing_folder_names_the_absolute_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"looked at {tmp_path.resolve()}/own.*dvc exp run.*absolute path"):
        fetch(DataSettings(source="folder", path="own"), tmp_path)
    with pytest.raises(DataError, match="not set"):
        fetch(DataSettings(source="folder"), tmp_path)


@pytest.mark.skipif(not FOOD.is_dir(), reason="no ../shared/data/food10 here")
def test_real_dishes_are_found() -> None:
    summary = check_folder(FOOD)
    assert summary.n_per_split == {"train": 3750, "test": 1250}
    assert set(summary.n_per_class.values()) == {500}
