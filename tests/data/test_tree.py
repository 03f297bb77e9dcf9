"""Nothing leads out of a folder or a .zip, and what is not safe to read is a fault with its reason."""

import contextlib
import os
import re
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pawprint.data.faults import MAX_FILE_MB
from pawprint.data.sources.tree import Tree, open_tree
from pawprint.errors import DataError

SOUND = ["cat/1.jpg", "dog/Ü 😀.JPG"]


def test_place_without_a_folder_lacks_what_is_in_it_alone(tmp_path: Path) -> None:
    for name in ("test/a/1.jpg", "test/2.jpg", "tests/3.jpg", "train/test/4.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"" if name == "test/2.jpg" else b"x")
    with open_tree(tmp_path) as tree:
        rest = tree.without("test")
        assert [fault.image_name for fault in tree.faults] == ["test/2.jpg"]
        assert rest.files == ["tests/3.jpg", "train/test/4.jpg"]
        assert rest.folders_in("") == ["tests", "train"]
        assert rest.faults == []
        assert rest.read("tests/3.jpg") == b"x"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sound files in a folder, and one outside."""
    for name in (*SOUND, "../secret.jpg"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_bytes(name.encode())
    return tmp_path / "own"


def assert_only_fault(tree: Tree, name: str, reason: str) -> None:
    assert tree.files == SOUND
    assert [tree.read(file).decode() for file in SOUND] == SOUND
    assert [fault.image_name for fault in tree.faults] == [name]
    assert re.match(reason, tree.faults[0].reason), tree.faults


def test_sound_folder_has_no_faults(folder: Path) -> None:
    (folder / "cat/.hidden.jpg").write_bytes(b"x")
    (folder / ".git/cat").mkdir(parents=True)
    (folder / "cat/2.jpg").symlink_to("1.jpg")  # a link to a file inside is as good as the file
    with open_tree(folder) as tree:
        assert (tree.files, tree.folders, tree.faults) == ([SOUND[0], "cat/2.jpg", SOUND[1]], ["cat", "dog"], [])
        assert tree.read("cat/2.jpg") == SOUND[0].encode()


@pytest.mark.parametrize(
    ("plant", "name", "reason"),
    [
        (lambda f: (f / "cat/2.jpg").symlink_to("../../secret.jpg"), "cat/2.jpg", "leads out of the folder"),
        (lambda f: (f / "cat/2.jpg").symlink_to("/etc/passwd"), "cat/2.jpg", "leads out of the folder"),
        (lambda f: (f / "bird").symlink_to(f.parent), "bird/", "leads out of the folder"),
        (lambda f: (f / "bird").symlink_to("cat"), "bird/", "a link to a folder"),
        (lambda f: (f / "cat/2.jpg").symlink_to("3.jpg"), "cat/2.jpg", "a link to a file that is not there"),
        (lambda f: (f / "cat/2.jpg").symlink_to("2.jpg"), "cat/2.jpg", "a link to a file that is not there"),
        (lambda f: os.mkfifo(f / "cat/2.jpg"), "cat/2.jpg", "not a plain file"),
        (lambda f: (f / "cat/2.jpg").touch(), "cat/2.jpg", "empty file"),
        (lambda f: (f / "cat/a\\2.jpg").write_bytes(b"x"), "cat/a\\2.jpg", "leads out of the folder"),
        (lambda f: (f / "cat/a\n2.jpg").write_bytes(b"x"), "cat/a\\n2.jpg", "a name with control characters"),
        (lambda f: (f / "cat/\udcff.jpg").write_bytes(b"x"), "cat/\\udcff.jpg", "a name with .* no Unicode text"),
    ],
)  # fmt: skip
def test_unsafe_file_is_a_fault(folder: Path, plant: Callable[[Path], object], name: str, reason: str) -> None:
    plant(folder)
    with open_tree(folder) as tree:
        assert_only_fault(tree, name, reason)


def test_huge_file_is_a_fault(folder: Path) -> None:
    (folder / "cat/2.jpg").touch()
    os.truncate(folder / "cat/2.jpg", int(MAX_FILE_MB * 1e6) + 1)
    with open_tree(folder) as tree:
        assert_only_fault(tree, "cat/2.jpg", "file too large")


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def archive_with(path: Path, *members: tuple[zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in ((member(name), name.encode()) for name in SOUND):
            archive.writestr(info, content)
        for info, content in members:
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize(
    ("name", "mode", "method", "reason"),
    [
        ("../secret.jpg", stat.S_IFREG, zipfile.ZIP_DEFLATED, "leads out of the folder"),
        ("cat/../../secret.jpg", stat.S_IFREG, zipfile.ZIP_DEFLATED, "leads out of the folder"),
        ("/etc/secret.jpg", stat.S_IFREG, zipfile.ZIP_DEFLATED, "leads out of the folder"),
        ("cat\\2.jpg", stat.S_IFREG, zipfile.ZIP_DEFLATED, "leads out of the folder"),
        ("C:/2.jpg", stat.S_IFREG, zipfile.ZIP_DEFLATED, "leads out of the folder"),
        ("cat/a\n2.jpg", stat.S_IFREG, zipfile.ZIP_DEFLATED, "a name with control characters"),
        ("cat/2.jpg", stat.S_IFLNK, zipfile.ZIP_DEFLATED, "a link in the archive"),
        ("cat/2.jpg", stat.S_IFREG, zipfile.ZIP_BZIP2, "compressed by method 12"),
        ("cat/2.jpg", stat.S_IFREG, zipfile.ZIP_LZMA, "compressed by method 14"),
        ("./cat//1.jpg", stat.S_IFREG, zipfile.ZIP_DEFLATED, "twice in own.zip"),
    ],
)
def test_unsafe_member_is_a_fault(tmp_path: Path, name: str, mode: int, method: int, reason: str) -> None:
    info = member(name, mode | 0o644)
    info.compress_type = method
    with open_tree(archive_with(tmp_path / "own.zip", (info, b"../../secret.jpg"))) as tree:
        assert_only_fault(tree, name.replace("\n", "\\n"), reason)


def test_encrypted_member_is_a_fault(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "own.zip", (member("cat/2.jpg"), b"x" * 50))
    content = bytearray(path.read_bytes())
    local, central = (content.index(b"cat/2.jpg") - 30, content.rindex(b"cat/2.jpg") - 46)
    for place in (local + 6, central + 8):
        content[place] |= 1
    path.write_bytes(content)
    with open_tree(path) as tree:
        assert_only_fault(tree, "cat/2.jpg", "encrypted")


def test_member_of_a_claimed_huge_size_is_a_fault(tmp_path: Path) -> None:
    bomb = bytes(int(MAX_FILE_MB * 1e6) + 1)
    with open_tree(archive_with(tmp_path / "own.zip", (member("cat/2.jpg"), bomb))) as tree:
        assert_only_fault(tree, "cat/2.jpg", "file too large")


def test_member_larger_than_it_claims_is_not_unpacked(tmp_path: Path) -> None:
    path = archive_with(tmp_path / "own.zip", (member("cat/2.jpg"), bytes(150_000_000)))
    content = bytearray(path.read_bytes())
    size = content.rindex(b"cat/2.jpg") - 46 + 24
    content[size : size + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    with open_tree(path) as tree:
        tracemalloc.start()
        with pytest.raises(ValueError, match="damaged in the archive: Bad CRC-32"):
            tree.read("cat/2.jpg")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()


def test_file_that_is_no_archive_or_cut_short_is_refused(tmp_path: Path) -> None:
    whole = archive_with(tmp_path / "own.zip").read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2], whole[:-5]):
        (tmp_path / "own.zip").write_bytes(content)
        with (
            pytest.raises(DataError, match=r"own\.zip: cannot be read as a \.zip .* cut short"),
            open_tree(tmp_path / "own.zip"),
        ):
            pass


def test_changed_bytes_of_an_archive_give_files_or_errors_with_words(tmp_path: Path) -> None:
    whole = np.frombuffer(archive_with(tmp_path / "own.zip").read_bytes(), np.uint8)
    draws, n_refused = np.random.default_rng(0), 0
    for _ in range(300):
        content = whole.copy()
        places = draws.integers(0, len(content), 4)
        content[places] = draws.integers(0, 256, len(places))
        (tmp_path / "own.zip").write_bytes(content.tobytes())
        with contextlib.suppress(DataError), open_tree(tmp_path / "own.zip") as tree:
            for name in tree.files:
                n_refused += was_refused(tree, name)
    assert n_refused > 10


def was_refused(tree: Tree, name: str) -> bool:
    try:
        return not tree.read(name)
    except ValueError:  # what `Tree.read` may raise, and nothing else
        return True


def test_part_of_a_tree_is_a_place_of_its_own(folder: Path) -> None:
    (folder / "cat/2.jpg").touch()
    with open_tree(folder.parent) as tree:
        part = tree.below("own")
        assert (part.place, part.files, part.folders) == (f"{folder}", SOUND, ["cat", "dog"])
        assert [fault.image_name for fault in part.faults] == ["cat/2.jpg"]
        assert part.read(SOUND[0]) == SOUND[0].encode()
        assert part.files_in("cat") == ["cat/1.jpg"]
        assert (part.files_in(""), part.folders_in("")) == ([], ["cat", "dog"])
