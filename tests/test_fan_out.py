"""Variants on a Ray cluster: what cannot be sent away is refused; what can comes back as if it had run at home."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml

from pawprint.errors import SettingsError
from pawprint.fan_out import command
from pawprint.fan_out.board import Board
from pawprint.fan_out.job import FIRST, Home, Job, versions, work
from pawprint.types import RunSpec
from tests.clone import Repository, ran
from tests.cluster import copied, fan_out, nodes, study
from tests.in_process import Done, pawprint
from tests.small_study import copy

GRAPH = {
    "prepare": [],
    "start": [],
    "train@baseline": ["prepare", "start"],
    "test@baseline": ["prepare", "train@baseline"],
    "compare": ["test@baseline"],
}
ELSEWHERE = "127.0.0.1:1"  # nobody listens there


@pytest.fixture
def home(stored: Repository, tmp_path: Path) -> Repository:
    return copy(stored, tmp_path / "clone")


def sent(home: Repository, *options: str) -> Done:
    return pawprint(home.folder, "fan-out", "--address", ELSEWHERE, *options)


def change(home: Repository, file: str, before: str, after: str) -> None:
    path = home.folder / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    home.commit("changed")


# ---- what is refused ----


def test_what_is_up_to_date_is_not_sent(home: Repository) -> None:
    done = sent(home)
    assert (done.returncode, done.stdout) == (0, "every variant is up to date\n")


def test_outputs_that_nobody_pulled_are_no_reason_to_run(home: Repository) -> None:
    home.run("rm", "-r", "models/train", "data/prepare", "plots/test")
    assert sent(home).stdout == "every variant is up to date\n"


def test_changes_that_are_not_committed_are_named(home: Repository) -> None:
    (home.folder / "src/pawprint/new.py").write_text("")
    done = sent(home)
    assert done.returncode == 2
    assert "what runs on the cluster is the commit, and these differ from it: src/pawprint/new.py" in done.stderr


def test_an_unknown_variant_is_told_the_known_ones(home: Repository) -> None:
    done = sent(home, "--variant", "baselin")
    assert done.returncode == 2
    assert "baselin: no variant of params.yaml" in done.stderr
    assert "baseline" in done.stderr


def test_what_several_variants_need_must_be_up_to_date(home: Repository) -> None:
    change(home, "params.yaml", "checks: {output_shape: {}}", "checks: {output_shape: {}, parameter_update: {}}")
    done = sent(home)
    assert done.returncode == 2
    said = "needed by several variants: check, resolve, start; `dvc repro check resolve start`, then commit dvc.lock"
    assert said in done.stderr


@pytest.fixture
def stale(home: Repository) -> Repository:
    """A study in which the code of one stage of the variants has changed."""
    change(home, "src/pawprint/stages/test.py", '"""', '"""Changed. ')
    return home


def test_without_a_remote_there_is_no_way_back(stale: Repository) -> None:
    change(stale, ".dvc/config", "remote = beside\n", "")
    done = sent(stale)
    assert done.returncode == 2
    assert "DVC has no default remote" in done.stderr


def test_a_remote_without_run_cache_is_refused(stale: Repository) -> None:
    change(stale, ".dvc/config", "url = ../../pawprint-remote", "url = http://127.0.0.1:1")
    done = sent(stale)
    assert done.returncode == 2
    assert "remote beside: run-cache is not supported for http" in done.stderr


def test_without_ray_it_says_how_to_get_it(stale: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    done = sent(stale)
    assert done.returncode == 2
    assert "Ray is not installed: `make cluster` adds it" in done.stderr


def test_without_a_cluster_it_says_how_to_begin_one(stale: Repository) -> None:
    pytest.importorskip("ray")
    done = sent(stale)
    assert done.returncode == 2
    assert "no Ray cluster at 127.0.0.1:1 (" in done.stderr
    assert "`ray start --head --port=6379` begins one here" in done.stderr


# ---- jobs ----


def test_a_job_asks_for_what_its_variant_trains_on(spec: RunSpec) -> None:
    runs = [replace(spec, threads=3), replace(spec, run="other", accelerator="cuda", devices=2)]
    stale = {"train@baseline", "test@baseline", "compare"}
    (job,) = command.jobs_of(runs, [], GRAPH, stale, "studies/digits")
    stages = ("train@baseline", "test@baseline")
    assert job == Job("baseline", "studies/digits", ("prepare", "start"), stages, cpus=3, gpus=2)


def test_a_training_on_several_machines_is_no_job(spec: RunSpec) -> None:
    with pytest.raises(SettingsError, match="baseline: num_nodes: expected 1"):
        command.jobs_of([replace(spec, num_nodes=2)], [], GRAPH, {"train@baseline"}, ".")


def test_what_is_trained_already_is_an_input(spec: RunSpec) -> None:
    (job,) = command.jobs_of([spec], ["baseline"], GRAPH, {"test@baseline", "compare"}, ".")
    assert (job.inputs, job.stages, job.gpus) == (("prepare", "train@baseline"), ("test@baseline",), 0)


def test_the_version_of_every_package_is_known() -> None:
    """Also of those whose name is written with a hyphen here and with an underscore there."""
    assert "none" not in versions(command.packages()).values()


def test_a_node_with_other_versions_does_not_run() -> None:
    job = Job("baseline", ".", (), ("train@baseline",), 1, 0)
    failure = work(job, Home(b"", {}, versions(["numpy"]) | {"torch": "1.0", "nowhere": "2"}), lambda _: None)
    assert failure is not None
    assert re.search(r" has torch [\d.]+\S*, at home 1\.0; nowhere none, at home 2: install", failure)
    assert "numpy" not in failure


def test_packages_are_those_that_pawprint_needs() -> None:
    assert {"torch", "dvc", "scikit-learn"} <= set(command.packages())
    assert not {"pytest", "ray", "moto"} & set(command.packages())


def test_a_job_that_fails_tells_the_end_of_its_log() -> None:
    job = Job("baseline", ".", (), ("train@baseline",), 1, 0)
    failure = work(job, Home(b"no bundle", {}, versions([])), lambda _: None)
    assert failure is not None
    assert failure.startswith("git clone ended with exit code 128:\n")


def test_the_board_has_the_last_node_and_all_failures(capsys: pytest.CaptureFixture[str]) -> None:
    board = Board(["baseline", "lr_1e-1"])
    board.hear([("baseline", "a", FIRST), ("baseline", "a", "train@baseline"), ("baseline", "b", FIRST)])
    board.end("baseline", None)
    board.end("lr_1e-1", "because")
    assert board.failed == ["lr_1e-1"]
    assert (board.places["baseline"].node, board.places["baseline"].what) == ("b", "done")
    said = capsys.readouterr().err
    assert "train@baseline on a" in said
    assert "lr_1e-1 on –:\nbecause" in said


# ---- a cluster ----

FAULTS = re.compile(r"unable to acquire lock|lock error|is busy|LockError|Traceback", re.IGNORECASE)
SETTINGS = {
    "epochs": 150, "save_every_seconds": 0.2, "probes": {"brightness": {"factors": [0.5, 1.0]}},
    "variants": {"baseline": {}, "lr_1e-1": {"lr": 0.1}, "lr_1e-2": {"lr": 0.01}, "sgd": {"optimizer": "sgd"}},
}  # fmt: skip
LONGEST_SECONDS = 240


def training(under_way: subprocess.Popen[str]) -> psutil.Process:
    """A training of a job's, once it has saved a state: it is in the middle."""
    while under_way.poll() is None:
        for process in psutil.process_iter():
            try:
                ours = process.cmdline()[1:3] == ["-m", "pawprint.stages.train"] and "/pawprint-" in process.cwd()
                if ours and list(Path(process.cwd()).glob("runs/state/*.s*")):
                    return process
            except (psutil.Error, IndexError, StopIteration):
                continue
        time.sleep(0.02)
    pytest.fail("".join(under_way.communicate()))


