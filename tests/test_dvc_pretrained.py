"""Real DVC: another pretraining re-trains the pretrained variants alone, and another rate no pretraining."""

import pytest

from tests.clone import Repository, clone, ran


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = clone(
        tmp_path_factory.mktemp("clone") / "repository",
        model="resnet18",
        epochs=1,
        probed=[],
        pretrained_source="drawn_animals",
        pretrain={"data": {"n_per_class": 5, "draw_pixels": 16, "image_size": 8}, "epochs": 1, "seed": 0},
        variants={"baseline": {}, "pretrained": {"pretrained": True, "lr": 0.001}},
        questions={},
    )
    repository.run("dvc", "repro", "-q")
    repository.commit("results")
    return repository


@pytest.fixture
def clean(repository: Repository) -> Repository:
    repository.reset()
    return repository


def test_another_pretraining_retrains_the_pretrained_alone(clean: Repository) -> None:
    assert ran(clean.run("dvc", "exp", "run", "-S", "pretrain.seed=1")) == {
        "resolve", "pretrain", "start", "check", "train@pretrained", "test@pretrained", "compare", "report",
    }  # fmt: skip


@pytest.mark.long
def test_another_rate_does_not_pretrain_again(clean: Repository) -> None:
    assert ran(clean.run("dvc", "exp", "run", "-S", "lr=1e-2")) == {
        "resolve", "start", "check", "train@baseline", "test@baseline", "compare", "report",
    }  # fmt: skip


def test_missing_weights_count_as_nothing_to_do(clean: Repository) -> None:
    """What CI asks of a clean checkout: that dvc.lock fits the code and the settings."""
    clean.run("rm", "-rf", "models", "data")
    assert ran(clean.run("dvc", "repro", "--allow-missing", "--dry")) == set()
