"""Write the table of a document anew from what `compare` left in this folder: the README's by `make readme`.

    python -m pawprint.readme [DOCUMENT] [--averages]

With `--averages` a second table follows: what answering by several views of a picture gained (the probe `tta`).
The README's figures are the graph's own files, `plots/compare/*.png`, so they are as new as the results.
"""

import argparse
import io
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pawprint import atomic, paths, results
from pawprint.errors import DataError, PawprintError
from pawprint.labels import label
from pawprint.params import read_study
from pawprint.summary import PIPE_WIDTH, print_summary, read_rows

README = Path("README.md")
BEGIN, END = "<!-- from here: generated -->\n", "<!-- to here -->"


def main() -> None:
    """Replace the table between the two marks; DataError where the document lacks them, or the results."""
    parser = argparse.ArgumentParser(prog="python -m pawprint.readme")
    parser.add_argument("document", type=Path, nargs="?", default=README)
    parser.add_argument("--averages", action="store_true", help="what answering by several views gained, too")
    options = parser.parse_args()
    text = table() + (averages() if options.averages else "")
    atomic.write_text(
        options.document, with_table(options.document.read_text(encoding="utf-8"), text, options.document)
    )


def table() -> str:
    """The table and its notes as `make repro` prints them on a pipe."""
    text = io.StringIO()
    print_summary(read_rows(), Console(file=text, width=PIPE_WIDTH, color_system=None))
    return text.getvalue()


def averages() -> str:
    """What the probe `tta` says of each training it looked at: a row each, accuracies in percent of test."""
    rows = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("run", "views", "test acc. %\nas it is", "test acc. %\naveraged", "gain", "p"):
        rows.add_column(title, justify="left" if title == "run" else "right")
    study, _ = read_study(paths.PARAMS)
    for spec in (spec for spec in results.all_specs(study) if spec.variant in study.probed):
        if numbers := results.probed(spec, "tta"):
            found = {name: value or 0.0 for name, value in numbers.items()}
            accuracies = (_with_interval(found, f"test_accuracy_{of}") for of in ("plain", "chosen"))
            name = f"{label(spec.variant, spec.run)}, seed {spec.seed}"
            is_chosen = found["passes_chosen"] > 1
            gain = (f"{100 * found['test_gain']:+.1f}", f"{found['test_p']:.2g}") if is_chosen else ("", "")
            rows.add_row(name, f"{found['passes_chosen']:.0f}", *accuracies, *gain)
    text = io.StringIO()
    console = Console(file=text, width=PIPE_WIDTH, color_system=None, highlight=False)
    console.print("\nanswers averaged over views of a picture\n")
    console.print(rows)
    console.print(Text(
        "views: forward passes a picture; 1: val chose none of the averages. In brackets 95 % intervals; "
        "p: McNemar's exact test on the same pictures"
    ))  # fmt: skip
    return text.getvalue()


def _with_interval(numbers: dict[str, float], name: str) -> str:
    """`84.0 (81.5 to 86.2)`, of a share and its bounds."""
    middle, low, high = (100 * numbers[key] for key in (name, f"{name}_low", f"{name}_high"))
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def with_table(text: str, table: str, document: Path = README) -> str:
    """A document with this table between its marks."""
    return between_marks(text, f"```text\n{table}```\n", document)


def between_marks(text: str, made: str, document: Path, begin: str = BEGIN) -> str:
    """A document with what a command made in place of what it made last time; DataError where the marks lack."""
    before, found, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise DataError(f"{document}: expected the lines `{begin.strip()}` and `{END}`, between which the table goes")
    return f"{before}{begin}{made}{end}{after}"


if __name__ == "__main__":
    try:
        main()
    except PawprintError as error:
        print(f"readme: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
