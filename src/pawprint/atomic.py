"""Files and folders that are either whole or not there.

A temporary file in the same folder, fsync, `os.replace`, fsync of the folder: after a kill or a power cut
the name holds the old content or the new one. (A temporary file elsewhere is copied, not renamed.)
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Replace `path` by `content`, creating its folder; what was there before is moved to `keep`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name: what a killed write leaves is overwritten by the next.
    temporary = path.with_name(f".{path.name}.unfinished")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, content: str) -> None:
    """UTF-8 with the line ends given."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Indented JSON that every parser reads: a number that is not finite becomes null."""
    write_text(path, json.dumps(_finite(content), indent=1, allow_nan=False) + "\n")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` that takes its place when the block ends well, and else vanishes."""
    unfinished = target.with_name(target.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if target.exists():
            shutil.rmtree(target)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def why_unwritable(folder: Path) -> str | None:
    """Why nothing can be written below `folder`, which need not be there yet; None if it can."""
    try:
        above = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    except OSError as error:  # a name that is too long, for one
        return str(error.strerror)
    if not above.is_dir():
        return f"{above} is no folder"
    return None if os.access(above, os.W_OK) else f"{above} cannot be written to"


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and content - content != 0:
        return None
    return content
