"""Oxford-IIIT Pet from a folder: its official lists, a split file; and without network or folder."""

import socket
import time
from pathlib import Path

import pytest
from PIL import Image

from pawprint.data.index import read_table
from pawprint.data.sources.oxford_pet import REACH_SECONDS, fetch
from pawprint.data.split import assign_splits
from pawprint.errors import DataError
from pawprint.types import DataSettings

PETS = Path(__file__).parents[3] / "shared/data/pets"
real_pets = pytest.mark.skipif(not PETS.is_dir(), reason="no ../shared/data/pets here")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Four pictures with the official lists, and one in no list."""
    folder = tmp_path / "pets"
    (folder / "images").mkdir(parents=True)
    for name in ("great_pyrenees_1", "great_pyrenees_2", "Bengal_10", "Bengal_2", "Bengal_3"):
        Image.new("RGB", (8, 8)).save(folder / "images" / f"{name}.jpg")
    (folder / "images/Bengal_2.mat").write_bytes(b"as in the archive")
    (folder / "annotations").mkdir()
    (folder / "annotations/trainval.txt").write_text(
        "# name class species breed\nBengal_10 2 1 2\ngreat_pyrenees_1 3 2 1\n"
    )
    (folder / "annotations/test.txt").write_text("great_pyrenees_2 3 2 1\nBengal_2 2 1 2\n")
    return folder


def fetched(tmp_path: Path, path: Path, split_file: str | None = None) -> list[list[str]]:
    folder = tmp_path / "fetch"
    folder.mkdir()
    fetch(DataSettings(source="oxford_pet", path=str(path), split_file=split_file), folder)
    index = read_table(folder / "index.csv")
    assert sorted(f.name for f in (folder / "images").iterdir()) == index["image_name"].tolist()
    return index.values.tolist()


OFFICIAL = [
    ["Bengal_10.jpg", "Bengal", "trainval"],
    ["Bengal_2.jpg", "Bengal", "test"],
    ["great_pyrenees_1.jpg", "great_pyrenees", "trainval"],
    ["great_pyrenees_2.jpg", "great_pyrenees", "test"],
]


def test_official_lists_decide(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pets / "other_split.csv").write_text("image_name,label,split\nnot_here_1,not_here,test\n")
    assert fetched(tmp_path, pets) == OFFICIAL
    assert "left out 1 pictures" in capsys.readouterr().err


def test_list_alone_gives_no_splits(pets: Path, tmp_path: Path) -> None:
    (pets / "annotations/test.txt").unlink()
    (pets / "annotations/trainval.txt").rename(pets / "annotations/list.txt")
    assert [row[2] for row in fetched(tmp_path, pets)] == ["", ""]


@pytest.mark.parametrize("written", ["mine.csv", "absolute"])
def test_split_file_wins_over_the_lists(pets: Path, tmp_path: Path, written: str) -> None:
    path = pets / "mine.csv"
    path.write_text("image_name,label,split\nBengal_3,Bengal,val\ngreat_pyrenees_2.jpg,great_pyrenees,train\n")
    rows = fetched(tmp_path, pets, split_file=str(path) if written == "absolute" else written)
    assert rows == [["Bengal_3.jpg", "Bengal", "val"], ["great_pyrenees_2.jpg", "great_pyrenees", "train"]]


def test_split_file_beside_the_images_is_found(pets: Path, tmp_path: Path) -> None:
    for file in (pets / "annotations").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"found 0 split files.*data.split_file"):
        fetch(DataSettings(source="oxford_pet", path=str(pets)), tmp_path)
    (pets / "oxford_pet_split.csv").write_text("image_name,label,split\nBengal_3,Bengal,val\n")
    assert fetched(tmp_path, pets) == [["Bengal_3.jpg", "Bengal", "val"]]


def test_pictures_that_are_not_there_are_named(pets: Path, tmp_path: Path) -> None:
    lines = "".join(f"boxer_{number}.jpg,boxer,train\n" for number in range(12))
    (pets / "mine.csv").write_text("image_name,label,split\nBengal_3,Bengal,val\n" + lines)
    with pytest.raises(DataError, match=r"12 of 13 pictures.*boxer_0.jpg, .*boxer_9.jpg … and 2 more"):
        fetch(DataSettings(source="oxford_pet", path=str(pets), split_file="mine.csv"), tmp_path)


def test_official_line_without_a_number_is_refused(pets: Path, tmp_path: Path) -> None:
    (pets / "annotations/test.txt").write_text("Bengal 2 1 2\n")
    with pytest.raises(DataError, match=r"test.txt:1: found 'Bengal'"):
        fetch(DataSettings(source="oxford_pet", path=str(pets)), tmp_path)


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder images/"):
        fetch(DataSettings(source="oxford_pet", path=str(tmp_path)), tmp_path)


def no_such_name(*_: object, **__: object) -> None:
    raise socket.gaierror(-2, "Name or service not known")


def no_answer(*_: object, **__: object) -> None:
    """As a look-up does whose packets are dropped."""
    time.sleep(REACH_SECONDS + 3)
    raise socket.gaierror(-3, "Temporary failure in name resolution")


@pytest.mark.parametrize("look_up", [no_such_name, no_answer])
def test_neither_network_nor_path_is_said_within_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_up: object
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"data\.path.*images/ and annotations/.*network.*procedural"):
        fetch(DataSettings(source="oxford_pet"), tmp_path)
    assert time.monotonic() - started < 10


@real_pets
def test_real_photographs_are_split_as_the_official_lists_say(tmp_path: Path) -> None:
    rows = fetched(tmp_path, PETS)
    assert len(rows) == 879
    assert len({label for _, label, _ in rows}) == 37
    table = assign_splits(read_table(tmp_path / "fetch/index.csv"), DataSettings())
    official = {line.split()[0] + ".jpg" for line in (PETS / "annotations/test.txt").read_text().splitlines()}
    assert set(table.query("split == 'test'")["image_name"]) == official
    assert (table["split"] == "val").sum() == 120


@real_pets
def test_real_split_file_of_all_photographs_names_the_absent_ones(tmp_path: Path) -> None:
    settings = DataSettings(source="oxford_pet", path=str(PETS), split_file="oxford_pet_split.csv")
    with pytest.raises(DataError, match="6504 of 7390"):
        fetch(settings, tmp_path)
