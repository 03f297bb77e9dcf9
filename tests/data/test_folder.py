"""A person's own folder or .zip: both layouts are read, and what is no layout is refused with words."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from pawprint.data.faults import read_faults
from pawprint.data.index import read_table
from pawprint.data.sources.folder import FolderSummary, fetch, read_layout
from pawprint.data.sources.tree import open_tree
from pawprint.errors import DataError
from pawprint.types import DataSettings

FOOD = Path(__file__).parents[3] / "shared/data/food10"
CIFAR = Path(__file__).parents[3] / "shared/data/cifar10/cifar10-images.zip"


def check_folder(path: Path) -> FolderSummary:
    with open_tree(path) as tree:
        return read_layout(tree)


def n_per_class(summary: FolderSummary) -> dict[str, int]:
    return summary.index["label"].value_counts().to_dict()


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
    assert n_per_class(summary) == {"cat": 2, "dog": 2}
    assert summary.n_per_split == {}


@pytest.mark.parametrize(
    "names",
    [("train", "val", "test"), ("Training", "validation", "evaluation"), ("train", "valid", "testing")],
)
def test_split_folders_are_understood(tmp_path: Path, names: tuple[str, ...]) -> None:
    files = [f"{split}/{label}/1.png" for split in names for label in ("cat", "dog")]
    summary = check_folder(make_pictures(tmp_path, *files))
    assert summary.n_per_split == {"train": 2, "val": 2, "test": 2}
    assert n_per_class(summary) == {"cat": 3, "dog": 3}


def test_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    summary = check_folder(make_pictures(tmp_path, "test/1.png", "rest/1.png"))
    assert n_per_class(summary) == {"rest": 1, "test": 1}


def test_other_files_are_counted_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pictures(tmp_path, "cat/1.png", "dog/1.png", "stray.png", ".hidden/1.png", "__MACOSX/cat/1.png")
    (tmp_path / "cat/notes.txt").write_text("about cats")
    (tmp_path / "cat/.DS_Store").write_text("")
    summary = check_folder(tmp_path)
    assert sorted(summary.left_out) == ["cat/notes.txt", "stray.png"]
    assert "left out 2 files" in capsys.readouterr().err
    assert n_per_class(summary) == {"cat": 1, "dog": 1}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a.png", "b.png"], "no pictures found"),
        (["train/a.png", "test/b.png"], "without class folders"),
        (["train/cat/a.png", "train/dog/a.png", "cat/b.png"], r"train/ with folders in it beside cat/"),
        (["cat/train/a.png", "dog/train/a.png"], "found train/ inside a class's folder"),
        (["train/cat/deep/a.png"], "found deep/ inside a class's folder"),
        (["all/train/a.png", "all/test/a.png"], "all: found test/, train/ without class folders"),
    ],
)
def test_unclear_layout_is_refused(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_folder(make_pictures(tmp_path, *files))


TRAIN = ("train/cat/1.png", "train/dog/1.png", "test/cat/2.png", "test/dog/2.png")
INNER = ("training/labeled/cat/1.png", "training/labeled/dog/1.png", "testing/cat/2.png", "testing/dog/2.png")


@pytest.mark.parametrize(
    ("labelled", "unlabelled"),
    [
        (TRAIN, ["unlabelled/a.png", "unlabelled/b.JPG"]),
        (TRAIN, ["Unlabeled/00/a.png", "Unlabeled/00/b.png"]),
        (TRAIN, ["train/unlabelled/a.png", "unlabelled/cat/b.png"]),
        (INNER, ["training/unlabeled/00/a.png", "training/unlabeled/b.png"]),
        (("cat/1.png", "dog/1.png"), ["unlabelled/a.png", "unlabelled/x/b.png"]),
        (("labelled/cat/1.png", "labelled/dog/1.png"), ["unlabelled/a.png", "unlabelled/x/b.png"]),
    ],
)
@pytest.mark.parametrize("wrapper", ["", "all/"])
def test_pictures_that_nobody_labelled_have_no_label(
    tmp_path: Path, wrapper: str, labelled: tuple[str, ...], unlabelled: list[str]
) -> None:
    summary = check_folder(make_pictures(tmp_path, *(wrapper + name for name in (*labelled, *unlabelled))))
    rows = summary.index.set_index("image_name")
    assert n_per_class(summary) == {"": 2, "cat": len(labelled) // 2, "dog": len(labelled) // 2}
    assert sorted(rows.index[rows["split"] == "unlabelled"]) == sorted(unlabelled)
    assert set(rows["label"][unlabelled]) == {""}
    assert summary.n_per_split["unlabelled"] == 2
    plain = check_folder(make_pictures(tmp_path / "plain", *labelled))
    others = summary.index[summary.index["label"] != ""].reset_index(drop=True)
    assert others[["label", "split"]].equals(plain.index[["label", "split"]])
    assert (summary.faults, summary.left_out) == ([], [])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((*TRAIN, "unlabelled/deep/er/a.png"), "found unlabelled/deep/er/; expected pictures in unlabelled/, or in"),
        (
            (*TRAIN, "test/unlabelled/a.png"),
            "found test/unlabelled/, and nothing learns from test; expected unlabelled",
        ),
        (("train/a.png", "unlabelled/b.png"), "found train/ without class folders"),
    ],
)
def test_unlabelled_pictures_out_of_place_are_refused(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_folder(make_pictures(tmp_path, *files))


def test_faults_of_unlabelled_pictures_are_told(tmp_path: Path) -> None:
    make_pictures(tmp_path, *TRAIN, "unlabelled/a.png", "unlabelled/b.png")
    (tmp_path / "unlabelled/b.png").write_bytes(b"")
    (tmp_path / "unlabelled/notes.txt").write_text("about nothing")
    (tmp_path / "train/unlabelled").mkdir()
    summary = check_folder(tmp_path)
    assert summary.n_per_split == {"train": 2, "test": 2, "unlabelled": 1}
    assert summary.left_out == ["unlabelled/notes.txt"]
    (empty, unnamed) = summary.faults
    assert empty == ("unlabelled/b.png", "empty file")
    assert unnamed.image_name == "train/unlabelled/"
    assert unnamed.reason.startswith("folder without pictures; expected files ending in")


@pytest.mark.parametrize("place", ["", "train/"])
def test_class_without_pictures_is_a_fault(tmp_path: Path, place: str) -> None:
    make_pictures(tmp_path, f"{place}cat/1.png", f"{place}dog/1.png")
    (tmp_path / place / "bird").mkdir()
    (tmp_path / place / "fish").mkdir()
    (tmp_path / place / "fish/notes.txt").write_text("about fish")
    summary = check_folder(tmp_path)
    assert [name for name, _ in summary.faults] == [f"{place}bird/", f"{place}fish/"]
    assert all(reason.startswith("class without pictures; expected") for _, reason in summary.faults)
    assert n_per_class(summary) == {"cat": 1, "dog": 1}


def test_single_folder_around_all_is_passed_over(tmp_path: Path) -> None:
    make_pictures(tmp_path, "all/cat/1.png", "all/dog/1.png", "__MACOSX/all/cat/1.png")
    (tmp_path / "README.txt").write_text("about pets")
    summary = check_folder(tmp_path)
    assert summary.index["image_name"].tolist() == ["cat/1.png", "dog/1.png"]
    assert summary.tree.read("cat/1.png") == (tmp_path / "all/cat/1.png").read_bytes()


def zipped(folder: Path, names: list[str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in names:
            archive.write(folder / name, name)
    return path


@pytest.mark.parametrize("wrapper", ["", "all/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_gives_what_the_folder_gives(tmp_path: Path, wrapper: str, method: int) -> None:
    names = [wrapper + name for name in ("train/cat/1.jpg", "train/dög/2.PNG", "test/cat/3.jpg", "test/dög/notes.txt")]
    source = make_pictures(tmp_path / "own", *names[:3])
    (source / names[3]).parent.mkdir(parents=True)
    (source / names[3]).write_text("about dogs")
    (source / wrapper / "test/bird").mkdir()
    path = zipped(source, [*names, f"{wrapper}test/bird"], method)
    for place, out in ((source, "a"), (path, "b")):
        (tmp_path / out).mkdir()
        fetch(DataSettings(source="folder", path=str(place)), tmp_path / out)
    contents = [
        {f.relative_to(tmp_path / out).as_posix(): f.read_bytes() for f in (tmp_path / out).rglob("*") if f.is_file()}
        for out in ("a", "b")
    ]
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == [
        "faults.csv", "images/test/cat/3.jpg", "images/train/cat/1.jpg", "images/train/dög/2.PNG", "index.csv",
    ]  # fmt: skip
    assert [name for name, _ in read_faults(tmp_path / "b/faults.csv")] == ["test/bird/", "test/dög/"]


def test_faults_are_kept_beside_the_index_of_what_is_sound(tmp_path: Path) -> None:
    source = make_pictures(tmp_path / "own", "cat/1.jpg", "dog/1.jpg", "dog/2.jpg")
    (source / "cat/2.jpg").write_bytes(b"")
    target = tmp_path / "fetch"
    target.mkdir()
    fetch(DataSettings(source="folder", path=str(source)), target)
    assert read_table(target / "index.csv")["image_name"].tolist() == ["cat/1.jpg", "dog/1.jpg", "dog/2.jpg"]
    assert read_faults(target / "faults.csv") == [("cat/2.jpg", "empty file")]
    assert not (target / "images/cat/2.jpg").exists()


def test_folder_of_faults_alone_is_refused_with_all_of_them(tmp_path: Path) -> None:
    make_pictures(tmp_path, "cat/1.png", "dog/1.png")
    for name in ("cat/1.png", "dog/1.png"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"(?s)cat/1.png: empty file.*dog/1.png: empty file.*no pictures found"):
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
    assert set(n_per_class(summary).values()) == {500}


@pytest.mark.skipif(not CIFAR.is_file(), reason="no ../shared/data/cifar10 here")
def test_real_archive_is_read_in_place() -> None:
    with open_tree(CIFAR) as tree:
        summary = read_layout(tree)
        content = summary.tree.read("test/airplane/0000.jpg")
    assert summary.n_per_split == {"train": 50_000, "test": 10_000}
    assert set(n_per_class(summary).values()) == {6_000}
    assert (summary.faults, summary.left_out, len(content)) == ([], [], 888)
