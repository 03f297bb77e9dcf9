"""A person's split file is taken as it comes, and what cannot be understood is a fault of its row."""

from pathlib import Path
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest

from pawprint.data.index import COLUMNS
from pawprint.data.listing import Match, match, read_listing
from pawprint.data.split import assign_splits, given_splits
from pawprint.errors import DataError, SettingsError
from pawprint.types import DataSettings

HEADER = "image_name,label,split\n"
SOUND = [["a.jpg", "cat", "train"], ["b.JPG", "dog", "val"]]


def matched(folder: Path, content: str | bytes, *pictures: str) -> Match:
    path = folder / "s.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return match(read_listing(path), pictures or ("a.jpg", "b.JPG"))


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "a.jpg,cat,train\nb.JPG,dog,val\n",
        HEADER + "b.JPG,dog,val\na.jpg,cat,train",  # another order, and no end of line
        "\ufeff" + HEADER + "a.jpg,cat,train\nb.JPG,dog,val\n",
        (HEADER + "a.jpg,cat,train\nb.JPG,dog,val\n").replace("\n", "\r\n"),
        ("\ufeff" + HEADER + "a.jpg,cat,train\nb.JPG,dog,val\n").replace("\n", "\r\n"),
        (HEADER + "a.jpg,cat,train\nb.JPG,dog,val\n").replace("\n", "\r"),
        (HEADER + "a.jpg,cat,train\nb.JPG,dog,val\n").replace(",", ";"),
        (HEADER + "a.jpg,cat,train\nb.JPG,dog,val\n").replace(",", "\t"),
        "image_name , label , split\n a.jpg , cat,train \n\n  \n,,\nb.JPG,\tdog,val\n",
        '"image_name","label","split"\n"a.jpg", "cat","train"\n"b.JPG","dog",val\n',
        "split,number,image_name,label\ntrain,1,a.jpg,cat\nval,,b.JPG,dog\n",
        HEADER + "a,cat,train\nb,dog,val\n",  # without suffix
        HEADER + "a.JPG,cat,train\nb.jpg,dog,val\n",  # the suffix in the other case
    ],
)
def test_a_sound_file_is_read_as_it_comes(tmp_path: Path, content: str) -> None:
    result = matched(tmp_path, content)
    assert result.table.values.tolist() == SOUND
    assert (result.faults, result.unlisted) == ([], [])


@pytest.mark.parametrize(
    ("row", "name", "reason"),
    [
        ("z.jpg,cat,train", "z.jpg", "no such picture (named in s.csv)"),
        ("../a.jpg,cat,train", "../a.jpg", "leads out of the folder"),
        ("/etc/passwd,cat,train", "/etc/passwd", "leads out of the folder"),
        ("..\\a.jpg,cat,train", "..\\a.jpg", "leads out of the folder"),
        ("a\0.jpg,cat,train", "a\\x00.jpg", "a name with control characters"),
        ('"a\n.jpg",cat,train', "a\\n.jpg", "a name with control characters"),
        (",cat,train", "line 2 of s.csv", "no image_name"),
        ("c.jpg,,train", "c.jpg", "no label"),
        ("c.jpg,,", "c.jpg", "no label"),
        ("c.jpg,,unlabeled", "c.jpg", "unknown split: 'unlabeled'; expected train, val, test, unlabelled, trainval or"),
        ("c.jpg,c\0t,train", "c.jpg", "a label with control characters"),
        ("c.jpg,cat,Train", "c.jpg", "unknown split: 'Train'"),
        ("c.jpg,cat,holdout", "c.jpg", "unknown split: 'holdout'"),
        ("c.jpg,cat,", "c.jpg", "no split, where other rows have one"),
        ("c.jpg,cat", "c.jpg", "wrong number of fields: 2 in line 2; expected 3"),
        ("c,d.jpg,cat,train", "c", "wrong number of fields: 4 in line 2; expected 3"),
    ],
)
def test_fault_of_a_row_is_told_and_the_other_rows_are_read(tmp_path: Path, row: str, name: str, reason: str) -> None:
    result = matched(tmp_path, HEADER + row + "\na.jpg,cat,train\nb.JPG,dog,val\n", "a.jpg", "b.JPG", "c.jpg")
    assert result.table.values.tolist() == SOUND
    assert any(fault.image_name == name and fault.reason.startswith(reason) for fault in result.faults)
    assert all(fault.image_name in (name, "c.jpg") for fault in result.faults)


def test_picture_in_no_row_is_a_fault(tmp_path: Path) -> None:
    result = matched(tmp_path, HEADER + "a.jpg,cat,train\nb.JPG,dog,val\n", "a.jpg", "b.JPG", "c.jpg")
    assert result.faults == [("c.jpg", "named in no row (of s.csv)")]
    assert result.table.values.tolist() == SOUND


