"""`pawprint doctor`: each fault is told with the command that mends it, which is then run; what is well is `ok`."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

from pawprint import paths
from pawprint.graph import read_graph, recorded_outputs
from tests.clone import Repository
from tests.in_process import Done, pawprint
from tests.small_study import copy, flip_bit

IMAGES = Path("data/prepare/test_images.npy")
MEND = "pawprint doctor --mend"


class Checkout(Repository):
    """A small study's clone in which the doctor is asked, and what it says is done."""

    def doctor(self, *options: str) -> Done:
        return pawprint(self.folder, "doctor", *options)

    def faults(self, *options: str) -> list[str]:
        """Each fault in one line, with the exit code that belongs to it."""
        done = self.doctor(*options)
        assert done.stderr == ""
        told = lines(done.stdout, "FAULT")
        assert done.returncode == bool(told)
        return told

    def seen_by_dvc(self) -> None:
        """It has hashed every output once, and remembers."""
        with contextlib.chdir(self.folder), Repo() as repo:
            assert repo.status() == {}

    def cached(self, file: Path) -> Path:
        """The object that the cache has of a file of an output, or of a folder that is one."""
        return self.object(Path(".dvc/cache/files/md5"), file)

    def object(self, root: Path, file: Path) -> Path:
        with contextlib.chdir(self.folder):
            for output in recorded_outputs(read_graph()):
                if output.path == file:
                    return self.folder / root / output.md5[:2] / output.md5[2:]
                if file.is_relative_to(output.path):
                    listing = json.loads((root / output.md5[:2] / output.md5[2:]).read_bytes())
                    entries = {entry["relpath"]: entry["md5"] for entry in listing}
                    md5 = entries[file.relative_to(output.path).as_posix()]
                    return self.folder / root / md5[:2] / md5[2:]
        raise KeyError(file)

    def do(self, line: str) -> None:
        """Type what the line says."""
        command = line.partition("→ ")[2]
        if command == MEND:
            assert self.doctor("--mend").returncode == 0
        else:
            self.run("sh", "-c", command)

    def stage(self, name: str, *arguments: str) -> int:
        """The exit code of the stage, run as DVC runs it."""
        os.environ["DVC_STAGE"] = "@".join([name, *arguments])
        try:
            return pawprint(self.folder, *arguments, module=f"pawprint.stages.{name}").returncode
        finally:
            del os.environ["DVC_STAGE"]


def lines(said: str, mark: str) -> list[str]:
    """The entries with that mark, each with its continuation lines joined."""
    entries = re.split(r"^(?=(?:ok|note|mended|FAULT)\b)", said.partition("\n\n")[0], flags=re.MULTILINE)
    return [" ".join(entry.split()) for entry in entries if entry.startswith(mark)]


@pytest.fixture
def checkout(stored: Repository, tmp_path: Path) -> Checkout:
    repository = Checkout(copy(stored, tmp_path / "clone").folder)
    shutil.copytree(stored.folder / ".dvc/cache/files", tmp_path / "pawprint-remote/files")  # as `dvc push` leaves it
    return repository


def flip_in_cache(checkout: Checkout, file: Path, check_out: bool) -> None:
    """Damage the object; `check_out`: the workspace has it from there."""
    flip_bit(checkout.cached(file))
    if check_out:
        (checkout.folder / file).unlink()
        with contextlib.chdir(checkout.folder), Repo() as repo:
            repo.checkout([str(file)], force=True)


def test_nothing_wrong(checkout: Checkout) -> None:
    done = checkout.doctor("--remote")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("nothing wrong\n")
    assert not lines(done.stdout, "note")
    assert "each what its name says" in done.stdout
    assert "28 outputs, as their stages wrote them" in done.stdout


# Cache and workspace


def test_an_object_damaged_before_it_was_checked_out_is_fetched_anew(checkout: Checkout) -> None:
    """The way of a newcomer: a stage refuses, the doctor mends, and what it then says lets the stage run."""
    flip_in_cache(checkout, IMAGES, check_out=True)
    assert checkout.stage("test", "baseline") == 1
    faults = checkout.faults()
    assert [fault.split("→ ")[1] for fault in faults] == [MEND, MEND]
    assert "data/prepare/test_images.npy of prepare: damaged in the cache: MD5" in faults[0]
    assert "data/prepare/test_images.npy: MD5" in faults[1]
    (fault,) = checkout.faults("--mend")
    assert fault.endswith("1 of its objects missing from the cache → dvc pull data/prepare; dvc repro")
    assert len(list((checkout.folder / paths.QUARANTINE).rglob("*-*"))) > 1, "moved, not deleted"
    checkout.do(fault)
    assert checkout.faults() == []
    assert checkout.stage("test", "baseline") == 0
    assert checkout.run("git", "status", "--short") == ""


