"""How far the guarantees hold, as a table in docs/guarantees.md.

    python -m tests.guarantees [NAME …]

Each is tried as often as the document says. Without names the table is written anew; with names, their rows are.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.guarantees.checkpoints import bad_checkpoints
from tests.guarantees.inputs import bad_settings
from tests.guarantees.kills import killed_trainings
from tests.guarantees.kills_of_dvc import killed_repros
from tests.guarantees.remotes import remotes
from tests.guarantees.row import Row
from tests.guarantees.saves import damaged_states, killed_saves
from tests.guarantees.store import store_guarantees
from tests.guarantees.trackers import trackers

DOCUMENT = Path(__file__).parents[2] / "docs/guarantees.md"
HEAD = ("| guarantee | tried | held | how |\n", "| --- | ---: | ---: | --- |\n")
BEGIN, END = "<!-- guarantees: written by `make guarantees` -->", "<!-- end of guarantees -->"

GUARANTEES: dict[str, Callable[[Path], list[Row]]] = {
    "kills": lambda folder: killed_trainings(folder, 150, seed=0),
    "kills of dvc": lambda folder: killed_repros(folder, 50, seed=0),
    "saves": lambda folder: [killed_saves(folder, 300, seed=0), damaged_states(folder, 300, seed=0)],
    "store": lambda folder: store_guarantees(folder, 1000, seed=0),
    "remotes": lambda folder: remotes(folder, 5, seed=0),
    "settings": lambda folder: bad_settings(folder, 2000, number=0),
    "checkpoints": lambda folder: bad_checkpoints(folder, 300, number=0),
    "trackers": lambda folder: trackers(folder, 14, seed=0),
}


def main(names: list[str]) -> None:
    """Try each, tell its rows on stderr, and write them into the table."""
    rows: list[Row] = []
    for name in names or GUARANTEES:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PAWPRINT_RUNS"] = folder
            found = GUARANTEES[name](Path(folder))
        print(f"{name}: {time.monotonic() - began:.0f} s", *found, sep="\n  ", file=sys.stderr)
        rows += found
    _write({_promise(row): _line(row) for row in rows}, keep_others=bool(names))


def _promise(row: Row) -> str:
    return row.guarantee[0].upper() + row.guarantee[1:]


def _line(row: Row) -> str:
    return f"| {_promise(row)} | {row.tried:,} | {row.held:,} | {row.how} |\n"


def _write(lines: dict[str, str], keep_others: bool) -> None:
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    known, _, after = rest.partition(END)
    rows = [line for line in known.splitlines(keepends=True) if line.startswith("|")][2:] if keep_others else []
    kept = {line.split(" | ")[0].removeprefix("| "): line for line in rows}
    table = "".join([*HEAD, *(kept | lines).values()])
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
