"""The LaTeX: text that TeX would misread is escaped, Chinese is set, and XeLaTeX compiles it where there is one."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pawprint.report.answers import Answer, Chapter
from pawprint.report.latex import escaped, latex
from pawprint.report.quote import quote
from pawprint.report.sources import SOURCES, bibliography
from pawprint.report.study import Report

PDF = Path(__file__).parents[2] / "scripts/pdf"
NASTY = r"50 % of a_b & c#d: $x^2$ ~ {y} \input{/etc/passwd} <b> ± 3° `-S lr=1e-2`"


def report(language: str = "en") -> Report:
    question = "学习率怎样影响训练？" if language == "zh" else f"What of {NASTY}?"
    table = [{"run": "a_b", "what it is": NASTY, "verdict": "worse"}] * 40
    answer = Answer("nasty", question, "yes", [NASTY, "second"], [NASTY], table=table,
                    code=[quote("types:RunSpec.scaled_lr")], sources=["adam", "holm"], decides="it helps")  # fmt: skip
    claim = {"says": NASTY, "outcome": "refuted", "reading": [NASTY]}
    return Report(
        f"A title: {NASTY}", ["lead"], [Chapter("A chapter", [answer])], [claim], [NASTY], {"command": NASTY}, language
    )


def test_nothing_is_left_that_tex_would_take_for_a_command() -> None:
    text = escaped(NASTY)
    assert r"\textbackslash{}input\{/etc/\allowbreak{}passwd\}" in text
    assert r"\texttt{-S lr=\allowbreak{}1e-\allowbreak{}2}" in text
    assert not re.search(r"(?<!\\)[%#&_]", text.replace(r"\allowbreak{}", ""))
    assert escaped("an odd ` stays") == "an odd ` stays"


def test_code_is_the_sources_and_the_sources_are_cited() -> None:
    made = report()
    text = latex(made)
    assert "src/" in text
    assert "pawprint/" in text
    assert r"\citet{adam,holm}" in text
    assert "The first 30 of 40 rows" in text
    keys = {source.key for source in made.sources}
    assert keys == {"adam", "holm"}
    assert set(re.findall(r"@article\{(\w+),", bibliography(keys))) == keys


def test_each_source_says_where_it_is_to_be_found() -> None:
    for key, source in SOURCES.items():
        assert source.key == key
        assert source.address.startswith("https://")
        assert str(source.year) in source.text


NEEDS_LATEX = pytest.mark.skipif(
    not (shutil.which("latexmk") and shutil.which("xelatex")), reason="no latexmk and xelatex here"
)


def make_pdf(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make pdf`, in a study's folder."""
    return subprocess.run([PDF, str(folder)], capture_output=True, text=True, check=False, env=os.environ | environment)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A study's folder with a report in it."""
    made = report()
    (tmp_path / "report").mkdir()
    (tmp_path / "report/report.tex").write_text(latex(made), encoding="utf-8")
    keys = {source.key for source in made.sources}
    (tmp_path / "report/references.bib").write_text(bibliography(keys), encoding="utf-8")
    return tmp_path


@NEEDS_LATEX
def test_the_pdf_lies_beside_the_report_and_tex_leaves_nothing_in_it(written: Path) -> None:
    done = make_pdf(written)
    assert done.returncode == 0, done.stderr
    assert (written / "report.pdf").read_bytes().startswith(b"%PDF")
    assert {file.name for file in (written / "report").iterdir()} == {"report.tex", "references.bib"}


@NEEDS_LATEX
def test_a_fault_of_tex_is_shown_and_no_pdf_is_left(written: Path) -> None:
    (written / "report/report.tex").write_text(r"\documentclass{article}\begin{document}\nosuch\end{document}")
    done = make_pdf(written)
    assert done.returncode == 1
    assert "Undefined control sequence" in done.stderr
    assert not (written / "report.pdf").exists()


def test_without_latex_it_is_said_and_the_source_stays(written: Path, tmp_path: Path) -> None:
    for name in ("bash", "env"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = make_pdf(written, PATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install latexmk" in done.stderr
    assert (written / "report/report.tex").is_file()


def test_without_a_report_it_is_said_what_makes_it(tmp_path: Path) -> None:
    done = make_pdf(tmp_path)
    assert done.returncode == 1
    assert "report/report.tex: no such file; run: dvc repro" in done.stderr


@NEEDS_LATEX
@pytest.mark.parametrize("language", ["en", "zh"])
def test_xelatex_compiles_it_without_a_fault_or_a_letter_missing(language: str, tmp_path: Path) -> None:
    made = report(language)
    (tmp_path / "report.tex").write_text(latex(made), encoding="utf-8")
    (tmp_path / "references.bib").write_text(bibliography({source.key for source in made.sources}), encoding="utf-8")
    done = subprocess.run(["latexmk", "-xelatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
                          cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)  # fmt: skip
    log = (tmp_path / "report.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "Missing character" not in log
    assert "undefined" not in log.lower().replace("undefined references", "")
