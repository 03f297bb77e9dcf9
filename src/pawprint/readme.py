"""Write the README's table of the root study anew from what `compare` left: `make readme`.

The README's figures are the graph's own files, `plots/compare/*.png`, so they are as new as the results.
"""

import io
import sys
from pathlib import Path

from rich.console import Console

from pawprint import atomic
from pawprint.errors import DataError, PawprintError
from pawprint.summary import PIPE_WIDTH, print_summary, read_rows

README = Path("README.md")
BEGIN, END = "<!-- from here: make readme -->\n", "<!-- to here -->"


def main() -> None:
    """Replace the table between the two marks; DataError where README.md lacks them, or the results."""
    atomic.write_text(README, with_table(README.read_text(encoding="utf-8"), table()))


def table() -> str:
    """The table and its notes as `make repro` prints them on a pipe."""
    text = io.StringIO()
    print_summary(read_rows(), Console(file=text, width=PIPE_WIDTH, color_system=None))
    return text.getvalue()


def with_table(text: str, table: str) -> str:
    """The README with this table between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise DataError(f"{README}: expected the lines `{BEGIN.strip()}` and `{END}`, between which the table goes")
    return f"{before}{begin}```text\n{table}```\n{end}{after}"


if __name__ == "__main__":
    try:
        main()
    except PawprintError as error:
        print(f"readme: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
