"""Real DVC on a clone of the repository, with the committed dvc.yaml and a small model: what runs when."""

import json
import re
import time
from pathlib import Path

import pytest
from PIL import Image

from pawprint.params import read_study
from tests.browser import needs_browser, seen
from tests.clone import ROOT, Repository, clone, ran

README = (ROOT / "README.md").read_text()
TYPED = [line[2:] for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
DONE_BY_THE_FIXTURE = [". .venv/bin/activate", "cd studies/digits"]


def readme(start: str) -> list[str]:
    """The one command of the README that starts so."""
    (command,) = [line for line in TYPED if line.startswith(start)]
    RUN.add(command)
    return ["bash", "-o", "pipefail", "-c", command]


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
    stages = ran(clean.run("dvc", "exp", "run", "-S", "lr=1e-2"))
    inherit = {"baseline", "onecycle"}
    assert {s for s in stages if s.startswith("train@")} == {f"train@{v}" for v in inherit}
    assert {s for s in stages if s.startswith("test@")} == {f"test@{v}" for v in inherit}
    assert stages - {f"{s}@{v}" for s in ("train", "test") for v in inherit} == {
        "resolve", "start", "check", "probe@onecycle", "compare", "report",
    }  # fmt: skip
    table = json.loads((clean.folder / "metrics/compare/table.json").read_text())
    assert table["baseline"]["baseline"]["same_settings_as"] == ["lr_1e-2"]


@pytest.fixture(scope="module")
def digits(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The digits study of the clone, run; the clone has a place to push to."""
    repository.reset()
    digits = Repository(repository.folder, "studies/digits")
    digits.run("dvc", "repro", "-q")
    digits.commit("digits")
    team = tmp_path_factory.mktemp("team") / "team.git"
    digits.run("git", "init", "-q", "--bare", str(team))
    digits.run("git", "remote", "add", "origin", str(team))
    return digits


def test_the_walk_through_experiments(digits: Repository) -> None:
    assert ran(digits.run(*readme("dvc exp run --name faster"))) >= {"train@baseline", "test@baseline", "compare"}
    assert re.search(r"params/baseline.yaml.*0\.001.*0\.01", digits.run(*readme("dvc params diff")))
    assert "test_accuracy" in digits.run(*readme("dvc metrics diff"))
    assert "index.html" in digits.run(*readme("dvc plots diff"))
    digits.run(*readme("dvc exp run --queue"))
    *bash, start = readme("dvc queue start")
    digits.run(*bash, f"{start} > /dev/null 2>&1")  # the workers keep what is open, and live on
    wait_for_queue(digits)
    table = digits.run(*readme("dvc exp show"))
    assert all(f"[{name}]" in table for name in ("faster", "grid-1", "grid-2"))
    assert table.splitlines()[0].count("|") == 5
    between = digits.run(*readme("dvc exp diff"))
    assert re.search(r"test_accuracy +0\.\d+ +0\.\d+", between)
    assert re.search(r"params.yaml +lr +0\.003 +0\.01", between)
    with pytest.raises(AssertionError, match="Checkout failed"):  # of a study that was never run, as the README says
        digits.run(*readme("dvc exp apply"))
    assert "\nlr: 0.003" in (digits.folder / "studies/digits/params.yaml").read_text()
    assert "up to date" in digits.run("dvc", "status", "dvc.yaml")
    digits.run(*readme("dvc exp branch"))
    assert "lr_1e-2" in digits.run("git", "branch")
    digits.run(*readme("dvc exp push"))
    assert "grid-1" in digits.run("git", "ls-remote", "origin")


def wait_for_queue(study: Repository) -> None:
    for _ in range(100):
        status = study.run(*readme("dvc queue status"))
        if "Queued" not in status and "Running" not in status:
            break
        time.sleep(3)
    assert status.count("Success") == 2, status


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


@needs_browser
def test_the_charts_are_drawn_without_a_network(clean: Repository) -> None:
    clean.run(*readme("dvc plots show"))
    charts, console = seen(clean.folder / "dvc_plots/index.html", LOOK)
    assert console == []
    shown: dict[str, list[str]] = {}
    for chart in charts:
        shown.setdefault(chart["study"], []).append(chart["title"])
    assert shown == {name: titles(folder) for name, folder in studies(clean.folder).items()}
    assert next(iter(shown)) == read_study(clean.folder / "params.yaml")[0].study  # the root's stand first
    for chart in charts:
        assert sum(chart["marks"].values()) > 0
        assert chart["title"] in chart["texts"] or f"{chart['study']}: {chart['title']}" in chart["texts"]
    asked = charts[0]  # baseline and onecycle, a seed each: in six panels a line, in three of them single steps too
    assert (asked["title"], asked["marks"]["line"], asked["marks"]["area"]) == ("schedule", 2 * (6 + 3), 2 * 6)
    assert {"Learning rate", "Training loss, smoothed: cross-entropy (nats)", "examples seen"} <= set(asked["texts"])
    assert len(set(asked["shapes"])) == len(asked["shapes"]) == len(set(asked["colors"])) == 2


@needs_browser
def test_the_x_axis_and_the_score_can_be_chosen_in_each_chart(clean: Repository) -> None:
    clean.run("dvc", "plots", "show")
    first = 'document.querySelector("section.chart form").querySelectorAll("input")'
    choose = f"for (const place of [1, 4]) {first}[place].click(); await new Promise(r => setTimeout(r, 500));"
    charts, console = seen(clean.folder / "dvc_plots/index.html", choose + LOOK)
    assert console == []
    assert {"optimizer steps", "Validation macro-F1"} <= set(charts[0]["texts"])
    others = [chart for chart in charts[1:] if "examples seen" in chart["texts"]]
    assert others
    assert all("optimizer steps" not in chart["texts"] for chart in others)


@pytest.mark.long
@needs_browser
def test_revisions_are_told_apart_by_dashes(clean: Repository) -> None:
    clean.run("dvc", "exp", "run", "--quiet", "-S", "variants.onecycle.lr=5e-3")
    clean.run(*readme("dvc plots diff"))
    charts, console = seen(clean.folder / "dvc_plots/index.html", LOOK)
    assert console == []
    asked = charts[0]
    assert {"HEAD", "workspace"} <= set(asked["texts"])
    assert asked["marks"]["line"] == 2 * 2 * (6 + 3)
    assert len(set(asked["dashes"])) == 2


LOOK = """
return [...document.querySelectorAll("section.chart")].map((chart) => {
  const all = (selector) => [...chart.querySelectorAll(selector)];
  const heading = [...document.querySelectorAll("h1")].filter((h1) => h1.compareDocumentPosition(chart) & 4).pop();
  const legend = all("g.role-legend-symbol path").filter((symbol) => symbol.getAttribute("fill") !== "transparent");
  const lines = all("g.mark-line.role-mark path").filter((line) => line.getAttribute("stroke-width") === "1.8");
  return {
    study: heading.textContent,
    title: document.querySelector(`nav a[href="#${chart.id}"]`).textContent,
    marks: Object.fromEntries(["line", "area", "symbol", "rect"].map((kind) =>
      [kind, all(`g.mark-${kind}.role-mark path`).length])),
    texts: all("text").map((text) => text.textContent),
    shapes: legend.map((symbol) => symbol.getAttribute("d")),
    colors: legend.map((symbol) => symbol.getAttribute("fill")),
    dashes: lines.map((line) => line.getAttribute("stroke-dasharray")),
  };
});
"""


def studies(repository: Path) -> dict[str, Path]:
    """Name → folder."""
    folders = [repository, *repository.glob("studies/*")]
    return {read_study(folder / "params.yaml")[0].study: folder for folder in folders}


def titles(study: Path) -> list[str]:
    """What the page shows of a study: its questions, in their order, then each table that has a row."""
    settings, _ = read_study(study / "params.yaml")
    questions = [settings.asks.get(name, name.replace("_", " ")) for name in settings.questions or ["all"]]
    others = {
        "test_accuracy": "Test accuracy of all runs",
        "brightness": "Test accuracy on darker pictures",
        "rotation": "Test accuracy on turned pictures",
        "confusion": "Which class is taken for which",
        "range_test": "Range test of the learning rate, before training",
    }
    tables = study / "plots/compare"
    return questions + [
        title for name, title in others.items() if len((tables / f"{name}.csv").read_text().splitlines()) > 1
    ]


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
