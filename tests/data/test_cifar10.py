"""CIFAR-10 from torchvision's batches, planted in small, and from folders of pictures."""

import hashlib
import os
import pickle
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pawprint.data.index import read_table
from pawprint.data.packed import pack
from pawprint.data.prepared import load
from pawprint.data.sources import SOURCES, cifar10
from pawprint.data.sources.cifar10 import BATCHES, fetch
from pawprint.errors import DataError
from pawprint.types import DataSettings

REAL = Path(__file__).parents[3] / "shared/data/cifar10/cifar10-images.zip"
CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TRAIN = [f"data_batch_{number}" for number in range(1, 6)]
TEST = ["test_batch"]
PER_BATCH = 20


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


def pixels(name: str) -> np.ndarray:
    """A batch's pictures, (PER_BATCH, 32, 32, 3)."""
    seed = int.from_bytes(name.encode()[-4:])
    return np.random.default_rng(seed).integers(0, 256, (PER_BATCH, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the seven files of a small set, whose MD5s torchvision is given as the published ones."""
    root = tmp_path / "own"
    (root / BATCHES).mkdir(parents=True)
    md5 = {}
    for name in (*TRAIN, *TEST, "batches.meta"):
        data = pixels(name).transpose(0, 3, 1, 2).reshape(PER_BATCH, -1)  # as the set has it: channel by channel
        content = {"data": data, "labels": [row % 10 for row in range(PER_BATCH)], "label_names": CLASS_NAMES}
        (root / BATCHES / name).write_bytes(pickle.dumps(content))
        md5[name] = hashlib.md5((root / BATCHES / name).read_bytes()).hexdigest()
    monkeypatch.setattr("torchvision.datasets.CIFAR10.train_list", [[name, md5[name]] for name in TRAIN])
    monkeypatch.setattr("torchvision.datasets.CIFAR10.test_list", [[name, md5[name]] for name in TEST])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5["batches.meta"]}
    monkeypatch.setattr("torchvision.datasets.CIFAR10.meta", meta)
    return root


def fetched(tmp_path: Path, path: Path) -> Path:
    folder = tmp_path / "fetch"
    folder.mkdir()
    fetch(DataSettings(source="cifar10", path=str(path)), folder)
    return folder


@pytest.mark.parametrize("inner", ["", BATCHES])
def test_pictures_labels_and_parts_are_those_of_the_batches(batches: Path, tmp_path: Path, inner: str) -> None:
    folder = fetched(tmp_path, batches / inner)
    images, index = np.load(folder / "images.npy"), read_table(folder / "index.csv")
    assert np.array_equal(images, np.concatenate([pixels(name) for name in (*TEST, *TRAIN)]))
    assert index["image_name"].tolist() == sorted(index["image_name"])
    rows = index.set_index("image_name")
    assert rows.loc["test_00003"].tolist() == ["cat", "test"]
    assert rows.loc["train_00099"].tolist() == ["truck", "trainval"]
    assert sorted(file.name for file in folder.iterdir()) == ["images.npy", "index.csv"]


def test_val_is_drawn_from_train_and_labels_are_hidden(batches: Path, tmp_path: Path) -> None:
    settings = DataSettings(source="cifar10", image_size=32, labels_per_class=3, classes=("cat", "ship"))
    pack(fetched(tmp_path, batches), tmp_path / "prepare", settings)
    data = load(tmp_path / "prepare")
    assert data.unlabelled is not None
    assert data.class_names == ["cat", "ship"]
    assert [len(data.train), len(data.val), len(data.test), len(data.unlabelled)] == [6, 4, 4, 10]
    assert {name.split("_")[0] for name in data.test.names} == {"test"}
    names = data.train.names + data.val.names + data.unlabelled.names
    assert {name.split("_")[0] for name in names} == {"train"}
    row = int(data.unlabelled.names[4].removeprefix("train_"))
    batch, place = TRAIN[row // PER_BATCH], row % PER_BATCH
    assert np.array_equal(data.unlabelled.images[4], pixels(batch)[place])
    assert data.class_names[data.unlabelled.labels[4]] == CLASS_NAMES[place % 10]


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_changed_batch_is_named_and_not_unpickled(batches: Path, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "evil"
    (batches / BATCHES / name).write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(
        DataError, match=rf"{BATCHES}: {name}: not the content of CIFAR-10 .*MD5.*fetch the files again"
    ):
        fetched(tmp_path, batches)
    assert not mark.exists()
    assert not list((tmp_path / "fetch").iterdir())
    pickle.loads((batches / BATCHES / name).read_bytes())  # noqa: S301 it would have run
    assert mark.exists()


def test_torchvision_itself_refuses_a_changed_batch(
    batches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the source says of torchvision's loader, on which it relies as well."""
    monkeypatch.setattr(cifar10, "_refuse_changed", lambda folder: None)
    mark = tmp_path / "evil"
    (batches / BATCHES / "data_batch_5").write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(RuntimeError, match="corrupted"):
        fetched(tmp_path, batches)
    assert not mark.exists()


def test_all_files_that_are_missing_are_named(batches: Path, tmp_path: Path) -> None:
    for name in ("data_batch_2", "batches.meta"):
        (batches / BATCHES / name).unlink()
    with pytest.raises(DataError, match=r"no data_batch_2, batches.meta; expected the seven files of CIFAR-10"):
        fetched(tmp_path, batches)


def test_archive_that_is_still_packed_is_told(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/cifar-10-python.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"own: cifar-10-python.tar.gz is packed; unpack it there: tar -xzf"):
        fetched(tmp_path, tmp_path / "own")


@pytest.mark.parametrize("packed", [False, True])
def test_folder_of_pictures_is_read_as_a_persons_own(tmp_path: Path, packed: bool) -> None:
    source = tmp_path / "own"
    names = [f"{part}/{label}/{row:04d}.png" for part, n in (("train", 8), ("test", 2))
             for label in ("cat", "ship") for row in range(n)]  # fmt: skip
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), "red").save(source / name)
    if packed:
        with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
            for name in names:
                archive.write(source / name, name)
        source = tmp_path / "own.zip"
    index = read_table(fetched(tmp_path, source) / "index.csv")
    assert index["image_name"].tolist() == sorted(names)
    (tmp_path / "folder").mkdir()
    SOURCES["folder"](DataSettings(source="folder", path=str(source)), tmp_path / "folder")
    assert index.equals(read_table(tmp_path / "folder/index.csv"))


