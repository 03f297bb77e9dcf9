"""A person's list of pictures, a CSV image_name,label,split: read, and matched with the pictures that are there.

Such files are taken as they come: BOM, CRLF, blank lines, quotes, spaces around fields, `;` or tabs (the
header tells), further columns, names with or without suffix and in either Unicode normal form. What cannot be
understood is a fault of its row; only a file that is no such CSV at all raises.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import pandas as pd

from pawprint.data.faults import Fault, is_readable, name_fault, readable
from pawprint.data.index import COLUMNS, PARTS, POOLS, SPLITS, UNLABELLED
from pawprint.errors import DataError
from pawprint.types import DataSettings

DELIMITERS = (",", ";", "\t")


class Listing(NamedTuple):
    """A list of pictures, not yet held against any."""

    origin: str  # the file's name, for reasons
    rows: pd.DataFrame  # image_name as written, label, split; the index is the line
    faults: list[Fault]  # of lines that are no rows
    names_all: bool = True  # whether a picture that no row names is a fault


class Match(NamedTuple):
    """A list held against the pictures that are there."""

    table: pd.DataFrame  # the sound rows, sorted by name: image_name of a picture, label, split
    faults: list[Fault]  # of lines and rows, and of pictures in no row where there must be one
    unlisted: list[str]  # pictures that no row names


def split_file_path(settings: DataSettings) -> Path:
    """Where `data.split_file` is: in the study's folder, else in `data.path`. DataError if in neither."""
    written = Path(settings.split_file or "").expanduser()
    places = [written] + ([Path(settings.path).expanduser() / written] if settings.path else [])
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        looked = " and ".join(str(place.resolve()) for place in dict.fromkeys(places))
        raise DataError(
            f"data.split_file: {settings.split_file}: no such file; looked at {looked}"
            " (`dvc exp run --queue` and `--temp` work in a copy of the repository: give an absolute path)"
        )
    return found


def read_listing(path: Path) -> Listing:
    """The rows of a CSV. DataError if it is not UTF-8 text, not CSV, lacks a column or has no rows."""
    (_, header), *records = _records(path)
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        expected = ",".join(COLUMNS)
        raise DataError(f"{path}: no column {', '.join(missing)}; found {header}, expected the header {expected}")
    if not records:
        raise DataError(f"{path}: no rows below the header; expected one for each picture")
    places = [header.index(column) for column in COLUMNS]
    faults, rows = [], {}
    for line, fields in records:
        if len(fields) == len(header):
            rows[line] = [fields[place] for place in places]
        else:
            name = fields[places[0]] if places[0] < len(fields) else ""
            reason = f"wrong number of fields: {len(fields)} in line {line}; expected {len(header)}"
            faults.append(Fault(_row_name(name, line, path.name), reason))
    return Listing(path.name, pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS, dtype=str), faults)


def match(listing: Listing, pictures: Collection[str]) -> Match:
    """Find each row's picture by name; sound are the rows that name one of their own, with a label and a split.

    An unlabelled picture needs no label.
    """
    find = _finder(pictures, listing.origin)
    splits = set(listing.rows["split"])
    faults = list(listing.faults)
    claims: dict[str, list[tuple[str, str, str]]] = defaultdict(list)  # picture → rows as written that name it
    sound = []
    for row in listing.rows.itertuples():
        picture, problem = find(row.image_name)
        found = (problem, _label_fault(row.label, row.split), _split_fault(row.split, splits))
        reasons = [reason for reason in found if reason]
        faults += [Fault(_row_name(row.image_name, row.Index, listing.origin), reason) for reason in reasons]
        if picture:
            claims[picture].append((row.image_name, row.label, row.split))
        if not reasons:
            sound.append((picture, row.label, row.split))
    for rows in claims.values():
        faults += _repeats(rows)
    sound = sorted(row for row in sound if len(claims[row[0]]) == 1)
    named = claims.keys() | {find(fault.image_name)[0] for fault in listing.faults}
    unlisted = [picture for picture in pictures if picture not in named]
    if listing.names_all:
        faults += [Fault(picture, f"named in no row (of {listing.origin})") for picture in unlisted]
    return Match(pd.DataFrame(sound, columns=COLUMNS, dtype=str), faults, unlisted)


def _records(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and fields, stripped of spaces, of the header and every row that is not blank."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        first = next((line for line in text.splitlines() if line.strip()), "")
        delimiter = max(DELIMITERS, key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
        records = [(reader.line_num, [field.strip() for field in fields]) for fields in reader]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV, at line {reader.line_num}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    return [(line, fields) for line, fields in records if any(fields)] or [(1, [])]


def _finder(pictures: Collection[str], origin: str) -> Callable[[str], tuple[str, str | None]]:
    """From a name as written to its picture and None, or to "" and why there is none."""
    exactly = set(pictures)
    loosely: dict[str, list[str]] = defaultdict(list)
    for picture in sorted(exactly):
        stem = picture.rpartition(".")[0]
        for key in dict.fromkeys((_loose(picture), _loose(stem) if stem else "")):
            loosely[key].append(picture)

    def find(name: str) -> tuple[str, str | None]:
        candidates = [name] if name in exactly else loosely[_loose(name)] if name else []
        if len(candidates) == 1:
            return candidates[0], None
        if candidates:
            return "", f"ambiguous: is it {' or '.join(candidates)}? Write the name as the file has it"
        return "", name_fault(name) or ("no such picture" if name else "no image_name") + f" (named in {origin})"

    return find


def _loose(name: str) -> str:
    """The name in one Unicode normal form, its suffix in lower case."""
    stem, dot, suffix = normalize("NFC", name).rpartition(".")
    return f"{stem}{dot}{suffix.lower() if dot else suffix}"


def _label_fault(label: str, split: str) -> str | None:
    if not label:
        return None if split == UNLABELLED else "no label"
    return None if is_readable(label) else "a label with control characters"


def _split_fault(split: str, splits: set[str]) -> str | None:
    """Why the word cannot be used among the `splits` that the rows have."""
    if split not in (*PARTS, *POOLS, UNLABELLED):
        return f"unknown split: {split!r}; expected {SPLITS}"
    return "no split, where other rows have one" if not split and splits & {"train", "trainval"} else None


def _repeats(rows: list[tuple[str, str, str]]) -> list[Fault]:
    """One fault for each way that several rows write the name of one picture."""
    if len(rows) == 1:
        return []
    labels = sorted({label for _, label, _ in rows if label})
    reason = f"named more than once: {len(rows)} rows"
    if len(labels) > 1:
        reason = f"named with more than one label: {' and '.join(labels)}"
    return [Fault(name, reason) for name in sorted({name for name, _, _ in rows})]


def _row_name(written: str, line: int, origin: str) -> str:
    return readable(written) or f"line {line} of {origin}"
