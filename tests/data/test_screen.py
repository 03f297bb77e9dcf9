"""What cannot be used is told all at once, or left out before the split is drawn."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pawprint.data.faults import Fault
from pawprint.data.index import COLUMNS
from pawprint.data.screen import screen
from pawprint.data.split import assign_splits
from pawprint.errors import DataError, SettingsError
from pawprint.types import DataSettings

STOP, DROP = DataSettings(), DataSettings(on_bad="drop")


def index(**counts: int) -> pd.DataFrame:
    rows = [(f"{label}_{n}.jpg", label, "") for label, count in counts.items() for n in range(count)]
    return pd.DataFrame(rows, columns=COLUMNS)


def screened(
    table: pd.DataFrame, settings: DataSettings, *broken: str, fetched: list[Fault] | None = None
) -> tuple[pd.DataFrame, list[Fault]]:
    def decode(name: str) -> None:
        if name in broken:
            raise ValueError("cannot be decoded")

    return screen(table, fetched or [], settings, decode, "mend them")


def test_sound_pictures_are_split_as_ever() -> None:
    for settings in (STOP, DROP):
        table, dropped = screened(index(cat=9, dog=9), settings)
        assert table.equals(assign_splits(index(cat=9, dog=9), settings))
        assert dropped == []


def test_stop_lists_the_faults_of_both_stages_sorted() -> None:
    fetched = [Fault("z.jpg", "no such picture"), Fault("a.jpg", "named in no row")]
    with pytest.raises(DataError) as error:
        screened(index(cat=9, dog=4, bird=2), STOP, "dog_1.jpg", "dog_2.jpg", "cat_0.jpg", fetched=fetched)
    assert str(error.value).splitlines() == [
        "7 faults in the data: 3 cannot be decoded, 2 too few pictures to be in train, val and test, 1 named in no row,"
        " 1 no such picture",
        "  a.jpg: named in no row",
        "  cat_0.jpg: cannot be decoded",
        "  class bird: too few pictures to be in train, val and test: bird has 2; expected 3 or more",
        "  class dog: too few pictures to be in train, val and test: dog has 2; expected 3 or more",
        "  dog_1.jpg: cannot be decoded",
        "  dog_2.jpg: cannot be decoded",
        "  z.jpg: no such picture",
        "mend them",
    ]


def unlabelled(n: int) -> pd.DataFrame:
    return pd.DataFrame([(f"any_{number}.jpg", "", "unlabelled") for number in range(n)], columns=COLUMNS)


def test_only_the_classes_named_are_decoded_and_split(tmp_path: Path) -> None:
    table = pd.concat([index(cat=9, dog=9, bird=2), unlabelled(4)])
    decoded = []
    result, dropped = screen(table, [], replace(STOP, classes=("dog", "cat")), decoded.append, "")
    assert result.equals(assign_splits(pd.concat([index(cat=9, dog=9), unlabelled(4)]), STOP))
    assert sorted(decoded) == sorted(result["image_name"])
    assert dropped == []


@pytest.mark.parametrize(("name", "said"), [
    ("dgo", "data.classes: there is no class 'dgo' in the data; did you mean 'dog'?"),
    ("whale", "data.classes: there is no class 'whale' in the data; valid names: bird, cat, dog"),
])  # fmt: skip
def test_class_that_is_not_there_is_told_before_decoding(name: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        screened(pd.concat([index(cat=9, dog=9, bird=2), unlabelled(4)]), replace(STOP, classes=("cat", name)))
    assert error.value.faults == [said]


def test_labels_that_a_class_has_not_stop_or_leave_it_out() -> None:
    table = index(cat=40, dog=40, bird=10)
    with pytest.raises(DataError) as error:
        screened(table, replace(STOP, labels_per_class=20))
    reason = "too few pictures in train for data.labels_per_class: bird has 6; expected 20 or more, or a lower"
    assert str(error.value).splitlines()[1] == f"  class bird: {reason} labels_per_class"
    result, dropped = screened(table, replace(DROP, labels_per_class=20))
    assert result.equals(assign_splits(index(cat=40, dog=40), replace(DROP, labels_per_class=20)))
    assert {name.partition("_")[0] for name, _ in dropped} == {"bird"}


def test_unlabelled_pictures_are_screened_as_others_are() -> None:
    result, dropped = screened(pd.concat([index(cat=9, dog=9), unlabelled(4)]), DROP, "any_2.jpg")
    assert dropped == [("any_2.jpg", "cannot be decoded")]
    assert result.query("split == 'unlabelled'")["image_name"].tolist() == ["any_0.jpg", "any_1.jpg", "any_3.jpg"]
    with pytest.raises(DataError, match=r"leaves 9 pictures of 1 classes"):  # what has no label is no class
        screened(pd.concat([index(cat=5, dog=2), unlabelled(4)]), DROP, "dog_0.jpg")


def test_folder_whose_label_a_split_file_takes_away_is_no_class(tmp_path: Path) -> None:
    table = index(cat=9, dog=9, misc=3)
    rows = [f"{name},,unlabelled" if label == "misc" else f"{name},{label}," for name, label, _ in table.values]
    (tmp_path / "s.csv").write_text("\n".join(["image_name,label,split", *rows]))
    result, dropped = screened(table, replace(STOP, split_file=str(tmp_path / "s.csv")))
    assert dropped == []
    assert result.query("label == ''")["split"].tolist() == ["unlabelled"] * 3


def test_drop_leaves_out_before_the_split_is_drawn() -> None:
    table, dropped = screened(index(cat=40, dog=40), DROP, "cat_7.jpg", "dog_39.jpg")
    rest = index(cat=40, dog=40).query("image_name not in ['cat_7.jpg', 'dog_39.jpg']")
    assert table.equals(assign_splits(rest, DROP))
    assert dropped == [("cat_7.jpg", "cannot be decoded"), ("dog_39.jpg", "cannot be decoded")]


def test_class_too_small_is_left_out_as_a_whole() -> None:
    table, dropped = screened(index(cat=9, dog=9, bird=3, fish=1), DROP, "bird_1.jpg")
    assert table.equals(assign_splits(index(cat=9, dog=9), DROP))
    assert [name for name, _ in dropped] == ["bird_0.jpg", "bird_1.jpg", "bird_2.jpg", "fish_0.jpg"]
    assert "bird has 2; expected 3 or more" in dropped[0].reason
    assert dropped[1].reason == "cannot be decoded"


def test_class_without_a_sound_picture_is_named_and_not_missed() -> None:
    with pytest.raises(DataError, match=r"class bird: too few .* bird has 0"):
        screened(index(cat=9, dog=9, bird=1), STOP, "bird_0.jpg")
    table, _ = screened(index(cat=9, dog=9, bird=1), DROP, "bird_0.jpg")
    assert set(table["label"]) == {"cat", "dog"}


def test_test_set_that_vanishes_with_its_class_is_drawn_instead() -> None:
    table = index(cat=9, dog=9, bird=6, fish=2)
    table["split"] = ["train"] * 18 + ["test"] * 6 + ["train"] * 2
    result, dropped = screened(table, DROP)
    assert result.equals(assign_splits(table[:18], DROP))
    assert {name.partition("_")[0] for name, _ in dropped} == {"bird", "fish"}


def test_name_that_fetch_has_told_of_is_told_once(tmp_path: Path) -> None:
    rows = [f"{name},{label}," for name, label, _ in index(cat=9, dog=9).values]
    path = tmp_path / "s.csv"
    path.write_text("\n".join(["image_name,label,split", "x.jpg,cat,", "y,dog,", *rows]))
    fetched = [Fault("x.jpg", "encrypted"), Fault("y.jpg", "empty file"), Fault("fish/", "class without pictures")]
    table, dropped = screened(index(cat=9, dog=9), replace(DROP, split_file=str(path)), fetched=fetched)
    assert table.equals(assign_splits(index(cat=9, dog=9), DROP))
    assert dropped == sorted(fetched)


@pytest.mark.parametrize(
    ("counts", "broken", "message"),
    [
        ({"cat": 9, "dog": 3}, ["dog_0.jpg"], "leaves 9 pictures of 1 classes; expected two classes or more"),
        ({"cat": 1, "dog": 1}, ["dog_0.jpg", "cat_0.jpg"], "leaves 0 pictures of 0 classes"),
        ({}, [], "leaves 0 pictures of 0 classes"),
    ],
)
def test_drop_that_leaves_too_little_is_refused(counts: dict[str, int], broken: list[str], message: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)z\.jpg: no such picture.*{message}"):
        screened(index(**counts), DROP, *broken, fetched=[Fault("z.jpg", "no such picture")])


def test_splits_that_contradict_and_shares_too_large_are_told_before_decoding() -> None:
    def decode(name: str) -> None:
        raise AssertionError("decoded")

    table = index(cat=9, dog=9)
    with pytest.raises(SettingsError, match="nothing for training"):
        screen(table, [], DataSettings(val_percent=60.0, test_percent=40.0), decode, "")
    table["split"] = ["trainval"] * 9 + ["val"] * 9
    with pytest.raises(DataError, match="contradict"):
        screen(table, [], DROP, decode, "")