@pytest.mark.long
@pytest.mark.parametrize("link", ["symlink", "hardlink"])
def test_where_the_workspace_has_links_into_the_cache_both_are_mended(checkout: Checkout, link: str) -> None:
    """One bit, two names."""
    with (checkout.folder / ".dvc/config.local").open("a") as file:
        file.write(f"[cache]\n    type = {link}\n")
    with contextlib.chdir(checkout.folder), Repo() as repo:
        repo.checkout(["data/prepare"], relink=True, force=True)
    assert checkout.cached(IMAGES).samefile(checkout.folder / IMAGES)
    flip_bit(checkout.cached(IMAGES))
    assert len(checkout.faults()) == 2
    assert len(checkout.faults("--mend")) == 1
    with contextlib.chdir(checkout.folder), Repo() as repo:
        repo.pull(["data/prepare"])
    assert checkout.faults() == []


@pytest.mark.long
def test_what_no_remote_has_is_made_anew(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder.parent / "pawprint-remote")
    flip_in_cache(checkout, IMAGES, check_out=True)
    (fault,) = checkout.faults("--mend")
    config = checkout.folder / ".dvc/config"
    config.write_text(config.read_text().partition("    remote =")[0])
    (fault,) = checkout.faults()
    assert fault.endswith("→ dvc repro")
    checkout.do(fault)
    assert checkout.faults() == []


@pytest.mark.parametrize(
    "file", [IMAGES, Path("data/prepare"), Path("data/check/excluded.csv"), Path("metrics/test/baseline.json")], ids=str
)
@pytest.mark.parametrize("lost", [False, pytest.param(True, marks=pytest.mark.long)], ids=["damaged", "lost"])
def test_an_object_that_the_workspace_has_whole_is_put_back(checkout: Checkout, file: Path, lost: bool) -> None:
    cached = checkout.cached(file)
    whole = cached.read_bytes()
    if lost:
        cached.unlink()
    else:
        flip_bit(cached)
    if lost and file.parts[0] == "metrics":
        assert checkout.faults() == [], "they are git's; the cache's is a copy"
        return
    (fault,) = checkout.faults()
    assert str(file if not lost else file.parent if file == IMAGES else file) in fault
    checkout.do(fault)
    assert cached.read_bytes() == whole
    assert (checkout.folder / file).exists(), "copied, not moved"
    assert checkout.faults() == []


def test_a_bit_flipped_on_the_disk_is_taken_from_the_cache(checkout: Checkout) -> None:
    checkout.seen_by_dvc()
    flip_bit(checkout.folder / IMAGES)
    (fault,) = checkout.faults()
    assert "DVC takes it for unchanged" in fault
    checkout.do(fault)
    assert (checkout.folder / IMAGES).read_bytes() == checkout.cached(IMAGES).read_bytes()


@pytest.mark.parametrize(
    "file", ["metrics/train/baseline.json", pytest.param("params/baseline.yaml", marks=pytest.mark.long)]
)
def test_a_bit_flipped_in_what_git_has_is_taken_from_git(checkout: Checkout, file: str) -> None:
    before = (checkout.folder / file).read_bytes()
    checkout.seen_by_dvc()
    flip_bit(checkout.folder / file)
    (fault,) = checkout.faults()
    checkout.do(fault)
    assert (checkout.folder / file).read_bytes() == before
    assert checkout.faults() == []


def test_a_change_that_dvc_sees_is_no_fault(checkout: Checkout) -> None:
    """It runs again what it must."""
    (checkout.folder / "metrics/train/baseline.json").write_text("{}\n")
    (checkout.folder / IMAGES).write_bytes(b"other pictures")
    done = checkout.doctor("--mend")
    assert done.returncode == 0
    assert (checkout.folder / IMAGES).read_bytes() == b"other pictures", "a person's change is not touched"
    (note,) = lines(done.stdout, "note")
    assert "metrics/train/baseline.json" in note
    assert "data/prepare" in note


def test_where_cache_and_remote_are_empty_only_a_repro_helps(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder / ".dvc/cache")
    shutil.rmtree(checkout.folder.parent / "pawprint-remote")
    done = checkout.doctor()
    assert lines(done.stdout, "FAULT")[0].endswith("none of what dvc.lock names is here → dvc pull; dvc repro")
    assert lines(done.stdout, "note")[0].endswith("is empty, as the cache is")


