"""Pictures without labels through the stages: fetched, told, prepared, and dropped where they are held out as well."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pawprint import paths
from pawprint.data.prepared import load
from tests.in_process import Done, pawprint

N_PER_CLASS, N_UNLABELLED, LABELS = 12, 7, 3
PIXELS = 32


def picture(seed: int) -> np.ndarray:
    """Large blotches, that no two pictures share."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two classes, and pictures that nobody labelled."""
    names = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(N_PER_CLASS)]
    for seed, name in enumerate([*names, *(f"unlabelled/{number}.png" for number in range(N_UNLABELLED))]):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(tmp_path / "own" / name)
    data = {"source": "folder", "path": "own", "image_size": PIXELS, "labels_per_class": LABELS}
    settings = {"study": "small", "data": data, "model": "mlp", "mlp_widths": [8], "variants": {"baseline": {}}}
    checks = {"leakage": {"on_leak": "drop_from_train"}, "output_shape": {}}
    (tmp_path / "params.yaml").write_text(json.dumps({**settings, "checks": checks}))
    return tmp_path


def stage(name: str, folder: Path) -> Done:
    done = pawprint(folder, module=f"pawprint.stages.{name}")
    assert done.returncode == 0, done.stderr
    return done


def test_stages_tell_how_many_pictures_have_no_label(study: Path) -> None:
    fetched, prepared = (stage(name, study).stdout for name in ("fetch", "prepare"))
    assert (
        f"folder: {2 * N_PER_CLASS + N_UNLABELLED} pictures of 2 classes, {N_UNLABELLED} of them unlabelled" in fetched
    )
    n_hidden = 2 * (8 - LABELS)  # of eight in train
    assert f"train {2 * LABELS}, val 4, test 4, unlabelled {n_hidden + N_UNLABELLED} pictures of 2 classes" in prepared


@pytest.mark.parametrize("n_leaked", [0, 1, N_UNLABELLED])  # the last: more than train has
def test_unlabelled_pictures_that_are_held_out_are_excluded(study: Path, n_leaked: int) -> None:
    for name in ("fetch", "prepare", "resolve"):
        stage(name, study)
    held_out = load(study / paths.PREPARED)
    leaked = [*held_out.test.images, *held_out.val.images][:n_leaked]
    for number, image in enumerate(leaked):
        Image.fromarray(image).save(study / f"own/unlabelled/{number}.png")
    for name in ("fetch", "prepare", "check"):
        stage(name, study)
    whole = load(study / paths.PREPARED)
    left = load(study / paths.PREPARED, study / paths.EXCLUDED)
    assert whole.unlabelled is not None
    assert left.unlabelled is not None
    names = {f"unlabelled/{number}.png" for number in range(n_leaked)}
    assert set(whole.unlabelled.names) - set(left.unlabelled.names) == names
    assert left.train.names == whole.train.names
    report = json.loads((study / paths.CHECK_REPORT).read_text())
    assert report[paths.PICTURES]["leakage"]["numbers"]["n_dropped_from_unlabelled"] == n_leaked
