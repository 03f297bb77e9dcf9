"""Packed data: what was decoded, whole or not at all, the same bytes each time."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pawprint.data.decode import read_picture
from pawprint.data.faults import Fault, read_faults, write_faults
from pawprint.data.index import COLUMNS, read_table, write_table
from pawprint.data.packed import pack, pixel_statistics
from pawprint.data.prepared import load
from pawprint.data.split import split_hash
from pawprint.errors import DataError
from pawprint.types import DataSettings

SETTINGS = DataSettings(source="folder", image_size=16)


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    """Two classes of eight noisy pictures of various sizes, in a fetched folder."""
    folder = tmp_path / "fetch"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for label in ("dog", "cat"):
        for number in range(8):
            name = f"{label}_{number}.png"
            noise = rng.integers(0, 255, (20 + number, 30, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / "images" / name)
            rows.append((name, label, ""))
    write_table(pd.DataFrame(rows, columns=COLUMNS), folder / "index.csv")
    return folder


def test_arrays_hold_the_named_pictures_and_labels(fetched: Path, tmp_path: Path) -> None:
    pack(fetched, tmp_path / "prepare", SETTINGS)
    data = load(tmp_path / "prepare")
    assert data.class_names == ["cat", "dog"]
    assert data.image_shape == (3, 16, 16)
    assert [len(data.train), len(data.val), len(data.test)] == [8, 4, 4]
    for part in (data.train, data.val, data.test):
        assert isinstance(part.images, np.memmap)
        assert not part.images.flags.writeable
        assert (part.images.dtype, part.labels.dtype) == (np.uint8, np.int64)
        for name, image, label in zip(part.names, part.images, part.labels, strict=True):
            assert np.array_equal(image, read_picture(fetched / "images" / name, 16))
            assert name.startswith(data.class_names[label])
    split = pd.read_csv(tmp_path / "prepare/split.csv")
    assert split["image_name"].tolist() == data.train.names + data.val.names + data.test.names
    assert data.split_hash == split_hash(split)


def test_statistics_are_those_of_train(fetched: Path, tmp_path: Path) -> None:
    pack(fetched, tmp_path / "prepare", SETTINGS)
    data = load(tmp_path / "prepare")
    pixels = np.asarray(data.train.images) / 255
    assert np.allclose(data.mean, pixels.mean(axis=(0, 1, 2)), rtol=0, atol=1e-12)
    assert np.allclose(data.std, pixels.std(axis=(0, 1, 2)), rtol=0, atol=1e-12)


def test_statistics_do_not_depend_on_the_order() -> None:
    images = np.random.default_rng(0).integers(0, 255, (700, 4, 4, 3), dtype=np.uint8)
    assert pixel_statistics(images) == pixel_statistics(images[::-1])


def test_packing_twice_gives_the_same_bytes(fetched: Path, tmp_path: Path) -> None:
    for out in ("one", "two", "two"):  # the last replaces what is there
        pack(fetched, tmp_path / out, SETTINGS)
    files = sorted(f.name for f in (tmp_path / "one").iterdir())
    assert len(files) == 9
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_content_hash_follows_pictures_and_split(fetched: Path, tmp_path: Path) -> None:
    def content_hash(settings: DataSettings) -> str:
        pack(fetched, tmp_path / "prepare", settings)
        return load(tmp_path / "prepare").content_hash

    hashes = [content_hash(SETTINGS), content_hash(DataSettings(image_size=16, split_seed=1))]
    Image.new("RGB", (20, 20)).save(fetched / "images/cat_0.png")
    hashes.append(content_hash(SETTINGS))
    assert len(set(hashes)) == 3


def test_one_error_names_every_broken_file_and_nothing_is_written(fetched: Path, tmp_path: Path) -> None:
    whole = (fetched / "images/cat_0.png").read_bytes()
    (fetched / "images/cat_0.png").write_bytes(whole[: len(whole) // 2])
    (fetched / "images/cat_1.png").write_bytes(b"")
    (fetched / "images/dog_7.png").write_text("a letter, not a picture")
    with pytest.raises(DataError) as error:
        pack(fetched, tmp_path / "prepare", SETTINGS)
    message = str(error.value)
    assert "3 faults in the data: 1 cannot be decoded, 1 empty file, 1 not a picture" in message
    for fault in ("cat_0.png: cannot be decoded: image file is truncated", "cat_1.png: empty", "dog_7.png: not a p"):
        assert fault in message
    assert sorted(f.name for f in tmp_path.iterdir()) == ["fetch"]


def with_unlabelled(fetched: Path, n: int) -> dict[str, np.ndarray]:
    """Pictures that nobody labelled, added to the fetched ones: by name, as they are prepared."""
    table, added = read_table(fetched / "index.csv"), {}
    for number in range(n):
        name = f"any_{number}.png"
        noise = np.random.default_rng(100 + number).integers(0, 99, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(fetched / "images" / name)
        table.loc[len(table)] = [name, "", "unlabelled"]
        added[name] = noise
    write_table(table, fetched / "index.csv")
    return added


def test_set_without_unlabelled_pictures_has_no_such_part(fetched: Path, tmp_path: Path) -> None:
    pack(fetched, tmp_path / "prepare", SETTINGS)
    assert load(tmp_path / "prepare").unlabelled is None
    assert not list((tmp_path / "prepare").glob("unlabelled*"))
    assert json.loads((tmp_path / "prepare/data.json").read_text())["n_unlabelled"] == 0


def test_unlabelled_pictures_are_a_fourth_part_with_hidden_labels_or_none(fetched: Path, tmp_path: Path) -> None:
    added = with_unlabelled(fetched, 5)
    pack(fetched, tmp_path / "prepare", replace(SETTINGS, labels_per_class=1))
    data = load(tmp_path / "prepare")
    assert data.unlabelled is not None
    assert [len(data.train), len(data.val), len(data.test), len(data.unlabelled)] == [2, 4, 4, 6 + 5]
    assert isinstance(data.unlabelled.images, np.memmap)
    assert data.class_names == ["cat", "dog"]
    for name, image, label in zip(data.unlabelled.names, data.unlabelled.images, data.unlabelled.labels, strict=True):
        assert label == (-1 if name in added else data.class_names.index(name[:3]))
        assert np.array_equal(image, added.get(name, read_picture(fetched / "images" / name, 16)))
    split = read_table(tmp_path / "prepare/split.csv")
    assert split["image_name"].tolist()[-11:] == data.unlabelled.names
    assert set(split["split"][-11:]) == {"unlabelled"}
    assert split["label"].tolist()[-11:] == [name[:3] if name not in added else "" for name in data.unlabelled.names]
    assert json.loads((tmp_path / "prepare/data.json").read_text())["n_unlabelled"] == 11
    pack(fetched, tmp_path / "again", replace(SETTINGS, labels_per_class=1))
    for file in (tmp_path / "prepare").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_statistics_are_of_all_that_is_learned_from(fetched: Path, tmp_path: Path) -> None:
    with_unlabelled(fetched, 40)
    pack(fetched, tmp_path / "prepare", replace(SETTINGS, labels_per_class=2))
    data = load(tmp_path / "prepare")
    assert data.unlabelled is not None
    pixels = np.concatenate([data.train.images, data.unlabelled.images]) / 255
    assert np.allclose(data.mean, pixels.mean(axis=(0, 1, 2)), rtol=0, atol=1e-12)
    assert np.allclose(data.std, pixels.std(axis=(0, 1, 2)), rtol=0, atol=1e-12)
    assert not np.allclose(data.mean, (data.train.images / 255).mean(axis=(0, 1, 2)), rtol=0, atol=0.05)


def test_hashes_follow_the_hidden_labels_and_the_unlabelled_pictures(fetched: Path, tmp_path: Path) -> None:
    def hashes(settings: DataSettings) -> tuple[str, str]:
        pack(fetched, tmp_path / "prepare", settings)
        data = load(tmp_path / "prepare")
        return data.split_hash, data.content_hash

    found = [hashes(replace(SETTINGS, labels_per_class=n)) for n in (0, 2, 3)]
    with_unlabelled(fetched, 3)
    found.append(hashes(SETTINGS))
    Image.new("RGB", (16, 16)).save(fetched / "images/any_1.png")
    found.append(hashes(SETTINGS))
    assert len({content for _, content in found}) == 5
    assert len({split for split, _ in found}) == 4  # the last changed a picture's pixels alone


def test_only_the_classes_named_are_prepared(fetched: Path, tmp_path: Path) -> None:
    rows = [(f"fox_{number}.png", "fox", "") for number in range(8)]  # without files: they are not looked at
    foxes = pd.DataFrame(rows, columns=COLUMNS)
    pack(fetched, tmp_path / "two", SETTINGS)
    write_table(pd.concat([read_table(fetched / "index.csv"), foxes]), fetched / "index.csv")
    pack(fetched, tmp_path / "named", replace(SETTINGS, classes=("dog", "cat")))
    two, named = load(tmp_path / "two"), load(tmp_path / "named")
    assert (named.split_hash, named.content_hash) == (two.split_hash, two.content_hash)


def test_failure_keeps_what_was_prepared_before(fetched: Path, tmp_path: Path) -> None:
    pack(fetched, tmp_path / "prepare", SETTINGS)
    before = load(tmp_path / "prepare").content_hash
    (fetched / "images/cat_1.png").write_bytes(b"")
    with pytest.raises(DataError):
        pack(fetched, tmp_path / "prepare", SETTINGS)
    assert load(tmp_path / "prepare").content_hash == before


def test_on_drop_the_rest_is_what_it_would_be_without(
    fetched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = read_table(fetched / "index.csv")
    write_table(index[~index["image_name"].isin(["cat_0.png", "dog_7.png"])], fetched / "index.csv")
    pack(fetched, tmp_path / "without", SETTINGS)
    assert (tmp_path / "without/dropped.csv").read_text() == "image_name,reason\n"
    assert capsys.readouterr().err == ""
    write_table(index, fetched / "index.csv")
    (fetched / "images/cat_0.png").write_bytes(b"")
    (fetched / "images/dog_7.png").unlink()
    write_faults([Fault("../x.png", "leads out of the folder")], fetched / "faults.csv")
    pack(fetched, tmp_path / "dropped", replace(SETTINGS, on_bad="drop"))
    assert load(tmp_path / "dropped").content_hash == load(tmp_path / "without").content_hash
    assert read_faults(tmp_path / "dropped/dropped.csv") == [
        ("../x.png", "leads out of the folder"),
        ("cat_0.png", "empty file"),
        ("dog_7.png", "cannot be read: No such file or directory"),
    ]
    assert json.loads((tmp_path / "dropped/data.json").read_text())["n_dropped"] == 3
    assert not (tmp_path / "dropped/decoded.npy").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("left out 3: 1 cannot be read, 1 empty file, 1 leads out of the folder; all are listed in")


def test_limit_of_a_class_is_kept_and_the_rest_is_not_decoded(fetched: Path, tmp_path: Path) -> None:
    pack(fetched, tmp_path / "prepare", replace(SETTINGS, max_per_class=5))
    data = load(tmp_path / "prepare")
    used = data.train.names + data.val.names + data.test.names
    assert sorted(name[:3] for name in used) == ["cat"] * 5 + ["dog"] * 5
    for file in (fetched / "images").iterdir():
        if file.name not in used:
            file.write_bytes(b"")
    pack(fetched, tmp_path / "again", replace(SETTINGS, max_per_class=5))
    assert load(tmp_path / "again").content_hash == data.content_hash
    assert read_faults(tmp_path / "again/dropped.csv") == []


def test_excluded_pictures_are_left_out_of_train(fetched: Path, tmp_path: Path) -> None:
    pack(fetched, tmp_path / "prepare", SETTINGS)
    whole = load(tmp_path / "prepare")
    excluded = tmp_path / "excluded.csv"
    excluded.write_text("image_name\n")
    assert isinstance(load(tmp_path / "prepare", excluded).train.images, np.memmap)
    excluded.write_text(f"image_name\n{whole.train.names[0]}\n{whole.train.names[3]}\n")
    part = load(tmp_path / "prepare", excluded)
    kept = [1, 2, 4, 5, 6, 7]
    assert part.train.names == [whole.train.names[i] for i in kept]
    assert np.array_equal(part.train.images, whole.train.images[kept])
    assert np.array_equal(part.train.labels, whole.train.labels[kept])
    assert part.mean == whole.mean
    excluded.write_text(f"image_name\n{whole.test.names[0]}\n")
    with pytest.raises(DataError, match=f"not in train: {whole.test.names[0]}"):
        load(tmp_path / "prepare", excluded)


def test_excluded_pictures_may_be_unlabelled(fetched: Path, tmp_path: Path) -> None:
    with_unlabelled(fetched, 3)
    pack(fetched, tmp_path / "prepare", SETTINGS)
    whole = load(tmp_path / "prepare")
    excluded = tmp_path / "excluded.csv"
    excluded.write_text(f"image_name\n{whole.train.names[0]}\nany_1.png\n")
    part = load(tmp_path / "prepare", excluded)
    assert part.unlabelled is not None
    assert whole.unlabelled is not None
    assert part.train.names == whole.train.names[1:]
    assert part.unlabelled.names == ["any_0.png", "any_2.png"]
    assert np.array_equal(part.unlabelled.images, whole.unlabelled.images[[0, 2]])
    assert part.unlabelled.labels.tolist() == [-1, -1]
    excluded.write_text("image_name\n" + "".join(f"any_{number}.png\n" for number in range(3)))
    rest = load(tmp_path / "prepare", excluded)
    assert rest.unlabelled is None
    assert isinstance(rest.train.images, np.memmap)  # nothing was taken from it
    excluded.write_text(f"image_name\n{whole.val.names[0]}\n")
    with pytest.raises(DataError, match=f"not in train or unlabelled: {whole.val.names[0]}"):
        load(tmp_path / "prepare", excluded)


def test_unprepared_or_uneven_folder_is_refused(fetched: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run `dvc repro prepare`"):
        load(tmp_path / "prepare")
    pack(fetched, tmp_path / "prepare", SETTINGS)
    np.save(tmp_path / "prepare/val_labels.npy", np.zeros(1, dtype=np.int64))
    with pytest.raises(DataError, match="val has 4 pictures, 1 labels"):
        load(tmp_path / "prepare")


def test_data_json_is_complete(fetched: Path, tmp_path: Path) -> None:
    pack(fetched, tmp_path / "prepare", SETTINGS)
    description = json.loads((tmp_path / "prepare/data.json").read_text())
    assert description["source"] == "folder"
    assert [description[f"n_{part}"] for part in ("train", "val", "test", "unlabelled")] == [8, 4, 4, 0]


def test_neither_stage_imports_torch() -> None:
    code = (
        "import sys, pawprint.stages.fetch, pawprint.stages.prepare;"
        "print('torch' in sys.modules, 'sklearn' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                            env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")})  # fmt: skip
    assert result.stdout.split() == ["False", "False"]
