"""CSV tables that stages write for each other: what is read is checked, and a bad one is named with what remakes it."""

from pathlib import Path
from typing import Any

import pandas as pd

from pawprint.errors import DataError


def read_table(path: Path, columns: dict[str, type], command: str, **options: Any) -> pd.DataFrame:
    """A CSV with (at least) these columns of these types; DataError naming `command`, which writes it.

    `options` are for `pandas.read_csv`.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; run: {command}")
    try:
        return pd.read_csv(path, dtype=columns, **options)[list(columns)]
    except (ValueError, KeyError) as error:  # pandas' parser and encoding errors are ValueErrors
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a table of pawprint's ({reason}); write it anew: {command} --force") from None
