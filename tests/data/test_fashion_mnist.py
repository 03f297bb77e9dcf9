"""Fashion-MNIST from its four files: planted ones, whole and with every fault, and the real ones."""

import gzip
import shutil
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pawprint.contradictions import of_data, of_run_with_data
from pawprint.data.index import read_table
from pawprint.data.packed import pack
from pawprint.data.prepared import load
from pawprint.data.sources import SOURCES, fashion_mnist
from pawprint.data.sources.fashion_mnist import CLASS_NAMES, fetch
from pawprint.errors import DataError
from pawprint.types import DataSettings, RunSpec

REAL = Path(__file__).parents[3] / "shared/data/fashion-mnist"
N_TRAIN, N_TEST = 100, 20
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


def pixels(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 28, 28), dtype=np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The four files of a small set, packed; labels 0 to 9 in turn."""
    folder = tmp_path / "files"
    folder.mkdir()
    for images, labels, n in ((TRAIN_IMAGES, TRAIN_LABELS, N_TRAIN), (TEST_IMAGES, TEST_LABELS, N_TEST)):
        write(folder, images, idx(pixels(n, seed=n)))
        write(folder, labels, idx(np.arange(n, dtype=np.uint8) % 10))
    return folder


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))


def fetched(tmp_path: Path, path: Path) -> Path:
    folder = tmp_path / "fetch"
    folder.mkdir()
    fetch(DataSettings(source="fashion_mnist", path=str(path)), folder)
    return folder


def as_they_come(folder: Path) -> None:
    """Packed, beside each other."""


def unpacked(folder: Path) -> None:
    for file in folder.glob("*.gz"):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()


def unpacked_by_a_browser(folder: Path) -> None:
    """And still named .gz."""
    for file in folder.glob("*.gz"):
        file.write_bytes(gzip.decompress(file.read_bytes()))


def as_torchvision_leaves_them(folder: Path) -> None:
    """Both, below the root that its user named."""
    raw = folder / "FashionMNIST/raw"
    raw.mkdir(parents=True)
    for file in folder.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        file.rename(raw / file.name)


def raw_of_torchvision(folder: Path) -> None:
    as_torchvision_leaves_them(folder)
    (folder / "FashionMNIST/raw").rename(folder / "raw")


@pytest.mark.parametrize(
    "lay", [as_they_come, unpacked, unpacked_by_a_browser, as_torchvision_leaves_them, raw_of_torchvision]
)
def test_pictures_labels_and_parts_are_those_of_the_files(
    files: Path, tmp_path: Path, lay: Callable[[Path], None]
) -> None:
    lay(files)
    folder = fetched(tmp_path, files)
    images, index = np.load(folder / "images.npy"), read_table(folder / "index.csv")
    expected = np.concatenate([pixels(N_TEST, seed=N_TEST), pixels(N_TRAIN, seed=N_TRAIN)])[..., None]
    assert np.array_equal(images, expected)
    assert index["image_name"].tolist() == sorted(index["image_name"])
    rows = index.set_index("image_name")
    assert rows.loc["test_00000"].tolist() == ["T-shirt/top", "test"]
    assert rows.loc["train_00099"].tolist() == ["Ankle boot", "trainval"]
    assert sorted(set(index["label"])) == sorted(CLASS_NAMES)
    assert sorted(file.name for file in folder.iterdir()) == ["images.npy", "index.csv"]


def test_val_is_drawn_from_train_and_test_stays(files: Path, tmp_path: Path) -> None:
    folder = fetched(tmp_path, files)
    settings = DataSettings(source="fashion_mnist", image_size=28, val_percent=30, test_percent=90)
    pack(folder, tmp_path / "prepare", settings)
    data = load(tmp_path / "prepare")
    assert [len(data.train), len(data.val), len(data.test)] == [70, 30, 20]
    assert data.test.names == [f"test_{row:05d}" for row in range(N_TEST)]
    assert sorted(data.train.names + data.val.names) == [f"train_{row:05d}" for row in range(N_TRAIN)]
    assert np.bincount(data.val.labels).tolist() == [3] * 10
    assert data.image_shape == (1, 28, 28)
    row = int(data.val.names[7].removeprefix("train_"))
    assert np.array_equal(data.val.images[7, :, :, 0], pixels(N_TRAIN, seed=N_TRAIN)[row])
    assert data.class_names[data.val.labels[7]] == CLASS_NAMES[row % 10]


def test_max_per_class_limits_train_and_test(files: Path, tmp_path: Path) -> None:
    folder = fetched(tmp_path, files)
    settings = DataSettings(source="fashion_mnist", image_size=28, max_per_class=5)
    pack(folder, tmp_path / "prepare", settings)
    data = load(tmp_path / "prepare")
    assert [len(data.train), len(data.val), len(data.test)] == [40, 10, 20]


@pytest.mark.parametrize(("source", "n_faults"), [("fashion_mnist", 0), ("folder", 1)])
def test_a_perceptron_is_reckoned_with_one_channel(source: str, n_faults: int) -> None:
    """784 x 100,000 weights: too many only if there were three channels."""
    spec = RunSpec(study="s", variant="v", run="v", seed=0, model="mlp", mlp_widths=(100_000,))
    data = DataSettings(source=source, path="any", image_size=28, val_percent=60, test_percent=60)
    assert len(of_run_with_data(spec, data)) == n_faults
    assert not of_data(data)  # test_percent is for sources that give no test set


def cut_header(content: bytes) -> bytes:
    return content[:7]


def cut(content: bytes) -> bytes:
    return content[:-1]


def longer(content: bytes) -> bytes:
    return content + b"\0"


def other_type(content: bytes) -> bytes:
    return b"\0\0\x0d" + content[3:]  # 32-bit floats


def other_file(content: bytes) -> bytes:
    return b"<html>Not found</html>"


def empty(content: bytes) -> bytes:
    return b""


def one_column_less(content: bytes) -> bytes:
    return idx(pixels(N_TRAIN, seed=0)[:, :, :-1])


def no_pictures(content: bytes) -> bytes:
    return idx(pixels(0, seed=0))


def claims_four_thousand_million(content: bytes) -> bytes:
    return content[:4] + b"\xff" * 4 + content[8:]


FAULTS: dict[Callable[[bytes], bytes], str] = {
    cut_header: "cut short in its first 16 bytes",
    cut: r"cut short: 78,399 bytes follow where 100 x 28 x 28 are 78,400; fetch the file again",
    longer: r"too long: more bytes follow where 100 x 28 x 28 are 78,400",
    other_type: "begins with 00 00 0d 03; expected 00 00 08 03",
    other_file: "begins with 3c 68 74 6d; expected 00 00 08 03.*another file",
    empty: "begins with nothing; expected 00 00 08 03",
    one_column_less: "holds 100 x 28 x 27; expected 1 to 60,000 x 28 x 28",
    no_pictures: "holds 0 x 28 x 28; expected 1 to 60,000 x 28 x 28",
    claims_four_thousand_million: "holds 4294967295 x 28 x 28; expected 1 to 60,000",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("packed", [True, False])
def test_a_file_that_is_none_is_told_by_name(
    files: Path, tmp_path: Path, fault: Callable[[bytes], bytes], packed: bool
) -> None:
    file = files / f"{TRAIN_IMAGES}.gz"
    content = fault(gzip.decompress(file.read_bytes()))
    file.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}.gz: {FAULTS[fault]}"):
        fetched(tmp_path, files)
    assert not list((tmp_path / "fetch").iterdir())


@pytest.mark.parametrize(("damage", "said"), [
    (lambda packed: packed[:-20], "cut short"),
    (lambda packed: packed[:-8] + bytes(4) + packed[-4:], "damaged, it cannot be unpacked.*CRC"),
    (lambda packed: packed[:200] + bytes(200) + packed[400:], "damaged, it cannot be unpacked"),
])  # fmt: skip
def test_a_packed_file_that_was_damaged_on_its_way_is_told(
    files: Path, tmp_path: Path, damage: Callable[[bytes], bytes], said: str
) -> None:
    file = files / f"{TEST_IMAGES}.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=f"{TEST_IMAGES}.gz: {said}.*fetch the file again"):
        fetched(tmp_path, files)


def test_a_bomb_is_unpacked_no_further_than_the_array(files: Path, tmp_path: Path) -> None:
    """Half a megabyte that unpacks to half a gigabyte."""
    with gzip.open(files / f"{TEST_IMAGES}.gz", "wb") as file:
        file.write(idx(pixels(N_TEST, seed=0)))
        for _ in range(512):
            file.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(DataError, match=f"{TEST_IMAGES}.gz: too long"):
        fetched(tmp_path, files)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_labels_out_of_range_are_told(files: Path, tmp_path: Path) -> None:
    labels = np.arange(N_TRAIN, dtype=np.uint8) % 10
    labels[[30, 77]] = 10, 200
    write(files, TRAIN_LABELS, idx(labels))
    said = r"2 of 100 labels are out of range, the first 10 \(number 30, from 0\); expected 0 to 9"
    with pytest.raises(DataError, match=f"{TRAIN_LABELS}.gz: {said}"):
        fetched(tmp_path, files)


def test_pictures_and_labels_of_other_counts_are_told(files: Path, tmp_path: Path) -> None:
    write(files, TRAIN_LABELS, idx(np.zeros(99, dtype=np.uint8)))
    said = f"{TRAIN_IMAGES}.gz holds 100 pictures, .*{TRAIN_LABELS}.gz 99 labels; expected a label for each"
    with pytest.raises(DataError, match=said):
        fetched(tmp_path, files)


def test_images_where_labels_should_be_are_told(files: Path, tmp_path: Path) -> None:
    shutil.copy(files / f"{TRAIN_IMAGES}.gz", files / f"{TRAIN_LABELS}.gz")
    with pytest.raises(DataError, match=f"{TRAIN_LABELS}.gz: begins with 00 00 08 03; expected 00 00 08 01"):
        fetched(tmp_path, files)


def test_another_set_in_files_of_the_same_names_is_told(files: Path, tmp_path: Path) -> None:
    """As MNIST's are, of the same shapes and counts."""
    write(files, TEST_IMAGES, idx(np.zeros((10_000, 28, 28), dtype=np.uint8)))
    write(files, TEST_LABELS, idx(np.arange(10_000, dtype=np.uint16).astype(np.uint8) % 10))
    with pytest.raises(DataError, match=rf"{TEST_IMAGES}.gz and .*not the content of Fashion-MNIST.*MNIST or KMNIST"):
        fetched(tmp_path, files)


