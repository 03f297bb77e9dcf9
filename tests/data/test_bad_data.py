"""Everything that can be wrong with a data set, in one: told in one error, or left out, through both stages."""

import csv
import json
import os
import zipfile
from pathlib import Path

import pytest

from pawprint.data.faults import read_faults
from pawprint.data.prepared import load
from tests.data import bad_files
from tests.in_process import Done, pawprint

PETS = Path(__file__).parents[3] / "shared/data/pets"
BOM, N_SOUND = "\ufeff", 12


def study(folder: Path, **data: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(
        json.dumps({"study": "bad", "data": {"image_size": 16, **data}, "variants": {"baseline": {}}})
    )
    return folder


def stage(name: str, folder: Path) -> Done:
    return pawprint(folder, module=f"pawprint.stages.{name}")


def sound_pictures(folder: Path) -> list[list[str]]:
    """Twelve cats and dogs, some with names and formats that are odd and sound, and their rows."""
    rows = []
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(N_SOUND):
            name = f"{label}/{number}" + {0: " ü猫.JPG", 1: ".Png", 2: ".a.webp"}.get(number, ".jpg")
            file_format = {1: "PNG", 2: "WEBP", 3: "GIF"}.get(number, "JPEG")
            (folder / name).write_bytes(bad_files.encoded(file_format, bad_files.noise(seed=len(rows))))
            rows.append([name, label, ""])
    return rows


def write_rows(rows: list[list[str]], path: Path) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(BOM)
        csv.writer(file, lineterminator="\r\n").writerows([["image_name", "label", "split"], *rows])
    return str(path)


def plant(folder: Path, rows: list[list[str]]) -> dict[str, str]:
    """Add faults of every kind to the pictures and their rows; name → how its reason begins."""
    faults = {}
    for number, (content, reason) in enumerate(bad_files.bad_pictures().values()):
        name = f"{('cat', 'dog')[number % 2]}/bad_{number}.jpg"
        (folder / name).write_bytes(content)
        rows.append([name, name[:3], ""])
        faults[name] = reason
    for name in ("in_no_row", "twice", "two_labels", "no_label", "no_such_split", "other_label", "ambiguous", "short"):
        (folder / f"cat/{name}.jpg").write_bytes(bad_files.encoded("JPEG"))
    (folder / "cat/ambiguous.png").write_bytes(bad_files.encoded("PNG"))
    (folder / "dog/link.jpg").symlink_to("/etc/passwd")
    os.mkfifo(folder / "dog/fifo.jpg")
    (folder / "dog/huge.jpg").touch()
    os.truncate(folder / "dog/huge.jpg", 200_000_000)
    for label in ("bird", "fish"):
        (folder / label).mkdir()
    (folder / "bird/only.png").write_bytes(bad_files.encoded("PNG"))
    unnamed = ["", "dog", ""]
    rows += [
        ["cat/twice.jpg", "cat", ""], ["cat/twice", "cat", ""], ["cat/two_labels.jpg", "cat", ""],
        ["cat/two_labels.jpg", "dog", ""], ["cat/no_label.jpg", "", ""], ["cat/no_such_split.jpg", "cat", "Vla"],
        ["cat/other_label.jpg", "dog", ""], ["cat/ambiguous", "cat", ""], ["cat/short.jpg", "cat"],
        ["../cat/0.jpg", "cat", ""], ["/etc/passwd", "cat", ""], ["cat\\1.jpg", "cat", ""], ["cat/a\0.jpg", "cat", ""],
        ["dog/not_here.jpg", "dog", ""], unnamed, ["bird/only.png", "bird", ""], [""],
    ]  # fmt: skip
    return faults | {
        "cat/in_no_row.jpg": "named in no row",
        "cat/twice.jpg": "named more than once: 2 rows",
        "cat/twice": "named more than once: 2 rows",
        "cat/two_labels.jpg": "named with more than one label: cat and dog",
        "cat/no_label.jpg": "no label",
        "cat/no_such_split.jpg": "unknown split: 'Vla'",
        "cat/other_label.jpg": "label differs: dog in split.csv, cat in",
        "cat/ambiguous": "ambiguous: is it cat/ambiguous.jpg",
        "cat/short.jpg": "wrong number of fields: 2",
        "../cat/0.jpg": "leads out",
        "/etc/passwd": "leads out",
        "cat\\1.jpg": "leads out",
        "cat/a\\x00.jpg": "a name with control characters",
        "dog/not_here.jpg": "no such picture",
        f"line {rows.index(unnamed) + 2} of split.csv": "no image_name",
        "dog/link.jpg": "leads out",
        "dog/fifo.jpg": "not a plain file",
        "dog/huge.jpg": "file too large: 200 MB",
        "fish/": "class without pictures",
        "cat/ambiguous.jpg": "named in no row",
        "cat/ambiguous.png": "named in no row",
    }


def assert_all(faults: dict[str, str], expected: dict[str, str]) -> None:
    assert sorted(faults) == sorted(expected)
    wrong = {name: faults[name] for name, reason in expected.items() if not faults[name].startswith(reason)}
    assert wrong == {}


def test_every_fault_is_listed_once_or_left_out(tmp_path: Path) -> None:
    rows = sound_pictures(tmp_path / "own")
    healthy = study(tmp_path / "healthy", source="folder", path=str(tmp_path / "own"))
    assert stage("fetch", healthy).returncode == stage("prepare", healthy).returncode == 0
    expected = plant(tmp_path / "own", rows)
    split_file = write_rows(rows, tmp_path / "split.csv")
    evil = study(tmp_path / "evil", source="folder", path=str(tmp_path / "own"), split_file=split_file)

    fetched = stage("fetch", evil)
    assert fetched.returncode == 0
    assert "; 5 faults in data/fetch/faults.csv: 1 class without pictures, 1 empty file" in fetched.stdout
    stopped = stage("prepare", evil)
    assert stopped.returncode == 1
    first, *lines, last = stopped.stderr.splitlines()
    one_picture = {"class bird": "too few pictures to be in train, val and test: bird has 1; expected 3 or more"}
    assert f": {len(expected) + 1} faults in the data: 11 not a picture of a known format, 8 too large" in first
    assert_all(dict(line.strip().split(": ", 1) for line in lines), expected | one_picture)
    names = [line.split(": ")[0] for line in lines]
    assert names == sorted(names)
    assert "dvc repro --force fetch" in last
    assert "data.on_bad" in last
    assert sorted(f.name for f in (evil / "data").iterdir()) == ["fetch"]

    study(evil, source="folder", path=str(tmp_path / "own"), split_file=split_file, on_bad="drop")
    dropped = stage("prepare", evil)
    assert (dropped.returncode, len(dropped.stderr.splitlines())) == (0, 1)
    assert f"({len(expected) + 1} left out)" in dropped.stdout
    one_picture = {"bird/only.png": one_picture["class bird"]}
    assert_all(dict(read_faults(evil / "data/prepare/dropped.csv")), expected | one_picture)
    assert load(evil / "data/prepare").content_hash == load(healthy / "data/prepare").content_hash


def test_the_same_in_an_archive(tmp_path: Path) -> None:
    sound_pictures(tmp_path / "own")
    healthy = study(tmp_path / "healthy", source="folder", path=str(tmp_path / "own"))
    assert stage("fetch", healthy).returncode == stage("prepare", healthy).returncode == 0
    expected = {}
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        for file in sorted((tmp_path / "own").rglob("*.*")):
            archive.write(file, "pictures/" + file.relative_to(tmp_path / "own").as_posix())
        for number, (content, reason) in enumerate(bad_files.bad_pictures().values()):
            archive.writestr(f"pictures/cat/bad_{number}.jpg", content)
            expected[f"cat/bad_{number}.jpg"] = reason
        archive.writestr("../../evil.jpg", b"x")
        archive.writestr("pictures/dog/../../../evil.jpg", b"x")
    expected |= {"../../evil.jpg": "leads out", "dog/../../../evil.jpg": "leads out"}
    evil = study(tmp_path / "evil", source="folder", path=str(tmp_path / "own.zip"), on_bad="drop")
    assert stage("fetch", evil).returncode == stage("prepare", evil).returncode == 0
    assert_all(dict(read_faults(evil / "data/prepare/dropped.csv")), expected)
    assert load(evil / "data/prepare").content_hash == load(healthy / "data/prepare").content_hash
    assert not list(tmp_path.rglob("evil.jpg"))


@pytest.mark.parametrize("path", ["nowhere", "own", "own.zip", "text.zip"])
def test_fetch_of_nothing_writes_nothing(tmp_path: Path, path: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "text.zip").write_text("a letter, not an archive")
    zipfile.ZipFile(tmp_path / "own.zip", "w").close()
    folder = study(tmp_path / "study", source="folder", path=str(tmp_path / path))
    failed = stage("fetch", folder)
    assert failed.returncode == 1
    assert str(tmp_path / path) in failed.stderr
    assert (
        "expected one folder a class" in failed.stderr or "no such folder" in failed.stderr or ".zip" in failed.stderr
    )
    assert [f for f in folder.rglob("*") if f.is_file()] == [folder / "params.yaml"]


@pytest.mark.skipif(not PETS.is_dir(), reason="no ../shared/data/pets here")
def test_odd_originals_are_read_as_pictures_of_their_class(tmp_path: Path) -> None:
    """A GIF and an RGBA PNG named .jpg, as the archive has them, beside ordinary photographs of two breeds."""
    for label in ("Abyssinian", "beagle"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for file in sorted((PETS / "images").glob(f"{label}_*.jpg"))[:5]:
            (tmp_path / "own" / label / f"photo_{file.name}").write_bytes(file.read_bytes())
    odd = sorted((PETS / "odd-originals").iterdir())
    for file in odd:
        (tmp_path / "own/Abyssinian" / file.name).write_bytes(file.read_bytes())
    folder = study(tmp_path / "study", source="folder", path=str(tmp_path / "own"))
    assert stage("fetch", folder).returncode == stage("prepare", folder).returncode == 0
    data = load(folder / "data/prepare")
    parts = [data.train, data.val, data.test]
    assert {f"Abyssinian/{file.name}" for file in odd} < {name for part in parts for name in part.names}
    assert sum(len(part) for part in parts) == 12
