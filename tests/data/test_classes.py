"""`data.classes`: what is used of a set, what is drawn, and what a wrong name is answered with."""

from pathlib import Path

import pytest

from pawprint.contradictions import of_data
from pawprint.data.classes import used_classes
from pawprint.data.index import read_table
from pawprint.data.sources import SOURCES
from pawprint.errors import SettingsError
from pawprint.types import DataSettings

PETS = ("Bengal", "pug", "beagle")


def test_all_classes_are_used_unless_some_are_named() -> None:
    assert used_classes({"dog", "cat", "bird"}, DataSettings()) == ["bird", "cat", "dog"]
    assert used_classes({"dog", "cat", "bird"}, DataSettings(classes=("dog", "bird"))) == ["bird", "dog"]


def test_every_wrong_name_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError) as error:
        used_classes({"pug", "beagle", "Bengal"}, DataSettings(classes=("pugs", "beagle", "Bengall")))
    assert error.value.faults == [
        "data.classes: there is no class 'pugs' in the data; did you mean 'pug'?",
        "data.classes: there is no class 'Bengall' in the data; did you mean 'Bengal'?",
    ]


@pytest.mark.parametrize(("source", "classes"), [("procedural", PETS), ("drawn_animals", ("fox", "umbrella"))])
def test_drawn_sources_draw_the_classes_named_and_the_same_pictures(
    source: str, classes: tuple[str, ...], tmp_path: Path
) -> None:
    fewer = {"procedural": classes[:2], "drawn_animals": classes[:1]}[source]
    contents = []
    for names in (classes, fewer):
        folder = tmp_path / str(len(names))
        folder.mkdir()
        SOURCES[source](DataSettings(source=source, classes=names, n_per_class=5, draw_pixels=16), folder)
        index = read_table(folder / "index.csv")
        assert index["label"].value_counts().to_dict() == dict.fromkeys(names, 5)
        contents.append({path.name: path.read_bytes() for path in (folder / "images").iterdir()})
        assert sorted(contents[-1]) == sorted(index["image_name"])
    assert contents[1].items() < contents[0].items()
    with pytest.raises(SettingsError, match=f"no class 'x{classes[0]}' in the data; did you mean '{classes[0]}'"):
        SOURCES[source](DataSettings(source=source, classes=(f"x{classes[0]}", classes[1])), tmp_path)


def test_drawn_bytes_are_counted_by_the_classes_drawn() -> None:
    huge = {"n_per_class": 10**6, "image_size": 64}
    (fault,) = of_data(DataSettings(**huge))
    assert "are 37,000,000 pictures of 64 px, 455 GB" in fault
    assert of_data(DataSettings(**huge, classes=PETS)) == []
    (fault,) = of_data(DataSettings(**huge, classes=tuple(map(str, range(9)))))
    assert "are 9,000,000 pictures" in fault
    assert of_data(DataSettings(**huge, source="digits", classes=("1", "2"))) == []


@pytest.mark.parametrize("classes", [("pug",), ("pug", "pug"), ("pug", "Bengal", "pug")])
def test_too_few_classes_and_repeated_ones_are_told(classes: tuple[str, ...]) -> None:
    (fault,) = of_data(DataSettings(classes=classes))
    assert fault == f"classes: expected two or more, each once, found {list(classes)}"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_per_class": 40, "labels_per_class": 41}, ["41 of the 40 pictures of a class (n_per_class)"]),
        ({"n_per_class": 40, "labels_per_class": 40}, []),
        ({"source": "digits", "labels_per_class": 41}, []),
        (
            {"source": "digits", "labels_per_class": 41, "max_per_class": 30},
            ["41 of the 30 pictures of a class (max_p"],
        ),
    ],
)
def test_more_labels_than_pictures_are_told_before_anything_runs(settings: dict, said: list[str]) -> None:
    faults = of_data(DataSettings(**settings))
    assert len(faults) == len(said)
    assert all(fault.startswith(f"labels_per_class: {part}") for fault, part in zip(faults, said, strict=True))


@pytest.mark.parametrize("source", ["folder", "food11"])
def test_source_of_a_person_needs_a_path(source: str) -> None:
    (fault,) = of_data(DataSettings(source=source))
    assert fault.startswith("path: not set")