def raylet(process: psutil.Process) -> psutil.Process:
    return next(parent for parent in process.parents() if parent.name() == "raylet")


def kill_worker(process: psutil.Process) -> None:
    """As the system does when memory runs out: Ray's process alone."""
    worker = next(parent for parent in process.parents() if parent.name().startswith("ray::"))
    worker.send_signal(signal.SIGKILL)


def kill_node(process: psutil.Process) -> None:
    """As when the power goes."""
    node = raylet(process)
    for each in [node, *node.children(recursive=True)]:
        each.send_signal(signal.SIGKILL)


def logs(cluster: object) -> str:
    folder = Path(cluster.head_node.get_session_dir_path()) / "logs"  # type: ignore[attr-defined]
    return "".join(path.read_text(errors="replace") for path in sorted(folder.glob("worker-*.out")))


@pytest.mark.long
def test_with_a_worker_and_a_node_killed_everything_ends_once_in_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    home = study(tmp_path / "cluster", **SETTINGS)
    single = copied(home, tmp_path / "single")
    with nodes(2) as cluster:
        under_way = fan_out(home, cluster.address)
        first = training(under_way)
        kill_worker(first)
        psutil.wait_procs([first], timeout=20)
        assert not first.is_running()  # no orphan trains on
        second = training(under_way)
        kill_node(second)
        stdout, stderr = under_way.communicate(timeout=LONGEST_SECONDS)
        assert under_way.returncode == 0, stdout + stderr
        log = logs(cluster)
    assert not FAULTS.search(log + stderr)
    trained = re.findall(r"Running stage '(?:\S*:)?train@(\S+)'", log)
    assert set(trained) == set(SETTINGS["variants"])
    assert len(trained) == 4 + 2  # the two that were killed began twice
    assert ran(home.run("dvc", "repro", "--pull")) == {"compare", "report"}
    single.run("dvc", "repro")
    # Read, not as text: DVC writes stages in the order in which it ran them, which alone is another each time.
    locks = [yaml.safe_load((each.folder / each.study / "dvc.lock").read_text()) for each in (home, single)]
    assert locks[0] == locks[1]
    assert home.run("git", "status", "--short", "--", "params") == ""
