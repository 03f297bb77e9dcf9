"""`init-data` points params.yaml at good pictures, and touches nothing for bad ones."""

from pathlib import Path

import pytest
from PIL import Image

from pawprint.data.init_data import init_data
from pawprint.errors import DataError
from pawprint.params import read_study

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """A copy of the repository's own params.yaml."""
    path = tmp_path / "params.yaml"
    path.write_bytes(PARAMS.read_bytes())
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "my pictures"
    for label, count in (("cat", 4), ("dog", 6)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (30, 20), "red").save(folder / label / f"{number}.jpg")
    return folder


def test_only_source_and_path_change(pictures: Path, params: Path) -> None:
    before = params.read_text().splitlines()
    summary = init_data(pictures, params)
    after = params.read_text().splitlines()
    assert len(before) == len(after)
    changed = [line for old, line in zip(before, after, strict=True) if old != line]
    assert [line.split("#")[0].strip() for line in changed] == ["source: folder", f"path: {pictures}"]
    assert all("#" in line for line in changed)
    data = read_study(params)[0].data
    assert (data.source, data.path) == ("folder", str(pictures))
    assert "10 pictures of 2 classes, 4 to 6 a class" in summary
    assert "used as train 6, val 2, test 2" in summary
    assert "dvc repro" in summary


def test_relative_folder_is_written_absolute(pictures: Path, params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    init_data(Path("../my pictures"), params)
    assert read_study(params)[0].data.path == str(pictures)


def test_bad_folder_changes_nothing(pictures: Path, params: Path, tmp_path: Path) -> None:
    before = params.read_bytes()
    (pictures / "cat/0.jpg").write_bytes(b"")
    (pictures / "dog/0.jpg").write_text("text")
    with pytest.raises(DataError, match=r"(?s)2 of 10.*cat/0.jpg: empty.*dog/0.jpg: not a picture"):
        init_data(pictures, params)
    for path in (tmp_path / "nowhere", pictures / "cat"):
        with pytest.raises(DataError):
            init_data(path, params)
    assert params.read_bytes() == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["my pictures", "params.yaml"]


def test_class_too_small_to_split_is_refused(pictures: Path, params: Path) -> None:
    (pictures / "bird").mkdir()
    Image.new("RGB", (9, 9)).save(pictures / "bird/1.png")
    with pytest.raises(DataError, match=r"bird \(1\)"):
        init_data(pictures, params)
