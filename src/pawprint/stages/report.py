"""Stage `report`, the last: every question answered by figure, numbers and a reading, from what all others left.

Writes the page, the LaTeX that is handed in with its figures and bibliography, the answers in short for programs, and a
model card of each variant in `exported:`. Everything is worked out before the first file is written.
"""

from pawprint import atomic, paths
from pawprint.params import read_study
from pawprint.report.card import model_card
from pawprint.report.evidence import Evidence
from pawprint.report.latex import latex
from pawprint.report.provenance import provenance
from pawprint.report.sources import bibliography
from pawprint.report.study import answers_of, page, report, summary
from pawprint.stages.entry import run_stage

COMMAND = "dvc repro report"


def main() -> None:
    """DataError naming what is missing, with the command that makes it."""
    study, _ = read_study(paths.PARAMS)
    evidence = Evidence()
    made = report(evidence, provenance(evidence, COMMAND))
    texts = {
        "index.html": page(made, paths.REPORT.resolve()),
        "report.tex": latex(made),
        "references.bib": bibliography({source.key for source in made.sources}),
        **{f"cards/{variant}.md": model_card(evidence, variant, made.provenance) for variant in study.exported},
    }
    for name, text in texts.items():
        atomic.write_text(paths.REPORT / name, text)
    for picture in (picture for answer in answers_of(made) for picture in answer.pictures):
        atomic.write_bytes(paths.REPORT / "figures" / f"{picture.name}.png", picture.content)
    atomic.write_json(paths.REPORT / "answers.json", summary(made))


if __name__ == "__main__":
    run_stage(main)
