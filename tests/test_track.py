"""`pawprint track`: the very run that a training tells W&B, from its files; online only what is missing."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pawprint import paths, tracking
from pawprint.tracking.rows import Collected
from tests.in_process import Done, pawprint
from tests.tracking.offline import OWN, history, offline_records
from tests.tracking.service import Service, serve

SOURCE = str(Path(__file__).parents[1] / "src")
VARIANTS = """
trackers: [wandb]
variants:
  baseline: {}
  two: {runs: {wide: {mlp_widths: [24]}, narrow: {}}}
  diverging: {optimizer: sgd, lr: 1.0e+30}
"""


@pytest.fixture(scope="module")
def trained(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with four trainings, each told to W&B offline, below runs/ beside them."""
    folder = tmp_path_factory.mktemp("trained") / "study"
    shutil.copytree(study, folder)
    params = (study / "params.yaml").read_text()
    (folder / "params.yaml").write_text(params.replace("variants:\n  baseline: {}\n", VARIANTS.lstrip()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAWPRINT_RUNS", str(folder / "runs"))
        for stage, *arguments in (
            ["resolve"],
            ["check"],
            ["train", "baseline"],
            ["train", "two"],
            ["train", "diverging"],
        ):
            done = pawprint(folder, *arguments, module=f"pawprint.stages.{stage}")
            assert done.returncode == 0, done.stderr
    return folder


def record(folder: Path, variant: str, key: str) -> dict[str, Any]:
    return json.loads((folder / paths.train_outputs(variant).models / key / "run.json").read_text())


def content(records: list[dict[str, Any]]) -> dict[str, Any]:
    """What a run says, without when it was told."""
    (run,) = [record["run"] for record in records if record["type"] == "run"]
    summary: dict[str, Any] = {}
    for one in records:
        summary |= one["summary"]["update"] if one["type"] == "summary" else {}
    return {
        **{name: run[name] for name in ("display_name", "project", "run_group", "run_id")},
        "config": run["config"]["update"],
        "summary": {name: value for name, value in summary.items() if name not in (*OWN, "_wandb.runtime")},
        "history": history(records),
        "exit_codes": [record["exit"]["exit_code"] for record in records if record["type"] == "exit"],
    }


def told(runs: Path) -> list[str]:
    """The ids of the offline runs below `runs`."""
    return sorted(file.stem.removeprefix("run-") for file in runs.glob("wandb/wandb/offline-run-*/*.wandb"))


@pytest.mark.parametrize(
    ("run", "variant", "key"),
    [
        ("baseline", "baseline", "baseline-s0"),
        ("two/wide-s0", "two", "wide-s0"),
        ("models/train/diverging/diverging-s0", "diverging", "diverging-s0"),
    ],
)
def test_what_is_told_later_is_what_the_training_told(
    trained: Path, run: str, variant: str, key: str, runs_folder: Path
) -> None:
    done = pawprint(trained, "track", run)
    assert done.returncode == 0, done.stderr
    run_id = record(trained, variant, key)["id"]
    assert told(runs_folder) == [run_id]
    live, later = (content(offline_records(runs, run_id)) for runs in (trained / "runs", runs_folder))
    assert later == live
    assert len(live["history"]) == record(trained, variant, key)["steps"] + (2 if variant == "diverging" else 1)
    assert "test_accuracy" in live["history"][-1], "also where the loss was not finite"
    assert live["config"]["split_hash"]
    assert done.stdout.startswith(f"{live['display_name']}: all {len(live['history'])} rows in ")


def test_a_resumed_training_tells_again_what_it_had_told(
    trained: Path, runs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("runs", "train"))
    with (folder / "params.yaml").open("a") as params:
        params.write("save_every_seconds: 0\n")

    class Stopping(Collected):
        def put(self, values: dict[str, float], step: int) -> None:
            if step == 40:  # in the second epoch of two
                raise KeyboardInterrupt

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setitem(tracking.TRACKERS, "wandb", lambda *_: Stopping())
        pawprint(folder, "baseline", module="pawprint.stages.train")
    assert list((runs_folder / "state").glob("*.safetensors"))
    assert pawprint(folder, "baseline", module="pawprint.stages.train").returncode == 0
    run_id = record(folder, "baseline", "baseline-s0")["id"]
    assert run_id == record(trained, "baseline", "baseline-s0")["id"]
    resumed, whole = (content(offline_records(runs, run_id)) for runs in (runs_folder, trained / "runs"))
    assert resumed == whole


def test_all_of_a_study_and_of_a_training_by_hand(trained: Path, runs_folder: Path, tmp_path: Path) -> None:
    (trained / "models/pretrain").mkdir(exist_ok=True)
    assert pawprint(trained, "track", "--all").returncode == 0
    assert len(told(runs_folder)) == 4
    shutil.rmtree(runs_folder)
    assert pawprint(trained, "track", "two", "baseline").returncode == 0
    assert len(told(runs_folder)) == 3
    by_hand = tmp_path / "by_hand"
    for name in ("models", "plots"):
        shutil.copytree(trained / name / "train/two", by_hand / name / "train/two")
    shutil.rmtree(runs_folder)
    assert pawprint(tmp_path, "track", "by_hand").returncode == 0
    assert told(runs_folder) == sorted(record(trained, "two", key)["id"] for key in ("wide-s0", "narrow-s0"))


def test_pretrainings_files_stand_beside_its_record(trained: Path, runs_folder: Path, tmp_path: Path) -> None:
    source, pretrained = trained / "models/train/baseline/baseline-s0", tmp_path / "models/pretrain"
    shutil.copytree(source, pretrained)
    for name in ("steps", "epochs"):
        shutil.copy(trained / f"plots/train/baseline/baseline-s0-{name}.csv", pretrained / f"{name}.csv")
    assert pawprint(tmp_path, "track", "--all").returncode == 0
    assert told(runs_folder) == [record(trained, "baseline", "baseline-s0")["id"]]


def test_what_cannot_be_told_is_said_and_nothing_is_written(trained: Path, runs_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(trained, folder)
    (folder / "plots/train/two/wide-s0-epochs.csv").unlink()
    (folder / "plots/train/baseline/baseline-s0-steps.csv").write_text("step,training_loss\n1,low\n")
    broken = folder / "models/train/diverging/diverging-s0/run.json"
    broken.write_text(json.dumps({"id": "x", "spec": {"model": "alexnet"}}))
    (folder / "notes.txt").write_text("not rows")
    for run, said in {
        "basline": "basline: no variant that has been trained (did you mean 'baseline'?)",
        "two": "plots/train/two/wide-s0-epochs.csv: no such file; `dvc pull plots/train/two`",
        "baseline": "plots/train/baseline/baseline-s0-steps.csv: expected a table of numbers",
        "diverging": "models/train/diverging/diverging-s0/run.json: expected what this version",
        "notes.txt": "notes.txt: expected rows that wait for W&B",
    }.items():
        done = pawprint(folder, "track", run)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"pawprint: {said}"), done.stderr
        assert done.stderr.count("\n") == 1
    assert not runs_folder.exists()
    nothing = pawprint(tmp_path, "track", "--all")
    assert (nothing.returncode, "`dvc pull` or `dvc repro`" in nothing.stderr) == (1, True)
    assert pawprint(folder, "track").returncode == 2
    assert pawprint(folder, "track", "two", "--all").returncode == 2


def online(folder: Path, service: Service, *arguments: str, **more: str) -> Done:
    """In a process of its own: W&B's client keeps its first account for as long as it lives."""
    done = subprocess.run(
        [sys.executable, "-m", "pawprint.cli", "track", *arguments], cwd=folder, capture_output=True, text=True,
        env={**os.environ, **service.environment(), "PYTHONPATH": SOURCE, **more},
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def test_the_service_is_told_what_it_lacks_and_nothing_twice(trained: Path, runs_folder: Path) -> None:
    run = record(trained, "baseline", "baseline-s0")
    waiting = runs_folder / "wandb/unsent" / f"{run['id']}.jsonl"
    waiting.parent.mkdir(parents=True)
    waiting.touch()
    with serve() as service:
        done = online(trained, service, "baseline")
        assert done.returncode == 0, done.stderr
        page = f"{service.url}/me/pawprint/runs/{run['id']}"
        assert done.stdout == f"baseline-lr1e-3-bs32-none-s0: all {run['steps'] + 1} rows at {page}\n"
        first = [dict(row) for row in service.history[run["id"]]]
        service.history[run["id"]] = first[:20]  # as if the rest had not come
        service.summary[run["id"]] = json.dumps(first[19])
        assert online(trained, service, "baseline").returncode == 0
    rows = service.history[run["id"]]
    assert [row["_step"] for row in rows] == list(range(run["steps"] + 1))
    assert [without(row) for row in rows] == [without(row) for row in first]
    assert rows[-1]["test_accuracy"] == run["test"]["accuracy"]
    assert service.unknown == []
    assert not waiting.exists(), "nothing waits any more"


def without(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in OWN}


def test_a_refused_key_ends_with_1_and_one_message(trained: Path) -> None:
    with serve("refuses the key") as service:
        done = online(trained, service, "baseline")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pawprint: W&B did not take baseline-lr1e-3-bs32-none-s0 (CommError: ")
    assert "`wandb login`" in done.stderr
    assert "Traceback" not in done.stderr
    with serve() as service:
        disabled = online(trained, service, "baseline", WANDB_MODE="disabled")
    assert (disabled.returncode, "W&B is told nothing" in disabled.stderr) == (1, True)
    assert service.n_requests == 0