def test_unlabelled_picture_may_have_a_label_and_needs_none(tmp_path: Path) -> None:
    rows = "c.jpg,,unlabelled\nd.jpg,dog,unlabelled\na.jpg,cat,train\nb.JPG,dog,val\n"
    result = matched(tmp_path, HEADER + rows, "a.jpg", "b.JPG", "c.jpg", "d.jpg")
    assert result.table.values.tolist() == [*SOUND, ["c.jpg", "", "unlabelled"], ["d.jpg", "dog", "unlabelled"]]
    assert result.faults == []


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("c.jpg,,unlabelled", "named more than once: 2 rows"),
        ("c.jpg,cat,train", "named more than once: 2 rows"),
        ("c.jpg,dog,train", "named with more than one label: cat and dog"),
        ("c,dog,val", "named with more than one label: cat and dog"),
        ("c.JPG,cat,test", "named more than once: 2 rows"),
    ],
)
def test_none_of_the_rows_that_name_one_picture_is_used(tmp_path: Path, second: str, reason: str) -> None:
    rows = f"c.jpg,cat,train\na.jpg,cat,train\nb.JPG,dog,val\n{second}\n"
    result = matched(tmp_path, HEADER + rows, "a.jpg", "b.JPG", "c.jpg")
    assert result.table.values.tolist() == SOUND
    assert {name for name, _ in result.faults} == {"c.jpg", second.split(",")[0]}
    assert {found for _, found in result.faults} == {reason}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_name_is_found_in_either_normal_form(tmp_path: Path, form: str) -> None:
    written, file = "Bär/Kätzchen 猫.jpg", normalize("NFD" if form == "NFC" else "NFC", "Bär/Kätzchen 猫.jpg")
    content = HEADER + f"{normalize(form, written)},cat,train\nb,dog,val\n"
    result = matched(tmp_path, content, file, "b.JPG")
    assert result.table["image_name"].tolist() == sorted([file, "b.JPG"])
    assert result.faults == []


@pytest.mark.parametrize(
    ("written", "files"),
    [
        ("c", ("c.jpg", "c.png")),
        ("c.Jpg", ("c.jpg", "c.JPG")),
        ("ä", (normalize("NFC", "ä.jpg"), normalize("NFD", "ä.jpg"))),
    ],
)
def test_name_of_two_files_is_ambiguous_unless_it_is_exact(
    tmp_path: Path, written: str, files: tuple[str, str]
) -> None:
    result = matched(tmp_path, HEADER + f"{written},cat,train\n", *files)
    assert result.faults[0].image_name == written
    assert result.faults[0].reason.startswith(f"ambiguous: is it {' or '.join(sorted(files))}?")
    exact = matched(tmp_path, HEADER + f"{files[0]},cat,train\n{files[1]},dog,train\n", *files)
    assert exact.faults == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column image_name, label, split"),
        (b"\n\n", "no column image_name"),
        (b"image_name,class,split\na,b,c\n", "no column label; found"),
        (HEADER.encode(), "no rows below the header"),
        (HEADER.encode("utf-16"), "not UTF-8 text"),
        ((HEADER + "Bär,cat,train\n").encode("latin-1"), r"not UTF-8 text \(.* at byte 24\); save it as UTF-8"),
        (HEADER.encode() + b'"a.jpg,cat,train\n', "cannot be read as CSV, at line 2"),
        (HEADER.encode() + b'"a"b.jpg,cat,train\n', "cannot be read as CSV, at line 2"),
    ],
)
def test_file_that_is_no_such_csv_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"s\.csv: {message}"):
        matched(tmp_path, content)


def test_changed_bytes_give_a_sound_table_or_a_data_error(tmp_path: Path) -> None:
    labels = ["cat", "dog"]
    index = pd.DataFrame([(f"{n}.jpg", labels[n % 2], "") for n in range(24)], columns=COLUMNS)
    parts = np.array(["train", "val", "test"]).repeat(8)
    rows = [f"{n}.jpg,{labels[n % 2]},{parts[n]}" for n in range(24)]
    whole = (HEADER + "\n".join(rows) + "\n").encode("utf-8-sig")
    settings = DataSettings(split_file=str(tmp_path / "s.csv"))
    draws, sound, refused = np.random.default_rng(0), 0, 0
    for _ in range(500):
        content = np.frombuffer(whole, np.uint8).copy()
        places = draws.integers(0, len(content), draws.integers(1, 12))
        content[places] = draws.choice(np.frombuffer(b'\0\n\r",; \t\xff\xc3.catrin/\\\x80', np.uint8), len(places))
        cut = draws.integers(0, len(content)) if draws.random() < 0.2 else len(content)
        (tmp_path / "s.csv").write_bytes(content[:cut].tobytes())
        try:
            given, faults = given_splits(index, settings)
            table = assign_splits(given, settings)
        except (DataError, SettingsError):
            refused += 1
            continue
        sound += 1
        assert len(table) + len({name for name, _ in faults}) >= len(index)
        assert table["image_name"].is_unique
        assert set(table["image_name"]) <= set(index["image_name"])
        assert table.merge(index, on=["image_name", "label"]).shape[0] == len(table)
        assert set(table["split"]) <= {"train", "val", "test"}
    assert min(sound, refused) > 100