def test_all_files_that_are_missing_are_named(files: Path, tmp_path: Path) -> None:
    for name in (TRAIN_LABELS, TEST_IMAGES):
        (files / f"{name}.gz").unlink()
    with pytest.raises(DataError, match=rf"no {TEST_IMAGES}.gz, {TRAIN_LABELS}.gz; expected the four files"):
        fetched(tmp_path, files)


def test_a_path_that_is_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.path: .*/nowhere: no such folder"):
        fetched(tmp_path, tmp_path / "nowhere")
    (tmp_path / "fetch").rmdir()
    (tmp_path / "files.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"files.zip: no t10k-images"):
        fetched(tmp_path, tmp_path / "files.zip")


def no_such_name(*_: object, **__: object) -> None:
    raise socket.gaierror(-2, "Name or service not known")


def test_neither_network_nor_path_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(DataError, match=r"fashion_mnist: .*Name or service.*data\.path.*\.gz files.*network.*digits"):
        fetch(DataSettings(source="fashion_mnist"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_download_that_breaks_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site answers and its files do not: torchvision's own error, in ours."""
    monkeypatch.setattr(fashion_mnist, "why_unreachable", lambda url: None)
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", ["http://127.0.0.1:9/"])
    (tmp_path / "fetch").mkdir()
    with pytest.raises(DataError, match=r"could not be downloaded from .*refused.*Set data\.path"):
        fetch(DataSettings(source="fashion_mnist"), tmp_path / "fetch")
    assert not list((tmp_path / "fetch").iterdir())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fetch"]


@pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared/data/fashion-mnist here")
def test_the_real_set_is_whole_and_as_torchvision_has_it(tmp_path: Path) -> None:
    from torchvision.datasets import FashionMNIST

    folder = tmp_path / "fetch"
    folder.mkdir()
    SOURCES["fashion_mnist"](DataSettings(source="fashion_mnist", path=str(REAL)), folder)
    images, index = np.load(folder / "images.npy", mmap_mode="r"), read_table(folder / "index.csv")
    assert images.shape == (70_000, 28, 28, 1)
    counts = index.groupby(["split", "label"]).size()
    assert set(counts["trainval"]) == {6_000}
    assert set(counts["test"]) == {1_000}

    raw = tmp_path / "torchvision/FashionMNIST/raw"
    raw.mkdir(parents=True)
    for file in REAL.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    for part, is_train in (("train", True), ("test", False)):
        theirs = FashionMNIST(tmp_path / "torchvision", train=is_train)
        ours = index["image_name"].str.startswith(part).to_numpy()
        assert np.array_equal(images[ours][..., 0], theirs.data.numpy())
        assert index["label"][ours].tolist() == [theirs.classes[label] for label in theirs.targets]
        assert index["image_name"][ours].iloc[17] == f"{part}_00017"
