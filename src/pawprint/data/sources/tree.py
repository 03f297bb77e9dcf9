"""The files of a folder or a .zip, by name: what is safe to read, and what is not.

Nothing leads out of the place: links and members that do are faults, as are encrypted members, what is no plain file,
and files of a size that no picture has. Nothing is read until it is asked for, and of a .zip nothing is unpacked.
"""

import os
import stat
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from pawprint.data.faults import Fault, name_fault, readable, size_fault
from pawprint.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what every program writes


@dataclass(frozen=True)
class Tree:
    """Names relative to the place, folders separated by `/`; hidden ones are not among them."""

    place: str
    files: list[str]  # sorted
    folders: list[str]  # sorted; those without files too
    faults: list[Fault]  # of pictures that are not among the files
    read: Callable[[str], bytes]  # a file's content; ValueError with the reason if it cannot be had

    def files_in(self, folder: str) -> list[str]:
        """The files directly in a folder; "" is the place itself."""
        return self._files.get(folder, [])

    def folders_in(self, folder: str) -> list[str]:
        return self._folders.get(folder, [])

    def below(self, folder: str) -> "Tree":
        """The part in a folder, as a place of its own."""

        def inner(names: Iterable[str]) -> list[str]:
            return [name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/")]

        faults = [Fault(name.removeprefix(f"{folder}/"), reason) for name, reason in self.faults]
        place = f"{self.place}/{folder}"
        return Tree(place, inner(self.files), inner(self.folders), faults, lambda name: self.read(f"{folder}/{name}"))

    def without(self, folder: str) -> "Tree":
        """The place as if that folder were not in it."""

        def outside(name: str) -> bool:
            return name != folder and not name.startswith(f"{folder}/")

        faults = [fault for fault in self.faults if outside(fault.image_name)]
        return replace(
            self, files=list(filter(outside, self.files)), folders=list(filter(outside, self.folders)), faults=faults
        )

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        return _by_folder(self.files)

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        return _by_folder(self.folders)


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The files of a folder or .zip, readable inside the block. DataError if it cannot be read."""
    if path.is_dir():
        yield _folder_tree(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # at broken bytes zipfile raises more than BadZipFile
        raise DataError(f"{path}: cannot be read as a .zip ({error}); was it cut short on its way?") from error
    with archive:
        yield _zip_tree(path, archive)


def is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _folder_tree(path: Path) -> Tree:
    root = path.resolve()
    files: list[str] = []
    folders: list[str] = []
    faults: list[Fault] = []
    for above, inner, names in os.walk(root, onerror=_refuse_unreadable):
        inner[:] = [name for name in inner if not _is_hidden(name)]
        for name in [*inner, *(name for name in names if not _is_hidden(name))]:
            entry = Path(above, name)
            relative = entry.relative_to(root).as_posix()
            reason = name_fault(relative) or _entry_fault(entry, root)
            if reason is None:
                (folders if name in inner else files).append(relative)
            elif name in inner or is_picture(name):
                faults.append(Fault(readable(relative) + "/" * (name in inner), reason))
    return Tree(str(path), sorted(files), sorted(folders), faults, lambda name: _read_file(root / name))


def _entry_fault(entry: Path, root: Path) -> str | None:
    """Why a folder or file below `root` is not read; None if it is."""
    if entry.is_symlink() and not Path(os.path.realpath(entry)).is_relative_to(root):
        return "leads out of the folder (a link)"
    if not entry.exists():
        return "a link to a file that is not there"
    if entry.is_symlink() and entry.is_dir():
        return "a link to a folder, which is not followed"
    status = entry.stat()
    if entry.is_dir() or not is_picture(entry.name):
        return None
    return size_fault(status.st_size) if stat.S_ISREG(status.st_mode) else "not a plain file"


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error


def _refuse_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read: {error.strerror}")


def _zip_tree(path: Path, archive: zipfile.ZipFile) -> Tree:
    members: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    faults: list[Fault] = []
    for member in archive.infolist():
        name = member.orig_filename
        relative = PurePosixPath(name)
        if any(_is_hidden(part) for part in relative.parts if part != ".."):
            continue
        reason = name_fault(name) or (f"twice in {path.name}" if str(relative) in members else None)
        if reason is None:
            above = relative.parents if not member.is_dir() else (relative, *relative.parents)
            folders.update(str(folder) for folder in above if str(folder) != ".")
            reason = _member_fault(member)
        if reason is None and not member.is_dir():
            members[str(relative)] = member
        elif reason and is_picture(name):
            faults.append(Fault(readable(name), reason))
    return Tree(str(path), sorted(members), sorted(folders), faults, lambda name: _read_member(archive, members[name]))


def _member_fault(member: zipfile.ZipInfo) -> str | None:
    """Why a member is not read; None if it is."""
    if member.flag_bits & 0x1:
        return "encrypted"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link in the archive, which is not followed"
    if member.compress_type not in METHODS:
        return f"compressed by method {member.compress_type}; expected stored or deflated"
    return size_fault(member.file_size) if is_picture(member.filename) else None


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(member) as file:
            return file.read(member.file_size + 1)  # with a limit, as the claimed size may be far below the real one
    except Exception as error:  # at broken bytes zipfile raises more than BadZipFile
        raise ValueError(f"damaged in the archive: {error}") from error


def _is_hidden(name: str) -> bool:
    """Made by a system and not by a person: hidden, or what a Mac's .zip adds."""
    return name.startswith((".", "__MACOSX"))


def _by_folder(names: list[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for name in names:
        grouped[name.rpartition("/")[0]].append(name)
    return grouped
