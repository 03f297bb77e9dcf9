"""Real DVC on a copy of the repository, with the committed dvc.yaml and a small model: what runs when."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
SMALL = {
    "model": "mlp", "mlp_widths": [8], "epochs": 2, "seeds": [0], "trackers": [], "probed": ["onecycle"],
}  # fmt: skip
SMALL_DATA = {"n_per_class": 5, "draw_pixels": 16, "image_size": 8}


class Repository:
    """A throw-away clone in which commands run as a person's would, in an activated environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, within: str = ".") -> str:
        environment = {name: value for name, value in os.environ.items() if name != "PAWPRINT_RUNS"}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        done = subprocess.run(command, cwd=self.folder / within, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def reset(self) -> None:
        """Back to the commit, with what it needs from the cache."""
        self.run("git", "reset", "-q", "--hard")
        self.run("git", "clean", "-qfd")
        self.run("dvc", "checkout", "-q")

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)


def ran(output: str) -> set[str]:
    """The stages whose commands DVC ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def edit(path: Path, values: dict, data: dict) -> None:
    yaml = YAML()
    params = yaml.load(path.read_text())
    params.update(values)
    params["data"].update(data)
    with path.open("w") as file:
        yaml.dump(params, file)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The tracked files as they are, committed, with a small root study that has run, and digits too."""
    folder = tmp_path_factory.mktemp("clone") / "repository"
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    edit(folder / "params.yaml", SMALL, SMALL_DATA)
    edit(folder / "studies/digits/params.yaml", {"seeds": [0], "epochs": 2, "trackers": []}, {})
    for lock in ("dvc.lock", "studies/digits/dvc.lock"):
        (folder / lock).unlink(missing_ok=True)
    repository = Repository(folder)
    repository.run("git", "init", "-q")
    repository.commit("clone")
    repository.run("dvc", "repro", "-q")
    repository.run("dvc", "repro", "-q", within="studies/digits")
    repository.commit("results")
    return repository


@pytest.fixture
def clean(repository: Repository) -> Repository:
    repository.reset()
    return repository


def test_a_second_repro_runs_nothing_and_leaves_git_clean(clean: Repository) -> None:
    assert ran(clean.run("dvc", "repro", "--all-pipelines")) == set()
    assert clean.run("git", "status", "--short") == ""


def test_a_changed_default_runs_exactly_the_variants_that_inherit_it(clean: Repository) -> None:
    stages = ran(clean.run("dvc", "exp", "run", "-S", "lr=1e-2"))
    inherit = {"baseline", "onecycle", "batch_64"}
    assert {s for s in stages if s.startswith("train@")} == {f"train@{v}" for v in inherit}
    assert {s for s in stages if s.startswith("test@")} == {f"test@{v}" for v in inherit}
    assert stages - {f"{s}@{v}" for s in ("train", "test") for v in inherit} == {
        "resolve", "check", "probe@onecycle", "compare",
    }  # fmt: skip
    table = json.loads((clean.folder / "metrics/compare/table.json").read_text())
    assert table["baseline"]["baseline"]["same_settings_as"] == ["lr_1e-2"]


def test_a_changed_variant_runs_alone(clean: Repository) -> None:
    stages = ran(clean.run("dvc", "exp", "run", "-S", "variants.onecycle.lr=3e-3"))
    assert {s for s in stages if "@" in s} == {"train@onecycle", "test@onecycle", "probe@onecycle"}


def test_a_new_variant_runs_alone_and_is_a_row(clean: Repository) -> None:
    stages = ran(clean.run("dvc", "exp", "run", "--name", "newcomer", "-S", "+variants.new.lr=0.3"))
    assert {s for s in stages if "@" in s} == {"train@new", "test@new"}
    assert "new" in json.loads((clean.folder / "metrics/compare/table.json").read_text())
    assert "newcomer" in clean.run("dvc", "exp", "show", "--csv")
    assert "variants.new.lr" in clean.run("dvc", "params", "diff")


def test_a_study_is_changed_from_its_own_folder(clean: Repository) -> None:
    before = (clean.folder / "params.yaml").read_bytes()
    stages = ran(clean.run("dvc", "exp", "run", "-n", "digits-lr", "-S", "lr=1e-2", within="studies/digits"))
    assert {s.rpartition(":")[2] for s in stages if "train@" in s} == {"train@baseline"}
    assert (clean.folder / "params.yaml").read_bytes() == before
    assert "lr: 0.01" in (clean.folder / "studies/digits/params.yaml").read_text()
    assert "digits-lr" in clean.run("dvc", "exp", "show", "--csv", within="studies/digits")
    clean.reset()
    stages = ran(clean.run("dvc", "exp", "run", "-S", "+variants.new.lr=0.3", within="studies/digits"))
    assert {s.rpartition(":")[2] for s in stages if "@" in s} == {"train@new", "test@new"}


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
    clean.run("dvc", "plots", "show", "-o", "page")
    page = (clean.folder / "page/index.html").read_text()
    expected = [next(iter(p)) for p in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["plots"]]
    assert page.count("vegaEmbed(") == 2 * len(expected)  # the root's and the digits study's
