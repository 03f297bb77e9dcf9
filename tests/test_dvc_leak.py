"""Real DVC on pictures of which some stand in two parts: nothing is trained, or train does without them."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from pawprint.data.sources.procedural import BREEDS, draw_pet
from tests.clone import Repository, clone, edit, ran

BREED = BREEDS[1].name
PER_CLASS = {"train": 8, "val": 3, "test": 3}


def write_pictures(folder: Path) -> None:
    """Three breeds in the three parts, and among test's pictures a mirrored, recompressed copy of one of train's."""
    for drawn in BREEDS[:3]:
        breed = drawn.name
        index = 0
        for part, n in PER_CLASS.items():
            (folder / part / breed).mkdir(parents=True)
            for _ in range(n):
                Image.fromarray(draw_pet(drawn, seed=0, index=index, pixels=48)).save(
                    folder / part / breed / f"{index}.png"
                )
                index += 1
    with Image.open(folder / "train" / BREED / "4.png") as picture:
        ImageOps.mirror(picture.convert("RGB")).save(folder / "test" / BREED / "from_the_web.jpg", quality=70)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = clone(tmp_path / "repository", variants={"baseline": {}}, questions={}, probed=[], epochs=1)
    write_pictures(repository.folder / "pictures")
    edit(repository.folder / "params.yaml", {}, {"source": "folder", "path": "pictures", "image_size": 32})
    return repository


def test_a_leak_stops_the_graph_and_says_which_pictures(repository: Repository) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "dvc", "repro"], cwd=repository.folder, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert ran(done.stdout) == {"fetch", "resolve", "prepare", "pretrain", "start", "check"}
    assert "nothing is trained before this is mended" in done.stderr
    assert f"train's train/{BREED}/4.png and test's test/{BREED}/from_the_web.jpg (mirrored)" in done.stderr
    assert "on_leak: drop_from_train" in done.stderr
    assert not (repository.folder / "metrics/check/gate.json").exists()
    report = json.loads((repository.folder / "metrics/check/report.json").read_text())
    assert report["pictures"]["leakage"]["numbers"]["n_train_test"] == 1
    page = (repository.folder / "plots/check/report.html").read_text()
    assert "from_the_web.jpg" in page
    assert "data:image/png;base64," in page
    with (repository.folder / "plots/check/leakage.csv").open() as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["mirrored"]


def test_train_can_do_without_its_copies(repository: Repository) -> None:
    ran_stages = ran(repository.run("dvc", "exp", "run", "-S", "checks.leakage.on_leak=drop_from_train"))
    assert {"check", "train@baseline", "test@baseline"} <= ran_stages
    excluded = (repository.folder / "data/check/excluded.csv").read_text()
    assert excluded == f"image_name\ntrain/{BREED}/4.png\n"
    assert json.loads((repository.folder / "metrics/check/gate.json").read_text()) == {"passed": True}
