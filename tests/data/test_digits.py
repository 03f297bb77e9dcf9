"""The digits come as one array, complete and with their full range of brightness."""

from pathlib import Path

import numpy as np

from pawprint.data.index import read_table
from pawprint.data.packed import pack
from pawprint.data.prepared import load
from pawprint.data.sources import SOURCES
from pawprint.types import DataSettings

SETTINGS = DataSettings(source="digits", image_size=8)


def test_digits_are_fetched_and_packed(tmp_path: Path) -> None:
    fetched = tmp_path / "fetch"
    fetched.mkdir()
    SOURCES["digits"](SETTINGS, fetched)
    images = np.load(fetched / "images.npy")
    assert (images.shape, images.dtype) == ((1797, 8, 8, 1), np.uint8)
    assert len(np.unique(images)) == 17  # 0 to 16, spread over
    assert (images.min(), images.max()) == (0, 255)
    index = read_table(fetched / "index.csv")
    assert index["image_name"].tolist()[:2] == ["digit_0001", "digit_0002"]
    assert index["label"].tolist()[:4] == ["0", "1", "2", "3"]

    pack(fetched, tmp_path / "prepare", SETTINGS)
    data = load(tmp_path / "prepare")
    assert data.image_shape == (1, 8, 8)
    assert len(data.train) + len(data.val) + len(data.test) == 1797
    row = index.set_index("image_name").index.get_loc(data.test.names[5])
    assert np.array_equal(data.test.images[5], images[row])


def test_digits_are_resized_when_asked(tmp_path: Path) -> None:
    fetched = tmp_path / "fetch"
    fetched.mkdir()
    SOURCES["digits"](SETTINGS, fetched)
    pack(fetched, tmp_path / "prepare", DataSettings(source="digits", image_size=12))
    assert load(tmp_path / "prepare").train.images.shape[1:] == (12, 12, 1)
