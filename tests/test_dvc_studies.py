"""Real DVC inside a study's folder: the same holds there, and the root stays as it is."""

import pytest

from tests.clone import Repository, clone, ran


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = clone(tmp_path_factory.mktemp("clone") / "repository", study="studies/digits")
    repository.run("dvc", "repro", "-q")
    repository.commit("results")
    return repository


@pytest.fixture
def clean(repository: Repository) -> Repository:
    repository.reset()
    return repository


@pytest.mark.long
def test_a_study_is_changed_from_its_own_folder(clean: Repository) -> None:
    before = (clean.folder / "params.yaml").read_bytes()
    stages = ran(clean.run("dvc", "exp", "run", "-n", "digits-lr", "-S", "lr=1e-2"))
    assert {s for s in stages if "train@" in s} == {"train@baseline"}
    assert (clean.folder / "params.yaml").read_bytes() == before
    assert "lr: 0.01" in (clean.folder / "studies/digits/params.yaml").read_text()
    assert "digits-lr" in clean.run("dvc", "exp", "show", "--csv")
    clean.reset()
    stages = ran(clean.run("dvc", "exp", "run", "-S", "+variants.new.lr=0.3"))
    assert {s for s in stages if "@" in s} == {"train@new", "test@new"}
