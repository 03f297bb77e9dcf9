"""One training in several processes: real ones, on this machine's processor, started by Fabric and by torchrun."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from safetensors.numpy import load_file

from pawprint.contradictions import of_run
from pawprint.errors import SettingsError
from pawprint.training.processes import started
from pawprint.types import RunSpec
from tests.clone import ROOT
from tests.in_process import pawprint

# 1,078 pictures of the digits are learned from: 22 batches of 49, which two processes can share if they are 98.
SETTINGS: dict[str, Any] = {"batch_size": 98, "mlp_layer_norm": [1], "trackers": ["dvclive", "wandb"]}


class Study:
    """A copy of a study's folder that is ready to be trained, with other settings."""

    def __init__(self, study: Path, folder: Path, **settings: Any) -> None:
        self.folder, self.runs = shutil.copytree(study, folder), folder / "own_runs"
        params = folder / "params.yaml"
        params.write_text(yaml.safe_dump(yaml.safe_load(params.read_text()) | SETTINGS | settings))
        done = pawprint(folder, module="pawprint.stages.resolve")
        assert done.returncode == 0, done.stderr
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PAWPRINT_RUNS": str(self.runs)}

    def start(self, *launcher: str) -> subprocess.Popen[str]:
        command = [*(launcher or (sys.executable,)), "-m", "pawprint.stages.train", "baseline"]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def train(self, *launcher: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*launcher)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def weights(self) -> dict[str, np.ndarray]:
        return load_file(self.folder / "models/train/baseline/baseline-s0/weights.safetensors")

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / f"plots/train/baseline/baseline-s0-{name}.csv")


def torchrun(n: int) -> tuple[str, ...]:
    return sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)


def test_two_processes_are_one_with_the_same_batch_and_one_of_them_writes(study: Path, tmp_path: Path) -> None:
    alone, both = Study(study, tmp_path / "one"), Study(study, tmp_path / "two", devices=2)
    for one in (alone, both):
        done = one.train()
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1
        assert len(list(one.runs.rglob("*.wandb"))) == 1
        assert len(list(one.runs.rglob("timings.jsonl"))) == 1
        assert len((one.runs / "timings.jsonl").read_text().splitlines()) == 1
        assert not list(one.runs.rglob("*.safetensors"))
    for name, values in alone.weights().items():
        assert np.allclose(values, both.weights()[name], atol=2e-6)
    steps, shared = alone.table("steps"), both.table("steps")
    assert len(steps) == 22
    assert np.allclose(steps, shared, rtol=1e-5)
    assert not np.array_equal(steps["gradient_norm_mean"], shared["gradient_norm_mean"])  # it was another sum
    assert np.allclose(alone.table("epochs"), both.table("epochs"), rtol=1e-5, equal_nan=True)


@pytest.mark.long
def test_a_stopped_training_of_two_processes_leaves_none_and_goes_on_to_the_same_bytes(
    study: Path, tmp_path: Path
) -> None:
    """By SIGTERM, as a scheduler would; with dropout, which each process draws for itself."""
    settings = {"devices": 2, "dropout": 0.2, "epochs": 60, "save_every_seconds": 0.2}
    whole, stopped = (Study(study, tmp_path / name, **settings) for name in ("whole", "stopped"))
    assert whole.train(*torchrun(2)).returncode == 0
    process = stopped.start()
    while not list(stopped.runs.glob("state/*.safetensors")):
        assert process.poll() is None
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    _, alive = psutil.wait_procs(children, timeout=10)
    assert children
    assert not alive
    assert "Traceback" not in err
    done = stopped.train()
    assert done.returncode == 0, done.stderr
    assert "goes on at step" in done.stderr
    for name, values in whole.weights().items():
        assert np.array_equal(values, stopped.weights()[name])
    assert whole.table("steps").equals(stopped.table("steps"))


def test_data_parallelism_of_one_process_changes_nothing(study: Path, tmp_path: Path) -> None:
    alone, ddp = Study(study, tmp_path / "one"), Study(study, tmp_path / "ddp", strategy="ddp", trackers=[])
    for one in (alone, ddp):
        done = one.train()
        assert done.returncode == 0, done.stderr
    assert alone.table("steps").equals(ddp.table("steps"))


@pytest.mark.long
def test_batch_normalization_in_two_processes_ends_in_weights_that_test_finds_again(
    study: Path, tmp_path: Path
) -> None:
    """Each process has statistics of its own share on a processor; what is measured and kept is one model's."""
    both = Study(study, tmp_path / "two", devices=2, model="cnn", cnn_widths=[4], epochs=3, ema_decay=0.9)
    done = both.train()
    assert done.returncode == 0, done.stderr
    done = pawprint(both.folder, "baseline", module="pawprint.stages.test")
    assert done.returncode == 0, done.stderr


def test_torchrun_with_another_number_of_processes_is_told_what_to_set(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(SettingsError, match=r"1 processes, and torchrun started 3: set devices to its --nproc-per-nod"):
        started([spec])
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert started([spec]).size == 1


def test_runs_of_one_program_ask_for_the_same_processes(spec: RunSpec) -> None:
    with pytest.raises(SettingsError, match="expected the same for all of its runs"):
        started([spec, replace(spec, devices=2)])


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"batch_size": 9}, "batch_size: 9 examples are shared by devices x num_nodes = 4 processes"),
        ({"class_weights": "balanced"}, "class_weights: balanced divides by the weights of a batch"),
        ({"mixing": "mixup"}, "mixing: mixup takes the batch whole"),
    ],
)
def test_what_several_processes_cannot_share_is_refused(spec: RunSpec, settings: dict[str, object], fault: str) -> None:
    changed = replace(spec, **settings)  # type: ignore[arg-type]
    assert of_run(changed) == []
    (found,) = of_run(replace(changed, devices=2, num_nodes=2))
    assert fault in found
