"""Oxford-IIIT Pet from a folder: its official lists, a split file; and without network or folder."""

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pawprint.data.faults import Fault, read_faults
from pawprint.data.index import read_table
from pawprint.data.packed import pack
from pawprint.data.prepared import load
from pawprint.data.sources.oxford_pet import fetch
from pawprint.data.split import assign_splits
from pawprint.errors import DataError
from pawprint.network import REACH_SECONDS
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
    """The rows of the index."""
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
    assert "left out 1 pictures that are not in annotations/trainval.txt and" in capsys.readouterr().err
    assert not (tmp_path / "fetch/faults.csv").exists()


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


def faults(tmp_path: Path) -> list[Fault]:
    return read_faults(tmp_path / "fetch/faults.csv")


def test_rows_without_picture_and_pictures_without_row_are_faults(pets: Path, tmp_path: Path) -> None:
    lines = "".join(f"boxer_{number}.jpg,boxer,train\n" for number in range(12))
    (pets / "mine.csv").write_text("image_name,label,split\nBengal_3,Bengal,val\n" + lines)
    assert fetched(tmp_path, pets, split_file="mine.csv") == [["Bengal_3.jpg", "Bengal", "val"]]
    found = dict(faults(tmp_path))
    assert len(found) == 16
    assert {found[f"boxer_{number}.jpg"] for number in range(12)} == {"no such picture (named in mine.csv)"}
    assert found["Bengal_2.jpg"] == found["great_pyrenees_1.jpg"] == "named in no row (of mine.csv)"


def test_rows_of_the_official_lists_at_fault_are_told(pets: Path, tmp_path: Path) -> None:
    (pets / "annotations/test.txt").write_text(
        "Bengal 2 1 2\nBengal_2 2 1 2\nBengal_10 2 1 2\nboxer_1 4 2 1\n../great_pyrenees_2 3 2 1\n"
    )
    assert fetched(tmp_path, pets) == [OFFICIAL[1], OFFICIAL[2]]
    reasons = dict(faults(tmp_path))
    assert sorted(reasons) == ["../great_pyrenees_2", "Bengal", "Bengal_10", "boxer_1"]
    assert reasons["Bengal"].startswith("no class in its name (line 1 of test.txt)")
    assert reasons["Bengal_10"] == "named more than once: 2 rows"
    assert reasons["boxer_1"].startswith("no such picture (named in annotations/")


def test_official_list_that_is_not_utf_8_is_refused(pets: Path, tmp_path: Path) -> None:
    (pets / "annotations/test.txt").write_bytes("Bär_2 2 1 2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"test\.txt: not UTF-8 text \(.* at byte 1\)"):
        fetch(DataSettings(source="oxford_pet", path=str(pets)), tmp_path)


def test_link_out_of_the_images_is_a_fault_and_not_copied(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes((pets / "images/Bengal_2.jpg").read_bytes())
    (pets / "images/Bengal_2.jpg").unlink()
    (pets / "images/Bengal_2.jpg").symlink_to("../../secret.jpg")
    assert fetched(tmp_path, pets) == [OFFICIAL[0], *OFFICIAL[2:]]
    assert faults(tmp_path) == [("Bengal_2.jpg", "leads out of the folder (a link)")]


def test_images_without_a_picture_are_refused(pets: Path, tmp_path: Path) -> None:
    for file in (pets / "images").glob("*.jpg"):
        file.unlink()
    with pytest.raises(DataError, match="pets/images: no pictures; expected files ending in"):
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
def test_real_photographs_are_prepared_as_the_official_lists_say(tmp_path: Path) -> None:
    rows = fetched(tmp_path, PETS)
    pack(tmp_path / "fetch", tmp_path / "prepare", DataSettings(source="oxford_pet", image_size=16))
    data = load(tmp_path / "prepare")
    assert [len(data.train), len(data.val), len(data.test)] == [468, 120, 291]
    assert sorted(data.train.names + data.val.names + data.test.names) == [name for name, _, _ in rows]
    assert read_faults(tmp_path / "prepare/dropped.csv") == []


@real_pets
def test_real_split_file_of_all_photographs_names_the_absent_ones(tmp_path: Path) -> None:
    absent = {
        line.split(",")[0]
        for line in (PETS / "oxford_pet_split.csv").read_text().splitlines()[1:]
        if not (PETS / "images" / line.split(",")[0]).exists()
    }
    assert len(absent) == 6504
    settings = DataSettings(
        source="oxford_pet", path=str(PETS), split_file=str(PETS / "oxford_pet_split.csv"), image_size=16
    )
    rows = fetched(tmp_path, PETS, split_file=settings.split_file)
    with pytest.raises(DataError) as error:
        pack(tmp_path / "fetch", tmp_path / "prepare", settings)
    first, *lines, last = str(error.value).splitlines()
    assert first == "6504 faults in the data: 6504 no such picture"
    assert lines == [f"  {name}: no such picture (named in oxford_pet_split.csv)" for name in sorted(absent)]
    assert "-S data.on_bad=drop" in last
    assert sorted(f.name for f in tmp_path.iterdir()) == ["fetch"]

    pack(tmp_path / "fetch", tmp_path / "prepare", replace(settings, on_bad="drop"))
    data = load(tmp_path / "prepare")
    given = {name: part for name, _, part in rows}
    assert len(given) == 886
    for part, split in (("train", data.train), ("val", data.val), ("test", data.test)):
        assert {given[name] for name in split.names} == {part}
    assert len(data.train) + len(data.val) + len(data.test) == 886
    assert {name for name, _ in read_faults(tmp_path / "prepare/dropped.csv")} == absent
