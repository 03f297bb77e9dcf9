"""Real DVC on a clone of the repository, with the committed dvc.yaml and a small model: what runs when."""

import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from ruamel.yaml import YAML

from tests.clone import ROOT, Repository, clone, ran

README = (ROOT / "README.md").read_text()
TYPED = [line[2:] for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
DONE_BY_THE_FIXTURE = [". .venv/bin/activate"]


def readme(start: str) -> list[str]:
    """The one command of the README that starts so."""
    (command,) = [line for line in TYPED if line.startswith(start)]
    RUN.add(command)
    return shlex.split(command)


RUN: set[str] = set()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = clone(tmp_path_factory.mktemp("clone") / "repository")
    repository.run("dvc", "repro", "-q")
    repository.commit("results")
    return repository


@pytest.fixture
def clean(repository: Repository) -> Repository:
    repository.reset()
    return repository


def test_a_second_repro_runs_nothing_and_leaves_git_clean(clean: Repository) -> None:
    assert ran(clean.run("dvc", "repro")) == set()
    assert clean.run("git", "status", "--short") == ""


def test_a_refused_setting_leaves_everything_as_it_was(clean: Repository) -> None:
    """DVC deletes a stage's outputs before it runs the stage; not those of `resolve`."""
    path = clean.folder / "params.yaml"
    path.write_text(path.read_text().replace("epochs: 4", "epochs: many"))
    with pytest.raises(AssertionError, match=r"params\.yaml: epochs: should be a valid integer, found 'many'"):
        clean.run("dvc", "repro")
    assert clean.run("git", "status", "--short") == " M params.yaml\n"


def test_a_changed_default_runs_exactly_the_variants_that_inherit_it(clean: Repository) -> None:
    stages = ran(clean.run(*readme("dvc exp run --name faster")))
    inherit = {"baseline", "onecycle"}
    assert {s for s in stages if s.startswith("train@")} == {f"train@{v}" for v in inherit}
    assert {s for s in stages if s.startswith("test@")} == {f"test@{v}" for v in inherit}
    assert stages - {f"{s}@{v}" for s in ("train", "test") for v in inherit} == {
        "resolve", "start", "check", "probe@onecycle", "compare",
    }  # fmt: skip
    table = json.loads((clean.folder / "metrics/compare/table.json").read_text())
    assert table["baseline"]["baseline"]["same_settings_as"] == ["lr_1e-2"]
    assert "faster" in clean.run(*readme("dvc exp show"))
    assert re.search(r"params/baseline.yaml.*0\.001.*0\.01", clean.run(*readme("dvc params diff")))
    assert "test_accuracy" in clean.run(*readme("dvc metrics diff"))


def test_a_changed_variant_runs_alone(clean: Repository) -> None:
    stages = ran(clean.run(*readme("dvc exp run -S variants")))
    assert {s for s in stages if "@" in s} == {"train@onecycle", "test@onecycle", "probe@onecycle"}


def test_a_new_variant_runs_alone_and_is_a_row(clean: Repository) -> None:
    stages = ran(clean.run(*readme("dvc exp run -S '+variants")))
    assert {s for s in stages if "@" in s} == {"train@new", "test@new"}
    assert "new" in json.loads((clean.folder / "metrics/compare/table.json").read_text())
    assert "variants.new.lr" in clean.run("dvc", "exp", "show", "--csv")
    assert "variants.new.lr" in clean.run("dvc", "params", "diff")


@pytest.mark.long
def test_a_temporary_experiment_runs_its_own_code(clean: Repository) -> None:
    """An experiment in another folder must not import the workspace's package."""
    stage = clean.folder / "src/pawprint/stages/resolve.py"
    stage.write_text(stage.read_text().replace("variants, {len(specs)}", "VARIANTS, {len(specs)}"))
    clean.commit("other words")
    stage.write_text("raise SystemExit('the workspace ran')\n")
    clean.run("git", "stash", "-q")  # the queue takes the commit
    clean.run("dvc", "exp", "run", "--queue", "--name", "elsewhere", "-S", "variants.onecycle.lr=2e-3")
    clean.run("git", "stash", "pop", "-q")
    clean.run("dvc", "exp", "run", "--run-all")
    log = clean.run("dvc", "queue", "logs", "elsewhere")
    assert "VARIANTS" in log
    assert "the workspace ran" not in log


def test_charts_are_drawn_each_once(clean: Repository) -> None:
    clean.run(*readme("dvc plots show"))
    page = (clean.folder / "dvc_plots/index.html").read_text()
    expected = [next(iter(p)) for p in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["plots"]]
    n_studies = 1 + len(list((ROOT / "studies").glob("*/dvc.yaml")))  # the root, and those below it
    assert page.count("vegaEmbed(") == n_studies * len(expected)


def test_a_person_trains_by_hand_and_brings_pictures(clean: Repository) -> None:
    assert "finished 4 epochs" in clean.run(*readme("pawprint train"))
    assert clean.run("git", "status", "--short") == ""
    draw(clean.folder / "my_pictures")
    assert "10 pictures of 2 classes" in clean.run(*readme("pawprint init-data"))


def test_a_training_is_told_to_wandb_later(clean: Repository) -> None:
    assert "baseline" in clean.run(*readme("pawprint track"))
    assert list((clean.folder / "runs/wandb/wandb").glob("offline-run-*"))


def test_a_source_task_of_ones_own_is_trained(clean: Repository) -> None:
    draw(clean.folder / "my_other_pictures", n=25)
    stages = ran(clean.run(*readme("dvc exp run -S pretrained_source")))
    assert stages == {"resolve", "pretrain", "start"}  # no variant of this clone is pretrained
    record = json.loads((clean.folder / "metrics/pretrain.json").read_text())
    assert (record["source"], record["n_classes"], record["n_train"]) == ("folder", 2, 38)


def draw(folder: Path, n: int = 5) -> None:
    """`n` pictures of each of two classes."""
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(n):
            Image.new("RGB", (20, 20), (10 * number, 0, 0)).save(folder / label / f"{number}.png")


def test_every_command_of_the_readme_was_run(clean: Repository) -> None:
    """Runs last: pytest keeps the order of the file."""
    assert set(TYPED) - RUN == set(DONE_BY_THE_FIXTURE)
