"""Models go to a remote and come back in a clone elsewhere, by README's own lines; damage and failure are refused."""

import shlex
from pathlib import Path

import pytest

from tests.clone import ran
from tests.guarantees.remotes import (
    KINDS,
    Study,
    assert_sound,
    completes,
    configure,
    credential_lines,
    refused,
    remotes,
    served,
    shell_blocks,
    trained_study,
)
from tests.guarantees.servers import Remote
from tests.in_process import pawprint


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Trained, and pushed to the folder beside it."""
    study = trained_study(tmp_path_factory.mktemp("remotes"))
    assert shared_by_readme("dvc push") == [["dvc", "push"]]
    study.original.run("dvc", "push")
    return study


def shared_by_readme(*starts: str) -> list[list[str]]:
    """README's lines that begin so, in its order."""
    lines = [line for block in shell_blocks() for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(starts)]


def flip_a_bit_of_the_weights(study: Study, remote: Remote) -> tuple[str, bytes]:
    """The damaged object's key, and what it was."""
    (weights,) = (study.original.folder / "models/train/baseline/baseline-s0").glob("*.safetensors")
    (key,) = [key for key in remote.objects.keys() if remote.objects.read(key) == weights.read_bytes()]  # noqa: SIM118
    content = remote.objects.read(key)
    remote.objects.write(key, content[:-1] + bytes([content[-1] ^ 1]))
    return key, content


def test_a_clone_pulls_from_the_folder_beside_it_by_the_lines_of_the_readme(study: Study) -> None:
    with served("folder", study.scratch) as remote:
        configure(study.original, remote)
        other = study.cloned(remote)
        stage, predict, path, everything = shared_by_readme("dvc pull", "pawprint predict")
        other.run(*stage)
        assert set(other.files()) == set(study.original.files("models/train/baseline", "plots/train/baseline"))
        done = pawprint(other.folder, *predict[1:-1], str(study.picture), "--json")
        assert done.stdout == study.answer, done.stderr
        assert path[:2] == ["dvc", "pull"]
        other.run("dvc", "pull", path[2].replace("sgd", "lr_1e-2"))
        assert other.files("models") == study.original.files("models/train")
        other.run(*everything)
        assert other.files() == study.original.files()
        assert ran(other.run("dvc", "repro")) == set()
        assert other.run("git", "status", "--short") == ""


def test_over_http_a_wrong_password_and_damage_are_refused_and_then_the_pull_completes(study: Study) -> None:
    with served("HTTP", study.scratch) as remote:
        configure(study.original, remote)
        other = study.cloned(remote, remote.wrong_credentials)
        refused(other, "dvc", "pull", "train@baseline")
        assert other.files() == {}
        other.run_dvc(credential_lines(remote.credentials))
        key, whole = flip_a_bit_of_the_weights(study, remote)
        try:
            refused(other, "dvc", "pull", "train@baseline")
        finally:
            remote.objects.write(key, whole)
        assert_sound(study, other)
        completes(study, other)


@pytest.mark.long
def test_it_is_verify_that_refuses_what_is_damaged(study: Study) -> None:
    with served("folder", study.scratch) as remote:
        configure(study.original, remote)
        other = study.cloned(remote)
        other.run("dvc", "remote", "modify", "--local", "beside", "verify", "false")
        key, whole = flip_a_bit_of_the_weights(study, remote)
        try:
            other.run("dvc", "pull", "train@baseline")
        finally:
            remote.objects.write(key, whole)
        with pytest.raises(AssertionError, match="files that were never pushed"):
            assert_sound(study, other)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_remote_holds_what_is_promised(tmp_path: Path, kind: str) -> None:
    rows = remotes(tmp_path, n_faults=3, seed=0, kinds=[kind])
    if not rows[0].tried:
        pytest.skip(rows[0].how)
    for row in rows:
        assert row.held == row.tried, row.how
    n_cut = 0 if kind == "folder" else 3
    n_refused = {"folder": 2}.get(kind, 4)
    assert [row.tried for row in rows] == [1, n_refused, n_cut, 3]
