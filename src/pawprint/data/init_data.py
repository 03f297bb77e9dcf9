"""`pawprint init-data FOLDER`: check a person's own pictures and point params.yaml at them."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from pawprint.atomic import write_text
from pawprint.data.decode import read_picture
from pawprint.data.faults import Fault, by_name, how_to_go_on, report
from pawprint.data.index import labels_in, parts_of
from pawprint.data.screen import screen
from pawprint.data.sources.folder import FolderSummary, picture_place, read_layout
from pawprint.data.sources.tree import open_tree
from pawprint.errors import SettingsError
from pawprint.params import read_study
from pawprint.types import can_be_looked_for

ADVICE = how_to_go_on("`pawprint init-data` again (nothing was written)", "data.on_bad")


class _SpelledNull(RoundTripRepresenter):
    """Writes null as `null`, where ruamel's own round trip leaves nothing behind the colon."""


_SpelledNull.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def init_data(folder: Path, params_path: Path) -> str:
    """Check `folder` (or .zip: layout, every picture, the split) and set data.source and data.path in `params_path`.

    What cannot be used is told in one error, or, where data.on_bad is drop, in what is returned for the terminal.
    Raises DataError or SettingsError, and then writes nothing.
    """
    present = read_study(params_path)[0].data
    try:
        # Absolute: `dvc exp run --temp` runs in a copy of the repository.
        absolute = Path(can_be_looked_for(str(folder))).expanduser().resolve()
        settings = dataclasses.replace(present, source="folder", path=str(absolute))
    except ValueError as error:  # pydantic's are ValueErrors
        raise SettingsError([f"command line: the folder: {' '.join(str(error).split())}"]) from None
    with open_tree(picture_place(settings)) as tree:
        summary = read_layout(tree)

        def decode(name: str) -> np.ndarray:
            return read_picture(summary.tree.read(name), settings.image_size)

        table, dropped = screen(summary.index, by_name(summary.faults), settings, decode, ADVICE, title="init-data")
    _write_settings(params_path, {"source": "folder", "path": str(absolute)})
    return _findings(absolute, summary, table, dropped, params_path)


def _findings(folder: Path, summary: FolderSummary, table: pd.DataFrame, dropped: list[Fault], params: Path) -> str:
    counts, parts = table["label"].value_counts()[sorted(labels_in(table))], table["split"].value_counts()
    n_without = int((table["label"] == "").sum())
    given = ", ".join(f"{part} {n}" for part, n in summary.n_per_split.items()) or "none given"
    used = ", ".join(f"{part} {parts[part]}" for part in parts_of(table))
    lines = [
        f"{folder}: {counts.sum()} pictures of {len(counts)} classes, {counts.min()} to {counts.max()} a class"
        + (f", and {n_without} without a label" if n_without else "")
        + ("; all can be read" if not dropped else " can be used"),
        f"split: {given}; used as {used}",
        f"{params}: data.source and data.path are set",
        "next: `dvc repro`; after changing pictures: `dvc repro --force fetch`, then `dvc repro`",
    ]
    return "\n".join([report(dropped, "data.on_bad is drop: these will be left out"), *lines] if dropped else lines)


def _write_settings(path: Path, data: dict[str, Any]) -> None:
    """Set keys of the `data` section; every other byte stays."""
    yaml = YAML()
    yaml.Representer = _SpelledNull
    yaml.preserve_quotes = True
    yaml.width = 10_000
    content = yaml.load(path.read_text(encoding="utf-8"))
    content["data"].update(data)
    text = io.StringIO()
    yaml.dump(content, text)
    write_text(path.resolve(), text.getvalue())
