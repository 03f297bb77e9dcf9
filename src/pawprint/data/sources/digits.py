"""scikit-learn's handwritten digits: 1797 grey pictures of 8 x 8 pixels, ten classes, no files."""

from pathlib import Path

import numpy as np
import pandas as pd

from pawprint.data.index import write_table
from pawprint.types import DataSettings

BRIGHTEST = 16  # the set counts ink from 0 to 16


def fetch(settings: DataSettings, folder: Path) -> None:
    """Write images.npy (1797, 8, 8, 1) uint8, ink scaled to 0 … 255, and index.csv without splits."""
    from sklearn.datasets import load_digits  # takes seconds to import

    digits = load_digits()
    images = np.rint(digits.images * (255 / BRIGHTEST)).astype(np.uint8)[..., None]  # (N, 8, 8, 1)
    names = [f"digit_{number:04d}" for number in range(1, len(images) + 1)]
    np.save(folder / "images.npy", images)
    index = pd.DataFrame({"image_name": names, "label": digits.target.astype(str), "split": ""})
    write_table(index, folder / "index.csv")
