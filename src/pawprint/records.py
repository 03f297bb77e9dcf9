"""Records in JSON files, validated as they are read: what is not what was written is told, and never guessed."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pawprint.errors import DataError, shown

Record = TypeVar("Record")


def read_record(path: Path, kind: type[Record], again: str) -> Record:
    """The record of this kind in a file; DataError naming file and entry, with the command that writes it `again`."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run: {again}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        fault, n_more = error.errors()[0], error.error_count() - 1
        more = f", and {n_more} more" if n_more else ""
        raise DataError(f"{path}: {_sentence(fault)}{more}; write it anew: {again} --force") from None


def _sentence(fault: Any) -> str:
    place = "".join(f"{part}: " for part in fault["loc"])
    message = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{place}{message}" + (
        "" if fault["type"] in ("json_invalid", "missing") else f", found {shown(fault['input'])}"
    )