@pytest.mark.long
def test_a_clone_without_results_is_told_to_fetch_them(checkout: Checkout) -> None:
    for name in (".dvc/cache", "data", "models", "plots/train", "plots/test", "plots/check", "plots/probe"):
        shutil.rmtree(checkout.folder / name)
    (fault,) = checkout.faults("--remote")
    assert "empty, as after a clone" in fault
    flip_bit(checkout.object(Path("../pawprint-remote/files/md5"), IMAGES))
    assert "damaged in beside" in checkout.faults("--remote")[1], "of which only the remote knows that it is to be"
    flip_bit(checkout.object(Path("../pawprint-remote/files/md5"), IMAGES))
    checkout.do(fault)
    assert checkout.faults() == []
    assert checkout.run("git", "status", "--short") == ""


def test_objects_of_other_commits_are_looked_at_when_asked(checkout: Checkout) -> None:
    other = checkout.folder / ".dvc/cache/files/md5/ab" / ("0" * 30)
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"not what its name says")
    assert checkout.faults() == []
    (fault,) = checkout.faults("--all")
    assert fault.endswith("→ pawprint doctor --mend --all")
    assert checkout.faults("--mend", "--all") == []
    assert not other.exists()


def test_many_faults_are_told_in_few_lines(checkout: Checkout) -> None:
    for path in sorted(checkout.folder.glob(".dvc/cache/files/md5/*/*")):
        if path.stat().st_size:
            flip_bit(path)
    faults = checkout.faults()
    assert len(faults) < 20
    assert any("more like these" in fault for fault in faults)


# Remotes


@pytest.fixture
def remote(checkout: Checkout) -> Path:
    return Path("../pawprint-remote/files/md5")


@pytest.mark.parametrize("lost", [False, True], ids=["damaged", "lost"])
def test_an_object_of_the_remote_is_uploaded_anew(checkout: Checkout, remote: Path, lost: bool) -> None:
    there = checkout.object(remote, IMAGES)
    if lost:
        there.unlink()
    else:
        flip_bit(there)
    (fault,) = checkout.faults("--remote")
    assert str(IMAGES) in fault
    assert MEND.replace("--mend", "--remote beside --mend") in fault
    assert checkout.faults("--remote", "--mend") == []
    assert there.read_bytes() == (checkout.folder / IMAGES).read_bytes()


def test_a_damaged_object_is_not_uploaded(checkout: Checkout, remote: Path) -> None:
    there = checkout.object(remote, IMAGES)
    flip_bit(there, bit=1)
    flip_in_cache(checkout, IMAGES, check_out=True)
    damaged = there.read_bytes()
    assert len(checkout.faults("--remote", "--mend")) == 2
    assert there.read_bytes() == damaged


def test_an_empty_remote_is_filled_by_a_push(checkout: Checkout, remote: Path) -> None:
    shutil.rmtree(checkout.folder.parent / "pawprint-remote")
    assert checkout.faults() == [], "a person alone may never push"
    (fault,) = checkout.faults("--remote", "beside")
    assert "is empty → dvc push --remote beside" in fault
    checkout.do(fault)
    assert checkout.faults("--remote") == []


@pytest.mark.long
def test_what_was_not_pushed_yet_is_pushed(checkout: Checkout, remote: Path) -> None:
    checkout.object(remote, Path("data/check/excluded.csv")).unlink()
    (fault,) = checkout.faults("--remote")
    assert "lacks 1 of" in fault
    checkout.do(fault)
    assert checkout.faults("--remote") == []


@pytest.mark.long
def test_a_remote_that_hands_out_damaged_objects_is_told(checkout: Checkout) -> None:
    config = checkout.folder / ".dvc/config"
    config.write_text(config.read_text().replace("verify = true", "verify = false"))
    (fault,) = checkout.faults()
    checkout.do(fault)
    assert checkout.faults() == []


def test_no_remote_a_wrong_name_and_one_that_cannot_be_read(checkout: Checkout) -> None:
    done = checkout.doctor("--remote", "besides")
    assert (done.returncode, done.stderr) == (2, "pawprint: --remote besides: no such remote; there are: beside\n")
    local = checkout.folder / ".dvc/config.local"
    kept = local.read_text()
    local.write_text(kept + "['remote \"web\"']\n    url = http://127.0.0.1:9/store\n    verify = true\n")
    assert checkout.faults() == [], "unasked, no network"
    (fault,) = checkout.faults("--remote", "web")
    assert "web (http://127.0.0.1:9/store) cannot be read" in fault
    local.write_text(kept)
    config = checkout.folder / ".dvc/config"
    config.write_text(config.read_text().partition("    remote =")[0])
    assert "on this machine only" in lines(checkout.doctor().stdout, "note")[0]


# Can DVC work here?


