"""The study's page, from a real small study: every question, claim and measurement is on it, and nothing is fetched."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tests.in_process import pawprint

PARAMS = """
study: tiny
data: {source: digits, image_size: 8}
model: mlp
mlp_widths: [16]
optimizer: sgd
lr: 0.1
epochs: 2
epoch_curves: [train, test]
random_flip: false
random_crop_percent: 0.0
seeds: [0, 1]
variants:
  baseline: {}
  momentum: {momentum: 0.9, diagnostics: [weight_norm], diagnose_every_steps: 10}
  batch_size: {runs: {bs_16: {batch_size: 16}, bs_64: {batch_size: 64}, whole: {batch_size: 5000}}}
  slow:
    seeds: [0]
    diagnostics: [gradient_noise, curvature, layer_updates, activations, histograms]
    diagnose_every_steps: 10
  counted: {seeds: [0], diagnostics: [histograms]}
questions:
  momentum: [baseline, momentum]
  batch_size: [baseline, batch_size]
  slow: [slow]
asks: {momentum: Does <b>momentum</b> help?}
claims:
  same: {says: Slow & baseline are one, confirmed_by: [{of: slow, same_as: baseline}]}
  norm: {says: Momentum shrinks, refuted_by: [{of: baseline, same_as: slow}]}
exported: [baseline]
checks: {output_shape: {}}
probes: {}
"""
VARIANTS = ("baseline", "momentum", "batch_size", "slow", "counted")


class Page(HTMLParser):
    """What a browser would show and load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[dict[str, str | None]] = []
        self.headings: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.sources += [str(found[name]) for name in ("src",) if name in found]
        if tag == "img":
            self.pictures.append(found)

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.words.append(data)
        if self.tags[-2:] == ["h3", "span"]:
            self.headings.append(data.strip())

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "params.yaml").write_text(PARAMS)
    stages = ["fetch", "prepare", "resolve", "pretrain", "start", "check"]
    stages += [f"{stage} {variant}" for stage in ("train", "test") for variant in VARIANTS]
    for stage in [*stages, "compare"]:
        name, *arguments = stage.split()
        done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "tiny"))


def page_of(study: Path) -> Page:
    done = pawprint(study, "report")
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    return Page((study / "report.html").read_text(encoding="utf-8"))


def test_every_question_is_answered_and_nothing_is_fetched(study: Path) -> None:
    page = page_of(study)
    questions = ["Does <b>momentum</b> help?", "batch size", "slow"]
    assert [heading for heading in page.headings if heading in questions] == questions  # escaped, or as it is named
    assert "Against baseline: " in page.text
    drawn = ("test_accuracy", "momentum", "batch_size", "batch_size_by_step", "slow", "slowness_slow_slow_s0")
    of_layers = ("a step moves each layer", "outputs are spread", "answer no picture", "weights, gradients and updates")
    assert len(page.pictures) == len(drawn) + len(of_layers)
    assert all(sum(words in str(picture["alt"]) for picture in page.pictures) == 1 for words in of_layers)
    assert all(picture["alt"] for picture in page.pictures)
    fetched = [address for address in page.sources if not address.startswith("data:image/png;base64,")]
    assert not fetched
    assert not {"script", "link", "iframe"} & set(page.tags)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_stage_writes_page_latex_answers_and_cards_the_same_each_time(study: Path) -> None:
    made = []
    for _ in range(2):
        shutil.rmtree(study / "report", ignore_errors=True)
        done = pawprint(study, module="pawprint.stages.report")
        assert done.returncode == 0, done.stderr
        made.append(files_of(study / "report"))
    assert made[0] == made[1]
    names = set(made[0])
    assert {"index.html", "report.tex", "references.bib", "answers.json", "cards/baseline.md"} <= names
    shown = set(re.findall(r"answerfigure\{(\S+)\}", made[0]["report.tex"].decode())) - {"#1"}
    assert {f"figures/{name}" for name in shown} == {name for name in names if name.startswith("figures/")}
    answers = json.loads(made[0]["answers.json"])
    assert list(answers) == ["logged", "converged", "symptoms", "momentum", "batch_size", "slow",
                             "slowness_slow_slow_s0", "check_output_shape"]  # fmt: skip
    assert answers["logged"]["outcome"] == "all of it agrees: yes"
    assert answers["converged"]["outcome"] == "all converged: cannot tell"  # two epochs


