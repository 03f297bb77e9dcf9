"""A throw-away clone of the repository with small settings, on which tests run the real DVC."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
# Two variants that inherit `lr` and one that does not, of a model that trains in a blink.
SMALL = {
    "model": "mlp", "mlp_widths": [8], "epochs": 4, "seeds": [0], "trackers": [], "probed": ["onecycle"],
    "exported": [], "compressed": [],
    "pretrained_source": "none", "questions": {"schedule": ["baseline", "onecycle"]}, "asks": {}, "asks_zh": {},
    "variants": {"baseline": {}, "lr_1e-2": {"lr": 0.01}, "onecycle": {"scheduler": "onecycle", "lr": None}},
}  # fmt: skip
SMALL_DATA = {"n_per_class": 5, "draw_pixels": 16, "image_size": 8, "test_percent": 20}


class Repository:
    """A throw-away clone in which commands run as a person's would, in an activated environment."""

    def __init__(self, folder: Path, study: str = ".") -> None:
        self.folder, self.study = folder, study

    @property
    def environment(self) -> dict[str, str]:
        """Of a person who has activated the clone's environment."""
        ours = ("PAWPRINT_RUNS", "WANDB_SERVICE")  # the second: W&B's own server, of the process that tests run in
        inherited = {name: value for name, value in os.environ.items() if name not in ours}
        return inherited | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "src"),  # the `pawprint` command is the clone's, too
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org", "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def run(self, *command: str) -> str:
        """Run in the study's folder, and return stdout; the command must succeed."""
        done = subprocess.run(
            command, cwd=self.folder / self.study, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def reset(self) -> None:
        """Back to the commit, with what it needs from the cache."""
        self.run("git", "reset", "-q", "--hard")
        self.run("git", "clean", "-qfd")
        self.run("dvc", "checkout", "-q", "dvc.yaml")

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)


def ran(output: str) -> set[str]:
    """The stages whose commands DVC ran, without the study's name."""
    return {stage.rpartition(":")[2] for stage in re.findall(r"Running stage '([^']+)'", output)}


def edit(path: Path, values: dict[str, Any], data: dict[str, Any]) -> None:
    yaml = YAML()
    params = yaml.load(path.read_text())
    params.update(values)
    params["data"].update(data)
    with path.open("w") as file:
        yaml.dump(params, file)


def clone(folder: Path, study: str = ".", **settings: Any) -> Repository:
    """The tracked files as they are, committed, with small settings (and `settings`) and no results."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    edit(folder / "params.yaml", SMALL | settings, SMALL_DATA)
    edit(folder / "studies/digits/params.yaml", {"seeds": [0], "epochs": 2, "trackers": []}, {})
    for lock in [folder / "dvc.lock", *folder.glob("studies/*/dvc.lock")]:
        lock.unlink(missing_ok=True)
    repository = Repository(folder)
    repository.run("git", "init", "-q")
    repository.commit("clone")
    return Repository(folder, study)
