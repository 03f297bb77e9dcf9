"""dvc.yaml against the code: every edge that is there is true, and none is missing."""

import re
from pathlib import Path
from typing import Any

import grimp
import pytest
from ruamel.yaml import YAML

from pawprint import paths
from pawprint.report.questions import quoted
from pawprint.report.quote import quote

ROOT = Path(__file__).parents[1]
STUDIES = [ROOT / "dvc.yaml", *sorted(ROOT.glob("studies/*/dvc.yaml"))]
FOUND_BY_NAME = {"check": "pawprint.checks", "probe": "pawprint.probes"}  # their modules are imported by name


def read(path: Path) -> dict[str, Any]:
    return YAML(typ="safe").load(path.read_text())


def stages(path: Path) -> dict[str, dict[str, Any]]:
    return {name: stage.get("do", stage) for name, stage in read(path)["stages"].items()}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("pawprint", cache_dir=None)


def closure(imports: grimp.ImportGraph, stage: str) -> set[str]:
    """The source files that the stage's process imports, relative to the package; empty __init__ left out."""
    roots = {"pawprint", "pawprint.stages", f"pawprint.stages.{stage}"}  # a package's own module runs first
    if stage in FOUND_BY_NAME:
        roots |= imports.find_descendants(FOUND_BY_NAME[stage])
    modules = roots.union(*(imports.find_upstream_modules(root) for root in roots))
    files = {quote(place).file for place in quoted()} if stage == "report" else set()  # its readers see the source
    for module in modules:
        place = paths.PACKAGE.joinpath(*module.split(".")[1:])
        source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        file = source.relative_to(paths.PACKAGE).as_posix()
        if source.read_text():
            files.add(file)
    return files


def code_deps(stage: dict[str, Any]) -> list[str]:
    return [dep.removeprefix("${package}/") for dep in stage["deps"] if dep.startswith("${package}/")]


def covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


@pytest.mark.parametrize("stage", stages(ROOT / "dvc.yaml"))
def test_a_stage_depends_on_just_the_code_it_imports(stage: str, imports: grimp.ImportGraph) -> None:
    files, deps = closure(imports, stage), code_deps(stages(ROOT / "dvc.yaml")[stage])
    assert sorted(f for f in files if not any(covers(d, f) for d in deps)) == [], "imported, not in deps"
    assert sorted(d for d in deps if not any(covers(d, f) for f in files)) == [], "in deps, not imported"


def test_the_hash_of_a_training_is_over_the_code_it_depends_on() -> None:
    assert list(paths.TRAINING_CODE) == code_deps(stages(ROOT / "dvc.yaml")["train"])


@pytest.mark.parametrize("path", STUDIES[1:], ids=lambda p: p.parent.name)
def test_studies_have_the_graph_of_the_root(path: Path) -> None:
    """A study adds no code: its graph differs in where the package is, and in the stages it leaves out."""
    own, root = read(path), read(ROOT / "dvc.yaml")
    assert own["vars"] == [{"src": "../../src"}, {"package": "../../src/pawprint"}]
    assert own["stages"].items() <= root["stages"].items()
    assert own["plots"] == root["plots"]


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.parent.name)
def test_stages_run_the_package_by_a_relative_path(path: Path) -> None:
    for name, stage in stages(path).items():
        assert stage["cmd"].startswith(f"PYTHONPATH=${{src}} python -m pawprint.stages.{name}")
        assert stage["desc"]


def test_outputs_are_where_the_code_writes_them() -> None:
    variant = "${key}"
    outputs = paths.train_outputs(variant)
    text = (ROOT / "dvc.yaml").read_text()
    written = [
        paths.FETCHED, paths.PREPARED, paths.RESOLVED, paths.CHECK_REPORT, paths.GATE, paths.EXCLUDED,
        paths.CHECK_FIGURES, outputs.models, outputs.curves, outputs.metrics, paths.test_metrics(variant),
        paths.test_tables(variant), paths.probe_metrics("${item}"), paths.probe_figures("${item}"),
        paths.exported("${item}"), paths.export_metrics("${item}"),
        paths.COMPARISON.parent, paths.COMPARISON_CHARTS, paths.REPORT,
    ]  # fmt: skip
    for path in written:
        assert re.search(rf"- {re.escape(str(path))}:?$", text, re.MULTILINE), path


def test_charts_draw_columns_that_compare_writes() -> None:
    for chart in read(ROOT / "dvc.yaml")["plots"]:
        ((name, settings),) = chart.items()
        assert (ROOT / f".dvc/plots/{settings['template']}.json").exists()
        for study in STUDIES:
            tables = (
                settings["y"]
                if isinstance(settings["y"], dict)
                else dict.fromkeys(in_folder(study, name), settings["y"])
            )
            for file, column in tables.items():
                header = (study.parent / file).read_text().splitlines()[0].split(",")
                assert {column, settings["x"]} <= set(header)


def in_folder(study: Path, name: str) -> list[str]:
    """The tables of a chart that is a folder: one for each question that is not answered by rates."""
    tables = [f"{name}/{path.name}" for path in (study.parent / name).glob("*.csv")]
    assert tables
    return tables


def test_large_things_are_not_in_git_and_sources_are() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    patterns = [line for line in ignored if line.split("/")[-2:-1] in (["data"], ["models"])]
    assert patterns
    assert all(pattern.startswith("/") for pattern in patterns), "unanchored, it hides src/pawprint/models"
