"""What a stage reads is verified before it is used: every fault is refused, and nothing that is well."""

import contextlib
import fcntl
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.repo.index import collect_files

from pawprint import integrity, paths
from pawprint.errors import Damaged, PawprintError
from pawprint.graph import STILL_SECONDS, Stage, read_graph, recorded_outputs
from pawprint.integrity import digest, list_files, verify, verify_inputs
from tests.clone import ROOT, Repository
from tests.guarantees.store import flipped_bits
from tests.in_process import pawprint
from tests.small_study import copy, flip_bit


@pytest.fixture
def study(stored: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The small study with its results, entered as DVC enters it for `test@baseline`."""
    folder = copy(stored, tmp_path / "clone").folder
    monkeypatch.setenv("DVC_STAGE", "test@baseline")
    with contextlib.chdir(folder):
        yield folder


def refused(stage: str = "") -> str:
    """What the refusal says."""
    if stage:
        os.environ["DVC_STAGE"] = stage  # monkeypatch of the fixture puts it back
    with pytest.raises(Damaged) as error:
        verify_inputs()
    return str(error.value)


# Hashes


def test_outputs_have_the_hashes_that_dvc_wrote(study: Path) -> None:
    outputs = recorded_outputs(read_graph())
    assert {output.path.is_dir() for output in outputs} == {True, False}
    for output in outputs:
        assert digest(list_files(output.path)) == output.md5, output


def test_a_folder_of_odd_names_has_dvcs_hash(study: Path) -> None:
    folder = Path("odd")
    for name in ("b/c.txt", "b.txt", "b-c", "ü/日本.png", 'quo"te\\', "B/empty"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() if name != "B/empty" else b"")
    (folder / "no files").mkdir()
    (folder / "link").symlink_to("b.txt")
    (folder / "linked folder").symlink_to("b")
    with Repo() as repo:
        (stage,) = repo.add(str(folder))
    assert digest(list_files(folder)) == stage.outs[0].hash_info.value


@pytest.mark.parametrize("folder", [ROOT, ROOT / "studies/digits"], ids=lambda folder: folder.name)
def test_the_graph_is_read_as_dvc_reads_it(folder: Path) -> None:
    with contextlib.chdir(folder):
        graph = read_graph()
        with Repo() as repo:
            indices = dict(collect_files(repo, onerror=lambda path, error: pytest.fail(f"{path}: {error}")))
    stages = {stage.name: stage for stage in indices[str(folder / "dvc.yaml")].stages}
    assert graph.keys() == stages.keys()
    for name, stage in stages.items():
        deps = {dep.def_path for dep in stage.deps} - {"params.yaml"}
        assert {path for path in graph[name].inputs if path != "params.yaml"} == deps
        assert set(graph[name].outputs) == {out.def_path for out in stage.outs}


def test_foreach_of_a_list_of_mappings_and_names_in_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("sizes: [{px: 8}, {px: 16}]\nwhere: {root: data}\nrates: [1e-2]\n")
    (tmp_path / "dvc.yaml").write_text("""
vars: [{kind: x}]
stages:
  draw: {foreach: "${sizes}", do: {cmd: c, deps: ["${where.root}/${kind}-${item.px}"], outs: ["out/${item.px}": {}]}}
  rate: {foreach: "${rates}", do: {cmd: c, outs: ["rate/${ item }"]}}
""")
    graph = read_graph()
    assert graph["draw@1"] == Stage(("data/x-16",), ("out/16",))
    assert graph["rate@0.01"].outputs == ("rate/0.01",)


def test_a_template_that_is_not_understood_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text('stages: {a: {cmd: c, deps: ["${nowhere.x}"]}}')
    with pytest.raises(PawprintError, match=re.escape("dvc.yaml: ${nowhere.x} is not known")):
        read_graph()
    for text, said in (("a: [", "dvc.yaml: not valid YAML"), ("a", "dvc.yaml: expected `name: value` lines")):
        (tmp_path / "dvc.yaml").write_text(text)
        with pytest.raises(PawprintError, match=re.escape(said)):
            read_graph()


# Refused


@pytest.mark.parametrize(
    ("stage", "file", "producer"),
    [
        ("test@baseline", "data/prepare/train_images.npy", "prepare"),  # a dep that is an output
        ("train@baseline", "models/start/lr_1e-2/start.json", "start"),  # a dep inside an output
        ("train@baseline", "params/lr_1e-2.yaml", "resolve"),  # a params file inside an output
        ("train@baseline", "metrics/check/gate.json", "check"),  # in git, not in the cache
        ("train@baseline", "data/check/excluded.csv", "check"),  # a single file
        ("compare", "metrics/train/lr_1e-2.json", "train@lr_1e-2"),  # below a dep
        ("compare", "plots/test/baseline/predictions.csv", "test@baseline"),
    ],
)
def test_a_flipped_bit_is_refused(study: Path, stage: str, file: str, producer: str) -> None:
    flip_bit(Path(file))
    said = refused(stage)
    assert f"{producer}`" in said
    assert "doctor --mend" in said
    assert f"dvc commit --force {producer}`" in said
    # `params` stays in place when it is written anew (`persist`): then DVC keeps no listing of it to say which file.
    place = "params: MD5 of its listing" if producer == "resolve" else f"{file}: MD5 {integrity.hash_file(Path(file))}"
    assert place in said


def test_missing_and_additional_files_are_named_and_only_the_first_few(study: Path) -> None:
    Path("data/prepare/train_labels.npy").unlink()
    Path("data/prepare/more.npy").write_bytes(b"x")
    said = refused()
    assert "data/prepare/train_labels.npy: missing, of `prepare`" in said
    assert "data/prepare/more.npy: not written by it, of `prepare`" in said
    for file in Path("data/prepare").iterdir():
        file.write_bytes(b"y")
    flip_bit(Path("models/train/baseline/baseline-s0/weights.safetensors"))
    said = refused()
    assert said.count("MD5") == 3
    assert "and 7 more of `prepare`" in said
    assert "weights.safetensors" in said, "each output has its lines"


def test_nothing_is_written_and_the_exit_code_is_1(study: Path) -> None:
    flip_bit(Path("data/prepare/test_images.npy"))
    written = Path("metrics/test/baseline.json")
    written.unlink()
    done = pawprint(study, "baseline", module="pawprint.stages.test")
    assert done.returncode == 1
    assert done.stderr.startswith("test@baseline: what was to be read is not what was written:\n  data/prepare/test_")
    assert "Traceback" not in done.stderr
    assert not written.exists()


def test_a_file_that_cannot_be_read_and_a_broken_link_are_told(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = Path("data/prepare/test_images.npy")
    images.unlink()
    images.symlink_to("/nowhere")  # as when the cache's object is gone and cache.type is symlink
    assert f"{images}: missing" in refused()
    monkeypatch.setattr(integrity, "list_files", lambda path: {"": integrity.hash_file(Path("/proc/self/mem"))})
    assert "/proc/self/mem: cannot be read: Input/output error" in refused()


# Let through


@pytest.mark.parametrize("stage", ["test@baseline", "dvc.yaml:train@lr_1e-2", "../../dvc.yaml:compare", "fetch"])
def test_undamaged_inputs_are_let_through(study: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    monkeypatch.setenv("DVC_STAGE", stage)
    verify_inputs()


def test_what_another_stage_reads_is_not_asked_for(study: Path) -> None:
    flip_bit(Path("plots/test/lr_1e-2/predictions.csv"))
    verify_inputs()


def test_by_hand_nothing_is_verified(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE")
    flip_bit(Path("data/prepare/test_images.npy"))
    assert pawprint(study, "baseline", module="pawprint.stages.test").returncode == 0


def test_without_dvc_lock_or_an_entry_of_it_nothing_is_known(study: Path) -> None:
    flip_bit(Path("data/prepare/test_images.npy"))
    lock = Path("dvc.lock")
    lock.write_text(re.sub(r"  prepare:\n(    .*\n)+", "", lock.read_text()))
    verify_inputs()
    lock.unlink()
    verify_inputs()


def test_what_a_variant_left_that_is_no_more_is_not_asked_for(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text().replace(", lr_1e-2: {lr: 0.01}", ""))
    flip_bit(Path("metrics/train/lr_1e-2.json"))
    monkeypatch.setenv("DVC_STAGE", "compare")
    verify_inputs()


def test_a_commited_change_is_let_through(study: Path) -> None:
    with Path("data/prepare/dropped.csv").open("a") as file:
        file.write("cat.png,by hand\n")
    (command,) = re.findall(r"`(dvc commit [^`]+)`", refused())
    Repository(study).run(*command.split())
    verify_inputs()


def test_what_dvcignore_excludes_is_no_fault(study: Path) -> None:
    Path("data/prepare/.DS_Store").write_bytes(b"Finder's")
    assert ".DS_Store: not written by it" in refused()
    with Path(".dvcignore").open("a") as file:
        file.write(".DS_Store\n")
    verify_inputs()
    flip_bit(Path("data/prepare/test_images.npy"))
    assert ".DS_Store" not in refused()


def test_a_listing_that_the_cache_has_lost_still_refuses(study: Path) -> None:
    flip_bit(Path("data/prepare/test_images.npy"))
    (listing,) = [output.md5 for output in recorded_outputs(read_graph()) if str(output.path) == "data/prepare"]
    Path(".dvc/cache/files/md5", listing[:2], listing[2:]).unlink()
    assert f"data/prepare: MD5 of its listing {digest(list_files(Path('data/prepare')))}" in refused()


def test_a_stage_that_dvc_yaml_does_not_have_is_told(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "tset@baseline")
    with pytest.raises(PawprintError, match="has no stage tset@baseline"):
        verify_inputs()


# dvc.lock while another DVC writes it


def test_a_half_written_lock_is_waited_for(study: Path) -> None:
    """As with JOBS=2: DVC holds its lock, cuts dvc.lock off, and writes it in pieces."""
    flip_bit(Path("data/prepare/test_images.npy"))
    whole, begun = paths.LOCK.read_text(), threading.Event()

    def write() -> None:
        with paths.DVC_LOCK.open("a") as lock, paths.LOCK.open("w") as file:
            fcntl.flock(lock, fcntl.LOCK_EX)
            begun.set()
            for start in range(0, len(whole), len(whole) // 8):
                time.sleep(0.05)
                file.write(whole[start : start + len(whole) // 8])
                file.flush()
            fcntl.flock(lock, fcntl.LOCK_UN)

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    assert "test_images.npy" in refused(), "half of it would have let it through"
    writer.join()


def test_a_lock_that_is_held_for_long_is_not_waited_for(study: Path) -> None:
    """`dvc push` holds it for as long as it takes, and does not write dvc.lock."""
    long_ago = time.time() - 60
    os.utime(paths.LOCK, (long_ago, long_ago))
    with paths.DVC_LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = time.monotonic()
        verify_inputs()
        assert time.monotonic() - started < STILL_SECONDS / 2


def test_a_damaged_lock_is_told(study: Path) -> None:
    paths.LOCK.write_text("stages: {a: [")
    with pytest.raises(PawprintError, match=r"dvc\.lock: not valid YAML"):
        verify_inputs()


# By hand


def test_training_by_hand_refuses_damaged_pictures(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE")
    flip_bit(Path("data/prepare/train_images.npy"))
    done = pawprint(study, "train", "--quiet")
    assert done.returncode == 1
    assert "data/prepare/train_images.npy: MD5" in done.stderr
    flip_bit(Path("data/prepare/train_images.npy"))
    assert pawprint(study, "train", "--quiet").returncode == 0


@pytest.mark.parametrize("path", ["models/train/baseline", "models/train/baseline/baseline-s0/weights.safetensors"])
def test_a_file_or_folder_is_verified_with_all_its_output(study: Path, path: str) -> None:
    verify(Path(path))
    flip_bit(Path("models/train/baseline/baseline-s0/weights.safetensors"))
    with pytest.raises(Damaged, match=r"weights\.safetensors: MD5"):
        verify(Path(path))
    verify(Path("models/train/lr_1e-2"))


def test_where_there_is_no_graph_there_is_nothing_to_hold_it_against(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        verify(Path("models"))


def test_it_is_quick_to_import() -> None:
    code = "import sys, pawprint.integrity; print([m for m in ('torch', 'dvc', 'numpy', 'pandas') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("n_flips", [30, pytest.param(1000, marks=pytest.mark.long)])
def test_flipped_bits_are_refused(stored: Repository, tmp_path: Path, n_flips: int) -> None:
    rows = flipped_bits(copy(stored, tmp_path / "clone"), n_flips, seed=n_flips)
    assert sum(row.tried for row in rows[:4]) == n_flips
    assert [row for row in rows if row.held != row.tried] == []
