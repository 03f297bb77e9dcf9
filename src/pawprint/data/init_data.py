"""`pawprint init-data FOLDER`: check a person's own pictures and point params.yaml at them."""

import dataclasses
import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from pawprint.atomic import write_text
from pawprint.data.decode import read_picture
from pawprint.data.sources.folder import FolderSummary, check_folder, picture_folder
from pawprint.data.split import PARTS, assign_splits
from pawprint.errors import DataError
from pawprint.params import read_study
from pawprint.progress import progress


class _SpelledNull(RoundTripRepresenter):
    """Writes null as `null`, where ruamel's own round trip leaves nothing behind the colon."""


_SpelledNull.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def init_data(folder: Path, params_path: Path) -> str:
    """Check `folder` (layout, every picture, the split) and set data.source and data.path in `params_path`.

    Returns what was found, for the terminal. Raises DataError or SettingsError, and then writes nothing.
    """
    absolute = folder.expanduser().resolve()  # `dvc exp run --temp` runs in a copy of the repository
    present = read_study(params_path)[0].data
    settings = dataclasses.replace(present, source="folder", path=str(absolute))
    summary = check_folder(picture_folder(settings))
    _refuse_broken(absolute, summary, settings.image_size)
    parts = assign_splits(summary.index, settings)["split"].value_counts()
    _write_settings(params_path, {"source": "folder", "path": str(absolute)})
    counts = summary.n_per_class
    given = ", ".join(f"{part} {n}" for part, n in summary.n_per_split.items()) or "none given"
    used = ", ".join(f"{part} {parts[part]}" for part in PARTS)
    return "\n".join([
        f"{absolute}: {sum(counts.values())} pictures of {len(counts)} classes,"
        f" {min(counts.values())} to {max(counts.values())} a class; all can be read",
        f"split: {given}; used as {used}",
        f"{params_path}: data.source and data.path are set",
        "next: `dvc repro`; after changing pictures: `dvc repro --force fetch`, then `dvc repro`",
    ])  # fmt: skip


def _refuse_broken(folder: Path, summary: FolderSummary, pixels: int) -> None:
    names = summary.index["image_name"]
    broken = []
    with progress("init-data", len(names)) as reporter:
        for name in names:
            try:
                read_picture(folder / name, pixels)
            except ValueError as error:
                broken.append(f"{name}: {error}")
            reporter.advance()
    if broken:
        raise DataError(
            f"{folder}: {len(broken)} of {len(names)} pictures cannot be read:\n  " + "\n  ".join(broken) + "\n"
            "mend them or take them out, then try again; nothing was written"
        )


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