def no_such_name(*_: object, **__: object) -> None:
    raise socket.gaierror(-2, "Name or service not known")


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


def test_neither_network_nor_path_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with pytest.raises(DataError, match=r"cifar10: .*Name or service.*data\.path.*batches-py.*network.*digits"):
        fetch(DataSettings(source="cifar10"), tmp_path)
    assert not list(tmp_path.iterdir())


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """The address of a server of the folder's files."""
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_download_is_read_and_leaves_nothing_behind(
    batches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: None
) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "site/cifar-10-python"), "gztar", batches))
    monkeypatch.setattr("torchvision.datasets.CIFAR10.tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    from_folder = fetched(tmp_path, batches)
    (tmp_path / "down/fetch").mkdir(parents=True)
    with site(archive.parent) as address:
        monkeypatch.setattr(cifar10, "SITE", address)
        monkeypatch.setattr("torchvision.datasets.CIFAR10.url", f"{address}/{archive.name}")
        fetch(DataSettings(source="cifar10"), tmp_path / "down/fetch")
    for file in from_folder.iterdir():
        assert (tmp_path / "down/fetch" / file.name).read_bytes() == file.read_bytes()
    assert [file.name for file in (tmp_path / "down").iterdir()] == ["fetch"]


def test_download_that_breaks_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    """The site answers and its file does not: torchvision's own error, in ours."""
    monkeypatch.setattr(cifar10, "why_unreachable", lambda url: None)
    monkeypatch.setattr("torchvision.datasets.CIFAR10.url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    (tmp_path / "fetch").mkdir()
    with pytest.raises(DataError, match=r"could not be downloaded from .*refused.*Set data\.path"):
        fetch(DataSettings(source="cifar10"), tmp_path / "fetch")
    assert not list((tmp_path / "fetch").iterdir())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fetch"]


@pytest.mark.skipif(not REAL.is_file(), reason="no ../shared/data/cifar10 here")
def test_real_pictures_are_all_there(tmp_path: Path) -> None:
    index = read_table(fetched(tmp_path, REAL) / "index.csv")
    counts = index.groupby(["split", "label"]).size()
    assert sorted(counts["train"].index) == sorted(CLASS_NAMES)
    assert set(counts["train"]) == {5_000}
    assert set(counts["test"]) == {1_000}
