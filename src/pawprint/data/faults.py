"""Faults of a data set: what cannot be used, each with its reason, told all together.

`fetch` finds those of names, rows and files, and keeps them in faults.csv beside its index; `prepare` adds those
of pictures, labels and classes. Then it stops with one report of all (`data.on_bad: stop`), or leaves
out what is at fault and keeps the list in dropped.csv (`drop`).

A reason begins with its kind, in the same words for every fault of that kind; what is particular follows behind the
first `:`, `;` or `(`.
"""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pawprint.errors import DataError

COLUMNS = ("image_name", "reason")
MAX_FILE_MB = 100.0  # of one picture's file; a camera's largest JPEGs have 40


class Fault(NamedTuple):
    """What cannot be used, and why."""

    image_name: str  # as the row or the file says it; `line 7 of split.csv` for a row without a name
    reason: str


def by_name(faults: Iterable[Fault]) -> list[Fault]:
    """One fault a name, sorted; several reasons for a name are joined."""
    reasons: dict[str, list[str]] = {}
    for name, reason in faults:
        reasons.setdefault(name, []).append(reason)
    return [Fault(name, "; ".join(dict.fromkeys(reasons[name]))) for name in sorted(reasons)]


def counted(faults: list[Fault], shown: int = 4) -> str:
    """How many faults there are of each kind, the most frequent first: `3 empty file, 1 no label`."""
    counts = Counter(re.split(r"[:;(]", fault.reason)[0].strip() for fault in faults)
    kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
    rest = sum(counts[kind] for kind in kinds[shown:])
    words = [f"{counts[kind]} {kind}" for kind in kinds[:shown]] + [f"{rest} of other kinds"] * (rest > 0)
    return ", ".join(words)


def report(faults: list[Fault], advice: str) -> str:
    """All faults for a person: a line that counts them, a line each, and what to do."""
    lines = [f"  {name}: {reason}" for name, reason in faults]
    heading = f"{len(faults)} fault{'s' * (len(faults) != 1)} in the data: {counted(faults)}"
    return "\n".join([heading, *lines, advice])


def how_to_go_on(again: str, setting: str) -> str:
    """What to do about faults: `again` are the commands that look anew, `setting` is where to say `drop`."""
    return (
        f"mend them or take them out where they come from, then {again};"
        f" or leave them out: `{setting}: drop` in params.yaml (`dvc exp run -S {setting}=drop`)"
    )


def write_faults(faults: list[Fault], path: Path) -> None:
    """A CSV image_name,reason; the same faults give the same bytes everywhere."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *faults])


def read_faults(path: Path) -> list[Fault]:
    """What `write_faults` wrote; no file: no faults."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [Fault(row["image_name"], row["reason"]) for row in csv.DictReader(file)]
    except (KeyError, ValueError, csv.Error) as error:  # of bytes that are not UTF-8: a ValueError
        raise DataError(
            f"{path}: not the list of faults that pawprint wrote ({error}); run: dvc repro --force"
        ) from None


def name_fault(name: str) -> str | None:
    """Why a picture's name, relative to its folder, cannot be used on every system; None if it can."""
    if not is_readable(name):
        return "a name with control characters, or that is no Unicode text"
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or re.match("[A-Za-z]:/", name):
        return "leads out of the folder (found .., \\ or an absolute path; expected folder/name)"
    return None


def size_fault(n_bytes: int) -> str | None:
    """Why a picture's file of this size is not read; None if it is."""
    if n_bytes == 0:
        return "empty file"
    if n_bytes > MAX_FILE_MB * 1e6:
        return f"file too large: {n_bytes / 1e6:.0f} MB; expected at most {MAX_FILE_MB:g} MB"
    return None


def is_readable(text: str) -> bool:
    return text == readable(text)


def readable(text: str) -> str:
    """Control characters and broken Unicode as escapes, so that it can be printed, stored and read again."""
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in ("Cc", "Cs") else letter
        for letter in text
    )