def test_a_card_tells_what_is_handed_on(study: Path) -> None:
    assert pawprint(study, module="pawprint.stages.report").returncode == 0
    card = ModelCard.load(study / "report/cards/baseline.md")
    record = json.loads((study / "models/train/baseline/baseline-s0/run.json").read_text())
    assert card.data.library_name == "pytorch"
    (accuracy,) = (result for result in card.data.eval_results if result.metric_type == "accuracy")
    assert accuracy.metric_value == round(record["test"]["accuracy"], 4)
    for told in (
        "pawprint predict --model baseline",
        "models/export/baseline/model.onnx",
        "| lr | 0.1 |",
        "is not among `probed:`",
        record["split_hash"],
    ):
        assert told in card.text


def test_the_page_ends_with_what_made_it(study: Path) -> None:
    for command, said in ((("report",), "pawprint report"), ((), "dvc repro report")):
        module = "pawprint.cli" if command else "pawprint.stages.report"
        assert pawprint(study, *command, module=module).returncode == 0
        page = Page((study / ("report.html" if command else "report/index.html")).read_text(encoding="utf-8"))
        record = json.loads((study / "models/train/baseline/baseline-s0/run.json").read_text())
        end = page.text[page.text.index("How this was made") :]
        for told in (said, record["split_hash"], "torch ", "cpu", "commit"):
            assert told in end


def test_questions_are_shown_in_chinese_where_it_is_asked_for(study: Path) -> None:
    params = (study / "params.yaml").read_text()
    (study / "params.yaml").write_text(f"{params}language: zh\nasks_zh: {{momentum: 动量有帮助吗？}}\n")
    page = page_of(study)
    for question in ("动量有帮助吗？", "训练收敛了吗？有没有过拟合或欠拟合？", "模型输出的形状与标签相符吗？"):
        assert question in page.headings


def test_claims_stand_with_their_outcome_and_evidence(study: Path) -> None:
    page = page_of(study)
    assert "“Slow & baseline are one” confirmed" in page.text
    assert "slow is the same training as baseline, step by step, with every seed" in page.text
    assert "“Momentum shrinks” refuted" in page.text


def test_times_of_epochs_are_told_once_they_were_measured(study: Path) -> None:
    before = page_of(study)
    assert "A step costs" not in before.text
    done = pawprint(study, module="pawprint.epoch_time")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["bs_16", "bs_64", "whole"]
    after = page_of(study)
    assert re.search(r"A step costs \S+ ms however few pictures it has", after.text)
    assert len(after.pictures) == len(before.pictures) + 1


def test_the_same_results_give_the_same_page(study: Path) -> None:
    page_of(study)
    first = (study / "report.html").read_bytes()
    page_of(study)
    assert (study / "report.html").read_bytes() == first


@pytest.mark.parametrize(
    "missing",
    ["metrics/compare/table.json", "metrics/compare/claims.json",
     "plots/compare/momentum.png", "plots/compare/slowness_slow_slow_s0.png"],
)  # fmt: skip
def test_what_is_missing_is_named_and_no_page_is_written(study: Path, missing: str) -> None:
    (study / missing).unlink()
    done = pawprint(study, "report")
    assert done.returncode == 1
    assert missing in done.stderr
    assert "dvc repro compare" in done.stderr
    assert not (study / "report.html").exists()


@pytest.mark.parametrize("spoiled", ["epoch,step\n", "a\0b", "epoch,step,examples_seen\nzero,1,much\n"])
def test_a_table_that_is_none_is_named_and_no_page_is_written(study: Path, spoiled: str) -> None:
    (study / "plots/train/slow/slow-s0-epochs.csv").write_text(spoiled)
    done = pawprint(study, "report")
    assert done.returncode == 1
    assert "plots/train/slow/slow-s0-epochs.csv: not a table of pawprint's" in done.stderr
    assert "dvc repro train@slow --force" in done.stderr
    assert not (study / "report.html").exists()


def test_times_of_a_variant_that_is_not_there_are_refused(study: Path) -> None:
    done = pawprint(study, "batches", module="pawprint.epoch_time")
    assert done.returncode != 0
    assert "no such variant" in done.stderr
