"""verify: what it says of equal and of other bytes, and that nothing on one machine changes a byte."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from pawprint.errors import PawprintError
from pawprint.training.checkpoint import save_weights
from pawprint.verify import Verification, difference, verify
from tests.clone import Repository, clone, edit

HERE = {"model": "one", "vectors": "avx2"}


def test_equal_bytes_are_verified() -> None:
    verification = Verification(n_outputs=3, here=HERE, made_on={"model": "another"})
    assert verification.passed
    assert list(verification.lines()) == ["verified: all 3 outputs have the bytes that dvc.lock names"]


def test_other_bytes_on_this_processor_fail_and_on_another_only_with_other_conclusions() -> None:
    stay, fall = {"a": ("better", "better")}, {"a": ("better", "within noise")}
    assert not Verification(3, {"x": "…"}, HERE, HERE, stay).passed
    assert Verification(3, {"x": "…"}, HERE, {"model": "another"}, stay).passed
    overturned = Verification(3, {"x": "…"}, HERE, {"model": "another"}, fall)
    assert not overturned.passed
    said = "\n".join(overturned.lines())
    assert "0 of 1 conclusions" in said
    assert "a: better in dvc.lock's table, within noise here" in said
    assert "one, avx2; dvc.lock's: another" in said


def weights(path: Path, value: float) -> None:
    save_weights(path, {"a": torch.zeros(3), "b": torch.tensor([0.5, value])})


def table(path: Path, value: float) -> None:
    pd.DataFrame({"variant": ["a", "b"], "loss": [1.0, value]}).to_csv(path, index=False)


def metrics(path: Path, value: float) -> None:
    path.write_text(json.dumps({"a": {"accuracy": value, "n": 3}}))


def array(path: Path, value: float) -> None:
    np.save(path, np.array([0.0, value]))


@pytest.mark.parametrize(("name", "write", "said"), [
    ("weights.safetensors", weights, "the largest difference of a weight is 0.25"),
    ("steps.csv", table, "the largest difference is 0.25, in loss"),
    ("metrics.json", metrics, "a.accuracy 1.25 instead of 1.0"),
    ("images.npy", array, "the largest difference is 0.25"),
])  # fmt: skip
def test_by_how_much_is_said(tmp_path: Path, name: str, write: Callable[[Path, float], None], said: str) -> None:
    for folder, value in (("before", 1.0), ("now", 1.25)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / name, value)
        (tmp_path / folder / "z.txt").write_text("unchanged")
    assert difference(tmp_path / "before" / name, tmp_path / "now" / name) == said
    assert difference(tmp_path / "before", tmp_path / "now") == f"{name}: {said}"
    (tmp_path / "now/z.txt").unlink()
    assert difference(tmp_path / "before", tmp_path / "now") == f"{name}: {said}; z.txt is missing"


def test_without_what_was_there_it_says_how_to_get_it(tmp_path: Path) -> None:
    assert "dvc pull" in difference(tmp_path / "none", tmp_path)


def test_a_study_without_results_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(PawprintError, match=r"dvc\.lock: no such file"):
        verify(tmp_path, jobs=1)


# ---- long: a small graph, again and again from scratch ----

Change = Callable[[Repository], None]


def reproduced(folder: Path, *prefix: str, change: Change | None = None, jobs: int = 2, **settings: str) -> str:
    """dvc.lock of a study run from scratch in a fresh clone."""
    repository = clone(folder, "studies/digits")
    if change is not None:
        change(repository)
    environment = repository.environment | {"JOBS": str(jobs)} | settings
    command = [*prefix, folder / "scripts/repro", folder / "studies/digits"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / "studies/digits/dvc.lock").read_text()


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    return reproduced(tmp_path_factory.mktemp("reference") / "project")


LISTS = re.compile(r"(metrics|plots)/(compare|check)( |/report)|report ")


def other_order(repository: Repository) -> None:
    study = repository.folder / "studies/digits/params.yaml"
    yaml = YAML()
    params = yaml.load(study.read_text())
    assert len(params["variants"]) > 1
    params["variants"] = dict(reversed(list(params["variants"].items())))
    with study.open("w") as file:
        yaml.dump(params, file)


def workers(repository: Repository) -> None:
    edit(repository.folder / "studies/digits/params.yaml", {"workers": 2, "save_every_seconds": 0}, {})


@pytest.mark.long
@pytest.mark.parametrize(("prefix", "change", "jobs", "settings"), [
    ((), None, 1, {}),
    ((), None, 3, {}),
    ((), None, 2, {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "3"}),
    (("taskset", "--cpu-list", "0"), None, 2, {}),
    ((), None, 2, {"TMPDIR": "/dev/shm"}),
    ((), workers, 2, {}),
    ((), other_order, 2, {}),
], ids=["one job", "three jobs", "threads", "one core", "temporary folder", "workers", "other order"])  # fmt: skip
def test_on_one_machine_nothing_changes_a_byte(
    tmp_path: Path, lock: str, prefix: tuple[str, ...], change: Change | None, jobs: int, settings: dict[str, str]
) -> None:
    found = outputs(reproduced(tmp_path / "elsewhere", *prefix, change=change, jobs=jobs, **settings))
    expected = outputs(lock)
    if change is other_order:  # what tells of all variants tells of them in their order
        found, expected = ([out for out in part if not LISTS.match(out)] for part in (found, expected))
    assert found == expected
    assert any("models/train" in out for out in found)


@pytest.mark.long
def test_a_queued_experiment_makes_the_same_bytes(tmp_path: Path, lock: str) -> None:
    repository = clone(tmp_path / "elsewhere", "studies/digits")
    repository.run("dvc", "exp", "run", "--queue", "--name", "queued")
    repository.run("dvc", "queue", "start")
    repository.run("dvc", "queue", "logs", "queued", "--follow")
    name = repository.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/**/queued").strip()
    assert name, repository.run("dvc", "queue", "logs", "queued")
    assert outputs(repository.run("git", "show", f"{name}:studies/digits/dvc.lock")) == outputs(lock)


def outputs(lock: str) -> list[str]:
    """The hashes of all outputs, in the order of their paths."""
    stages = YAML(typ="safe").load(lock)["stages"]
    return sorted(f"{out['path']} {out['md5']}" for stage in stages.values() for out in stage.get("outs", []))


@pytest.mark.long
def test_verify_passes_on_a_sound_commit_and_names_a_planted_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = clone(tmp_path / "project", "studies/digits")
    repository.run(str(tmp_path / "project/scripts/repro"), ".")
    repository.commit("results")
    sound = verify(tmp_path / "project/studies/digits", jobs=2)
    assert sound.passed, list(sound.lines())
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")  # torch computes as on a processor without vectors
    elsewhere = repository.run("pawprint", "verify")
    assert "this processor is another" in elsewhere
    assert "1 of 1 conclusions of the comparison stay" in elsewhere
    monkeypatch.delenv("ATEN_CPU_CAPABILITY")
    batches = tmp_path / "project/src/pawprint/seeding.py"  # an order of pictures that is drawn anew at each start
    batches.write_text(batches.read_text().replace("[stream, *key]", "[stream, *key, os.getpid()]").replace(
        "import zlib", "import os\nimport zlib"))  # fmt: skip
    repository.commit("a random order")
    faulty = verify(tmp_path / "project/studies/digits", jobs=2)
    assert not faulty.passed
    said = "\n".join(faulty.lines())
    assert "models/train/baseline: " in said
    assert "the largest difference of a weight is" in said
    assert "nothing should differ" in said
