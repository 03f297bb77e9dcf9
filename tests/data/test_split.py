"""The split: stratified, seeded, by name; and what is given stays."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from pawprint.data.index import COLUMNS
from pawprint.data.split import assign_splits, given_splits, limit_classes, small_classes, split_hash
from pawprint.errors import DataError, SettingsError
from pawprint.types import DataSettings

SETTINGS = DataSettings()


def index(**per_label: dict[str, int]) -> pd.DataFrame:
    """`index(cat={"train": 5})`: five pictures of that label and split."""
    rows = [
        (f"{label}_{split}_{number}.jpg", label, split)
        for label, counts in per_label.items()
        for split, count in counts.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def counts(table: pd.DataFrame, label: str) -> dict[str, int]:
    return dict(Counter(table[table["label"] == label]["split"]))


def test_drawn_split_is_stratified() -> None:
    table = assign_splits(index(cat={"": 45}, dog={"": 10}), SETTINGS)
    assert counts(table, "cat") == {"train": 27, "val": 9, "test": 9}
    assert counts(table, "dog") == {"train": 6, "val": 2, "test": 2}


def test_smallest_class_is_in_every_part() -> None:
    table = assign_splits(index(cat={"": 1000}, rare={"": 3}), SETTINGS)
    assert counts(table, "rare") == {"train": 1, "val": 1, "test": 1}


def test_large_shares_leave_one_for_train() -> None:
    table = assign_splits(index(cat={"": 4}, dog={"": 4}), DataSettings(val_percent=49.0, test_percent=49.0))
    assert counts(table, "cat") == {"train": 1, "val": 1, "test": 2}


def test_split_depends_on_names_not_on_rows_or_other_labels() -> None:
    pictures = index(cat={"": 40}, dog={"": 40})
    table = assign_splits(pictures, SETTINGS)
    shuffled = assign_splits(pictures.sample(frac=1, random_state=1), SETTINGS)
    assert table.equals(shuffled)
    assert split_hash(table) == split_hash(shuffled.iloc[::-1])
    without_dogs = assign_splits(index(cat={"": 40}, bird={"": 7}), SETTINGS)
    is_cat = "label == 'cat'"
    assert table.query(is_cat)["split"].tolist() == without_dogs.query(is_cat)["split"].tolist()


def test_split_follows_the_seed() -> None:
    pictures = index(cat={"": 40}, dog={"": 40})
    hashes = {split_hash(assign_splits(pictures, DataSettings(split_seed=seed))) for seed in (0, 0, 1)}
    assert len(hashes) == 2


def test_split_of_seed_0_stays_as_it_is() -> None:
    table = assign_splits(index(cat={"": 10}, dog={"": 10}), SETTINGS)
    assert split_hash(table) == "d16662a828a9ccf22feb35377a844a807fd2b3d039265cc6605fbe53c4b2cc90"


def test_given_split_is_honoured() -> None:
    given = index(cat={"train": 5, "val": 1, "test": 3}, dog={"train": 2, "test": 1})
    assert assign_splits(given, SETTINGS).equals(given.sort_values("image_name", ignore_index=True))


@pytest.mark.parametrize("pool", ["train", "trainval"])
def test_val_is_drawn_from_the_pool_and_test_stays(pool: str) -> None:
    given = index(cat={pool: 10, "test": 4}, dog={pool: 20, "test": 1})
    table = assign_splits(given, SETTINGS)
    assert counts(table, "cat") == {"train": 8, "val": 2, "test": 4}
    assert counts(table, "dog") == {"train": 16, "val": 4, "test": 1}
    assert all("_test_" in name for name in table.query("split == 'test'")["image_name"])


def test_missing_test_is_drawn_from_train() -> None:
    table = assign_splits(index(cat={"train": 10, "val": 3}, dog={"train": 10, "val": 3}), SETTINGS)
    assert counts(table, "cat") == {"train": 8, "val": 3, "test": 2}


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (index(cat={"": 9}, dog={"": 2}), "to be in train, val and test: dog has 2; expected 3 or more"),
        (index(cat={"trainval": 9, "test": 1}, dog={"trainval": 1, "test": 9}), "to be in train and val: dog has 1"),
        (index(cat={"train": 9, "val": 1, "test": 1}, dog={"test": 9}), "to be in train: dog has 0"),
        (index(cat={"": 9}), "1 class"),
        (index(cat={"": 9}, dog={"train": 9}), "contradict"),
        (index(cat={"trainval": 9, "val": 9}, dog={"trainval": 9}), "contradict"),
        (index(cat={"Train": 9}, dog={"train": 9}), "found Train"),
        (index(cat={"val": 9}, dog={"test": 9}), "expected pictures for train"),
        (pd.concat([index(cat={"": 9}, dog={"": 9})] * 2), "18 names stand more than once"),
    ],
)
def test_unusable_index_is_refused(pictures: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        assign_splits(pictures, SETTINGS)


def test_a_class_of_one_picture_is_refused_where_all_parts_are_given() -> None:
    parts = {"train": 3, "val": 1, "test": 1}
    for rare, is_refused in (({"train": 1}, True), ({"train": 1, "test": 1}, False)):
        table = index(cat=parts, dog=parts, rare=rare)
        small = small_classes(table, {"cat", "dog", "rare"}, SETTINGS)
        assert ("rare has 1; expected 2 or more" in small.get("rare", "")) == is_refused
        assert set(small) <= {"rare"}


def test_shares_that_leave_no_train_are_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="nothing for training"):
        assign_splits(index(cat={"": 9}, dog={"": 9}), DataSettings(val_percent=60.0, test_percent=40.0))


def test_labels_are_hidden_of_train_alone() -> None:
    pictures = index(cat={"": 45}, dog={"": 10})
    open_, hidden = assign_splits(pictures, SETTINGS), assign_splits(pictures, DataSettings(labels_per_class=4))
    assert counts(hidden, "cat") == {"train": 4, "unlabelled": 23, "val": 9, "test": 9}
    assert counts(hidden, "dog") == {"train": 4, "unlabelled": 2, "val": 2, "test": 2}
    assert hidden["label"].equals(open_["label"])  # to measure by
    learned = hidden["split"].isin(["train", "unlabelled"])
    assert hidden["split"].where(~learned, "train").equals(open_["split"])


def test_hidden_labels_follow_seed_and_names_and_more_contain_fewer() -> None:
    pictures = index(cat={"train": 40, "val": 3, "test": 3}, dog={"train": 40, "val": 3, "test": 3})

    def labelled(n: int, table: pd.DataFrame = pictures, seed: int = 0) -> set[str]:
        split = assign_splits(table, DataSettings(labels_per_class=n, split_seed=seed))
        return set(split.query("split == 'train'")["image_name"])

    assert len(labelled(5)) == 10
    assert labelled(5) < labelled(10) < labelled(39) < labelled(40) == labelled(0)
    assert labelled(5) != labelled(5, seed=1)
    assert labelled(5, pictures.sample(frac=1, random_state=1)) == labelled(5)
    other = pictures.replace({"label": {"dog": "bird"}})
    assert {name for name in labelled(5, other) if "cat" in name} == {name for name in labelled(5) if "cat" in name}


def test_hidden_labels_of_seed_0_stay_as_they_are() -> None:
    table = assign_splits(index(cat={"": 20}, dog={"": 20}), DataSettings(labels_per_class=3))
    assert split_hash(table) == "1362bf5dfd300d7dea9095f008a27af381ba3c5380e40b5264016df1a47e77d8"


def test_class_with_fewer_pictures_than_labels_is_named_and_counted() -> None:
    pictures = index(cat={"": 45}, dog={"": 10}, fox={"": 20})
    small = small_classes(pictures, {"cat", "dog", "fox"}, DataSettings(labels_per_class=12))
    assert small == {
        "dog": "too few pictures in train for data.labels_per_class: dog has 6; expected 12 or more, or a lower"
        " labels_per_class"
    }
    assert not small_classes(pictures, {"cat", "dog", "fox"}, DataSettings(labels_per_class=6))
    with pytest.raises(DataError, match="dog has 6; expected 12 or more"):
        assign_splits(pictures, DataSettings(labels_per_class=12))


def nobodys(n: int) -> pd.DataFrame:
    return pd.DataFrame([(f"any_{number}.jpg", "", "unlabelled") for number in range(n)], columns=COLUMNS)


@pytest.mark.parametrize("pool", ["", "trainval", "train"])
def test_unlabelled_pictures_stay_so_and_change_no_other(pool: str) -> None:
    pictures = index(cat={pool: 20}, dog={pool: 20})
    table = assign_splits(pd.concat([nobodys(7), pictures]), SETTINGS)
    is_given = table["label"] == ""
    assert set(table["split"][is_given]) == {"unlabelled"}
    assert table[~is_given].reset_index(drop=True).equals(assign_splits(pictures, SETTINGS))


def test_given_and_hidden_pictures_go_into_one_part() -> None:
    known = index(cat={"unlabelled": 2})
    pictures = pd.concat([nobodys(7), known, index(cat={"": 20}, dog={"": 20})])
    table = assign_splits(pictures, DataSettings(labels_per_class=5))
    assert Counter(table.query("split == 'unlabelled'")["label"]) == {"": 7, "cat": 7 + 2, "dog": 7}


def test_label_that_is_hidden_must_be_one_of_train() -> None:
    pictures = pd.concat([index(fox={"unlabelled": 9}), index(cat={"": 9}, dog={"": 9})])
    with pytest.raises(DataError, match="too few pictures to be in train, val and test: fox has 0"):
        assign_splits(pictures, SETTINGS)


def test_unlabelled_pictures_alone_are_nothing_to_train_on() -> None:
    pictures = pd.concat([nobodys(9), index(cat={"test": 2}, dog={"test": 2})])
    with pytest.raises(DataError, match="found only test and unlabelled; expected pictures for train"):
        assign_splits(pictures, SETTINGS)


def split_file(path: Path, *lines: str) -> DataSettings:
    path.write_text("\n".join(["image_name,label,split", *lines]) + "\n", encoding="utf-8-sig")
    return DataSettings(split_file=str(path))


PICTURES = pd.DataFrame([("a.jpg", "cat", ""), ("b.JPG", "dog", ""), ("c.jpg", "cat", "")], columns=COLUMNS)


def test_split_file_overrides_names_with_or_without_suffix(tmp_path: Path) -> None:
    settings = split_file(tmp_path / "s.csv", "c,cat,train", "a.jpg,cat,test", "b,dog,val")
    table, faults = given_splits(PICTURES[::-1], settings)
    assert table["image_name"].tolist() == ["a.jpg", "b.JPG", "c.jpg"]
    assert table["split"].tolist() == ["test", "val", "train"]
    assert faults == []


def test_split_file_takes_labels_away_and_gives_them(tmp_path: Path) -> None:
    pictures = pd.concat([PICTURES, pd.DataFrame([("d.jpg", "", "unlabelled")], columns=COLUMNS)])
    lines = ["a,,unlabelled", "b,dog,unlabelled", "c,cat,train", "d,dog,train"]
    table, faults = given_splits(pictures, split_file(tmp_path / "s.csv", *lines))
    assert table["label"].tolist() == ["", "dog", "cat", "dog"]
    assert table["split"].tolist() == ["unlabelled", "unlabelled", "train", "train"]
    assert faults == []


@pytest.mark.parametrize(
    ("lines", "name", "reason"),
    [
        (["a.jpg,cat,train", "c.jpg,cat,train"], "b.JPG", "named in no row (of s.csv)"),
        (["a.jpg,cat,train", "b,dog,train", "c,cat,train", "z.jpg,dog,test"], "z.jpg", "no such picture"),
        (
            ["a.jpg,cat,train", "b,cat,train", "c,cat,train"],
            "b.JPG",
            "label differs: cat in s.csv, dog in the data set",
        ),
        (["a.jpg,cat,train", "b,bird,train", "c,cat,train"], "b.JPG", "label differs: bird in s.csv, dog in the data"),
        (["a.jpg,cat,train", "b,dog,vla", "c,cat,train"], "b", "unknown split: 'vla'"),
    ],
)
def test_split_file_that_does_not_fit_gives_faults(tmp_path: Path, lines: list[str], name: str, reason: str) -> None:
    table, faults = given_splits(PICTURES, split_file(tmp_path / "s.csv", *lines))
    assert [fault.image_name for fault in faults] == [name]
    assert faults[0].reason.startswith(reason)
    sound = ["a.jpg", "b.JPG", "c.jpg"] if name == "z.jpg" else ["a.jpg", "c.jpg"]
    assert table["image_name"].tolist() == sound


def test_missing_split_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"looked at .*nowhere\.csv"):
        given_splits(PICTURES, DataSettings(split_file=str(tmp_path / "nowhere.csv")))


def test_classes_are_limited_in_each_given_split() -> None:
    pictures = index(cat={"train": 9, "test": 4}, dog={"train": 2, "test": 9})
    table = limit_classes(pictures, DataSettings(max_per_class=3))
    assert counts(table, "cat") == {"train": 3, "test": 3}
    assert counts(table, "dog") == {"train": 2, "test": 3}
    assert set(table["image_name"]) < set(pictures["image_name"])
    assert limit_classes(pictures, DataSettings(max_per_class=9)).equals(pictures)
    assert limit_classes(pictures, SETTINGS) is pictures


def test_pictures_without_a_label_are_limited_to_as_many_as_all_classes() -> None:
    pictures = pd.concat([nobodys(50), index(cat={"train": 9, "unlabelled": 9}, dog={"train": 2, "test": 9})])
    table = limit_classes(pictures.reset_index(drop=True), DataSettings(max_per_class=3))
    assert counts(table, "") == {"unlabelled": 2 * 3}
    assert counts(table, "cat") == {"train": 3, "unlabelled": 3}
    assert counts(table, "dog") == {"train": 2, "test": 3}


def test_limited_classes_follow_the_seed_and_grow_with_the_limit() -> None:
    pictures = index(cat={"": 40}, dog={"": 40})

    def chosen(limit: int, seed: int = 0) -> set[str]:
        return set(limit_classes(pictures, DataSettings(max_per_class=limit, split_seed=seed))["image_name"])

    assert chosen(5) < chosen(10) < chosen(30)
    assert chosen(5) != chosen(5, seed=1)
    alone = limit_classes(pictures[pictures["label"] == "cat"], DataSettings(max_per_class=5))
    assert set(alone["image_name"]) < chosen(5)
