"""The source task and what the variants start from, in a study of a few tiny pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from tests.in_process import Done, pawprint

DATA = {"source": "folder", "path": "pictures", "image_size": 12}


def draw(folder: Path, n_classes: int) -> None:
    """Four pictures a class, each class of its own color."""
    draws = np.random.default_rng(0)
    for label in range(n_classes):
        (folder / f"class_{label}").mkdir(parents=True)
        for number in range(4):
            pixels = draws.integers(0, 40, (12, 12, 3)) + 200 * label // n_classes
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"class_{label}" / f"{number}.png")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    draw(tmp_path / "pictures", 2)
    draw(tmp_path / "others", 3)
    return write(tmp_path, "folder")


def write(folder: Path, source: str) -> Path:
    params = {
        "study": "tiny", "data": DATA, "epochs": 1, "batch_size": 4, "seeds": [0], "pretrained_source": source,
        "pretrain": {"data": {"path": "others", "image_size": 12}, "epochs": 1, "batch_size": 4},
        "variants": {"baseline": {}} | ({"pretrained": {"pretrained": True}} if source != "none" else {}),
        "checks": {"parameter_update": {}},
    }  # fmt: skip
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(params, file)
    return folder


def run(folder: Path, *stages: str) -> Done:
    done = Done(0, "", "")
    for stage in stages:
        name, *arguments = stage.split("@")
        done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
        assert done.returncode == 0, done.stderr
    return done


def test_a_pretrained_variant_starts_from_the_source_task_and_others_do_not(study: Path) -> None:
    run(study, "resolve", "pretrain", "start")
    record = json.loads((study / "metrics/pretrain.json").read_text())
    assert (record["source"], record["n_classes"]) == ("folder", 3)
    weights = study / "models/pretrain/weights.safetensors"
    assert load_file(weights)["fc.weight"].shape == (3, 512)
    assert (study / "models/pretrain/steps.csv").read_text().startswith("step,")
    assert (study / "models/start/pretrained/weights.safetensors").read_bytes() == weights.read_bytes()
    assert [file.name for file in (study / "models/start/baseline").iterdir()] == ["start.json"]
    assert list((study / "runs/pretrain").iterdir()) == [], "the source task's pictures are gone"


def test_the_graph_trains_from_these_weights(study: Path) -> None:
    run(study, "fetch", "prepare", "resolve", "pretrain", "start", "check", "train@pretrained", "train@baseline")
    for variant, source in (("pretrained", "others"), ("baseline", None)):
        record = json.loads((study / f"models/train/{variant}/{variant}-s0/run.json").read_text())
        assert record["spec"]["pretrained_on"] == source
        assert record["class_names"] == ["class_0", "class_1"]
    first = [
        (study / f"plots/train/{variant}/{variant}-s0-steps.csv").read_text().splitlines()[1]
        for variant in ("pretrained", "baseline")
    ]
    assert first[0] != first[1]


def test_the_same_pretraining_leaves_the_same_bytes(study: Path) -> None:
    contents = []
    for _ in range(2):
        run(study, "pretrain")
        contents.append({file.name: file.read_bytes() for file in (study / "models/pretrain").iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {
        "weights.safetensors",
        "run.json",
        "steps.csv",
        "epochs.csv",
        "dropped.csv",
        "source.json",
    }


def test_a_study_without_pretraining_has_the_stages_and_no_weights(study: Path) -> None:
    write(study, "none")
    run(study, "resolve", "pretrain", "start")
    assert json.loads((study / "metrics/pretrain.json").read_text()) == {"source": "none"}
    assert [file.name for file in (study / "models/pretrain").iterdir()] == ["source.json"]


def test_imagenet_without_a_network_is_an_error_and_leaves_nothing(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    write(study, "imagenet")
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setenv("TORCH_HOME", str(study / "torch"))
    done = pawprint(study, module="pawprint.stages.pretrain")
    assert done.returncode == 1
    assert "pretrained_source: imagenet" in done.stderr
    assert not (study / "metrics/pretrain.json").exists()


def test_broken_pictures_of_the_source_task_are_named(study: Path) -> None:
    (study / "others/class_0/0.png").write_bytes(b"")
    done = pawprint(study, module="pawprint.stages.pretrain")
    assert done.returncode == 1
    assert "class_0/0.png: empty" in done.stderr
    assert list((study / "runs/pretrain").iterdir()) == []