def test_a_lock_that_is_held_is_told_from_one_that_was_left(checkout: Checkout) -> None:
    lock = checkout.folder / paths.DVC_LOCK
    assert lock.exists(), "left by every dvc command"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f" {os.getpid()}\n")
        file.flush()
        done = checkout.doctor()
        assert f"DVC is at work here: process {os.getpid()}" in lines(done.stdout, "note")[0]
        flip_bit(checkout.cached(IMAGES))
        refused = checkout.doctor("--mend")
        assert (refused.returncode, "DVC is at work here" in refused.stderr) == (1, True)
    assert "ok locks none held, none left behind" in lines(checkout.doctor().stdout, "ok")


def rwlock(checkout: Checkout, pid: int, command: str) -> None:
    entry = {"pid": pid, "cmd": command}
    content = {"write": {str(checkout.folder / "models"): entry}, "read": {str(checkout.folder / "data"): [entry]}}
    (checkout.folder / paths.DVC_RWLOCKS[0]).write_text(json.dumps(content))


@pytest.fixture
def another_process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()", "dvc", "repro"], stdin=subprocess.PIPE) as process:
        yield process
        process.communicate(b"\n")


def test_a_killed_process_is_told_from_one_that_works(
    checkout: Checkout, another_process: subprocess.Popen[bytes]
) -> None:
    rwlock(checkout, another_process.pid, "dvc repro")
    assert f"DVC is at work here: process {another_process.pid}" in lines(checkout.doctor().stdout, "note")[0]
    rwlock(checkout, another_process.pid, "dvc repro --force")
    (fault,) = checkout.faults()
    assert "another process now" in fault
    checkout.do(fault)
    rwlock(checkout, 2**22 + 1, "dvc repro")  # no process has such a number
    assert "has ended; DVC passes over it" in lines(checkout.doctor().stdout, "note")[0]
    (checkout.folder / paths.DVC_RWLOCKS[0]).write_text('{"write": {"/a')
    (fault,) = checkout.faults()
    assert "cut off" in fault
    checkout.do(fault)
    assert checkout.faults() == []


def test_a_killed_experiment_left_a_detached_head(checkout: Checkout) -> None:
    checkout.run("git", "checkout", "-q", "--detach")
    assert "commits go to no branch" in lines(checkout.doctor().stdout, "note")[0]
    checkout.run("git", "update-ref", "refs/exps/exec/EXEC_BASELINE", "HEAD")
    (fault,) = checkout.faults()
    assert "`dvc exp run` was killed" in fault
    checkout.do(fault)
    assert "ok git on main" in lines(checkout.doctor().stdout, "ok")
    checkout.run("git", "checkout", "-q", "--detach")
    rwlock(checkout, os.getpid(), " ".join(sys.argv[-1:]))
    assert "while `dvc exp run` works" in lines(checkout.doctor().stdout, "note")[1]


def test_settings_that_cannot_be_read_are_told(checkout: Checkout) -> None:
    params = checkout.folder / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("epochs: 1", "epochs: -1\nepoch: 3"))
    unknown, negative = checkout.faults()
    assert "params.yaml: epoch: no such setting; did you mean 'epochs'? → git diff params.yaml" in unknown
    assert "params.yaml: epochs: should be greater than or equal to 1, found -1" in negative
    params.unlink()
    missing, graph = checkout.faults()
    assert "params.yaml: no such file" in missing
    assert "dvc.yaml: failed to parse" in graph
    checkout.do(missing)
    assert checkout.faults() == []


def test_windows_line_ends_are_told(checkout: Checkout) -> None:
    source = checkout.folder / "src/pawprint/seeding.py"
    text = source.read_bytes()
    source.write_bytes(text.replace(b"\n", b"\r\n"))
    (fault,) = checkout.faults()
    assert "src/pawprint/seeding.py has CRLF" in fault
    checkout.do(fault)
    assert source.read_bytes() == text


def test_a_cache_that_others_use_is_told(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("git", "worktree", "add", "-q", str(tmp_path / "other"))
    assert checkout.doctor().stdout.count("note") == 0, "the worktree has a cache of its own"
    for folder in (checkout.folder, tmp_path / "other"):
        with (folder / ".dvc/config.local").open("a") as file:
            file.write(f"[cache]\n    dir = {tmp_path / 'shared'}\n    type = hardlink\n")
    shutil.move(checkout.folder / ".dvc/cache", tmp_path / "shared")
    outside, other, linked = lines(checkout.doctor().stdout, "note")
    assert f"the cache is {tmp_path / 'shared'}, outside this checkout" in outside
    assert f"{tmp_path / 'other'} uses the same cache" in other
    assert "editing it damages the cache" in linked


def test_outside_a_repository_it_says_so(tmp_path: Path) -> None:
    done = pawprint(tmp_path, "doctor")
    assert done.returncode == 2
    assert "not inside a DVC repository" in done.stderr
