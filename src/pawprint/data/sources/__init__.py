"""Where pictures come from: one file a source, each with `fetch(settings, folder)`.

`fetch` fills the empty `folder` with `index.csv` (image_name, label, split; see data/split.py for what a
split may say), sorted by name, and the pictures: files below `images/`, to which image_name is relative,
or, for a set that comes as an array, `images.npy` (uint8, (N, H, W, C)) in the order of the index. It
raises DataError for what a person can mend. Files are copied, never linked: DVC owns what is fetched.
"""

from collections.abc import Callable
from pathlib import Path

from pawprint.data.sources import (
    cifar10,
    digits,
    drawn_animals,
    fashion_mnist,
    folder,
    food11,
    oxford_pet,
    procedural,
)
from pawprint.types import DataSettings

SOURCES: dict[str, Callable[[DataSettings, Path], None]] = {
    "procedural": procedural.fetch,
    "drawn_animals": drawn_animals.fetch,
    "oxford_pet": oxford_pet.fetch,
    "folder": folder.fetch,
    "digits": digits.fetch,
    "fashion_mnist": fashion_mnist.fetch,
    "cifar10": cifar10.fetch,
    "food11": food11.fetch,
}
