"""The sweep definitions, their commands built as W&B's agent builds them, and run."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from pawprint.params import read_study
from tests.in_process import pawprint

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    return YAML(typ="safe").load(path.read_text())


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_the_agents_command_trains_with_the_sweeps_values(sweep: Path, study: Path, tmp_path: Path) -> None:
    content = read(sweep)
    values = {name: {"value": given["values"][0]} for name, given in content["parameters"].items()}
    arguments = create_sweep_command_args({"args": values})["args"]
    program, *command = create_sweep_command(list(content["command"]))
    place = command.index("${args}")
    done = pawprint(study, *command[:place], *arguments, *command[place + 1 :], "--out", str(tmp_path / "out"))
    assert (program, done.returncode) == ("pawprint", 0), done.stderr
    assert done.stdout.startswith("baseline-lr1e-2-bs32-none-s0: finished")


def test_the_learning_rates_are_those_of_the_study() -> None:
    study, specs = read_study(ROOT / "params.yaml")
    rates = {spec.lr for spec in specs if spec.variant in study.questions["learning_rate"]}
    assert set(read(ROOT / "sweeps/learning_rate.yaml")["parameters"]["lr"]["values"]) == rates


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_optimizes_on_val(sweep: Path) -> None:
    content = read(sweep)
    assert content["metric"]["name"].startswith("val_")
    assert content["method"] in ("grid", "random", "bayes")
