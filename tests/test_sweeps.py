"""The sweep definitions, their commands built as W&B's agent builds them, and run."""

import json
import shutil
import subprocess
import sys
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


def agents_command(sweep: Path, study: Path, out: Path) -> str:
    """Run what the agent would for the sweep's first values; stdout."""
    content = read(sweep)
    values = {name: {"value": given["values"][0]} for name, given in content["parameters"].items()}
    arguments = create_sweep_command_args({"args": values})["args"]
    program, *command = create_sweep_command(list(content["command"]))
    place = command.index("${args}")
    done = pawprint(study, *command[:place], *arguments, *command[place + 1 :], "--out", str(out))
    assert (program, done.returncode) == ("pawprint", 0), done.stderr
    return done.stdout


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_the_agents_command_trains_with_the_sweeps_values(sweep: Path, study: Path, tmp_path: Path) -> None:
    said = agents_command(sweep, study, tmp_path / "out")
    assert said.startswith("baseline-lr1e-2-bs32-none-s0: finished")


def test_the_agent_leaves_the_bytes_of_the_graph(study: Path, tmp_path: Path) -> None:
    """The same as `dvc exp run -S lr=1e-2`, which sets params.yaml and runs the stages."""
    agents_command(ROOT / "sweeps/learning_rate.yaml", study, tmp_path / "out")
    graph = Path(shutil.copytree(study, tmp_path / "graph"))
    params = graph / "params.yaml"
    params.write_text("lr: 0.01\n" + "".join(
        line for line in params.read_text().splitlines(keepends=True) if not line.startswith("lr:")
    ))  # fmt: skip
    for stage in ("resolve", "train"):
        done = pawprint(graph, *(["baseline"] if stage == "train" else []), module=f"pawprint.stages.{stage}")
        assert done.returncode == 0, done.stderr
    (by_graph,) = (graph / "models/train").glob("baseline/baseline-s0/weights.safetensors")
    (by_agent,) = (tmp_path / "out").rglob("weights.safetensors")
    assert by_agent.read_bytes() == by_graph.read_bytes()


SCHEMA = "import json, sys; from sweeps.config.cfg import schema_violations_from_proposed_config as faults;"


@pytest.mark.long
def test_a_sweep_fits_the_schema_of_wandb(tmp_path: Path) -> None:
    """W&B's package `sweeps` wants another numpy: it gets an environment of its own."""
    python = tmp_path / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "sweeps==0.3.0"], check=True)
    for sweep in SWEEPS:
        content = read(sweep)
        assert faults(python, content) == []
        assert len(faults(python, content | {"method": "hope"})) == 1


def faults(python: Path, content: dict[str, Any]) -> list[str]:
    code = f"{SCHEMA} print(json.dumps(faults(json.loads(sys.argv[1]))))"
    command = [str(python), "-W", "ignore", "-c", code, json.dumps(content)]
    return list(json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout))


def test_the_learning_rates_are_those_of_the_study() -> None:
    study, specs = read_study(ROOT / "params.yaml")
    rates = {spec.lr for spec in specs if spec.variant in study.questions["learning_rate"]}
    assert set(read(ROOT / "sweeps/learning_rate.yaml")["parameters"]["lr"]["values"]) == rates


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_optimizes_on_val(sweep: Path) -> None:
    content = read(sweep)
    assert content["metric"]["name"].startswith("val_")
    assert content["method"] in ("grid", "random", "bayes")
