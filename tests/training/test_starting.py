"""A training that cannot start names the setting to change; what fails for another reason fails as it did."""

import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from pawprint.errors import SettingsError
from pawprint.training.starting import told_by_setting
from pawprint.training.variant import train_variant
from pawprint.types import Conduct, Data, RunSpec, Split, TrainOutputs

SMALL = "import resource; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))"


def train(spec: RunSpec, data: Data, folder: Path, workers: int = 0) -> None:
    outputs = TrainOutputs(folder / "models", folder / "curves", folder / "metrics.json")
    train_variant([spec], data, outputs, Conduct(workers=workers, save_every_seconds=999))


def small_pictures(data: Data, side: int, n: int = 50) -> Data:
    """The same data with pictures of another size."""

    def sized(split: Split) -> Split:
        return replace(split, images=np.zeros((len(split), side, side, 3), dtype=np.uint8))

    return replace(
        data, train=sized(data.train), val=sized(data.val), test=sized(data.test), image_shape=(3, side, side)
    )


def test_a_network_with_more_poolings_than_the_picture_has_halves_names_cnn_widths(
    data: Data, spec: RunSpec, tmp_path: Path
) -> None:
    deep = replace(spec, model="cnn", cnn_widths=(4,) * 6)
    with pytest.raises(SettingsError, match=r"cnn_widths: 6 .*16 x 16 px .*at most 4.*data\.image_size"):
        train(deep, small_pictures(data, 16), tmp_path)
    train(replace(deep, cnn_widths=(4,) * 4), small_pictures(data, 16), tmp_path)  # the healthy twin


def test_batch_normalization_of_one_picture_names_batch_size(data: Data, resnet_spec: RunSpec, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"batch_size: 1: .*batch_size: 2 or more"):
        train(replace(resnet_spec, batch_size=1), data, tmp_path)


def in_a_small_machine(code: str) -> subprocess.CompletedProcess[str]:
    """Python with 6 GB of addresses, as under `ulimit -v`."""
    command = [sys.executable, "-c", f"{SMALL}\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("settings", [
    {"mlp_widths": (60_000, 60_000)},  # 14 GB of weights
    {"mlp_widths": (200_000,), "batch_size": 10_000},  # 8 GB of what a layer answers
], ids=["model", "batch"])  # fmt: skip
def test_memory_that_is_refused_names_batch_size_and_widths(settings: dict[str, object], tmp_path: Path) -> None:
    done = in_a_small_machine(f"""
from pathlib import Path
import numpy as np
from pawprint.errors import SettingsError
from pawprint.types import Data, RunSpec, Split
from tests.training.test_starting import train
pictures = np.zeros((10_000, 8, 8, 1), dtype=np.uint8)
split = Split([str(i) for i in range(10_000)], pictures, np.arange(10_000) % 3)
few = Split(["a", "b", "c"], pictures[:3], np.arange(3))
data = Data(split, few, few, None, ["a", "b", "c"], (1, 8, 8), (0.4,), (0.3,), "0" * 64, "1" * 64)
spec = RunSpec(study="t", variant="big", run="big", seed=0, model="mlp", epochs=1, **{settings!r})
try:
    train(spec, data, Path({str(tmp_path)!r}))
except SettingsError as error:
    print(error)
""")
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"big: batch_size: {settings.get('batch_size', 32)} pictures" in done.stdout
    assert "GiB more; lower batch_size first" in done.stdout
    assert "mlp_widths [" in done.stdout


def test_a_worker_that_is_killed_names_workers(data: Data, spec: RunSpec, tmp_path: Path) -> None:
    others, is_over = {child.pid for child in psutil.Process().children()}, threading.Event()

    def kill_workers() -> None:
        """One after the other: one that has made its last batch is not missed."""
        while not is_over.wait(0.005):
            for child in psutil.Process().children():
                if child.pid not in others:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()

    killer = threading.Thread(target=kill_workers)
    killer.start()
    try:
        with pytest.raises(SettingsError, match=r"workers: 1 processes .*set workers: 0"):
            train(replace(spec, epochs=50), data, tmp_path, workers=1)
    finally:
        is_over.set()
        killer.join()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")
@pytest.mark.parametrize(("settings", "named"), [
    ({"accelerator": "cuda"}, "accelerator: cuda"), ({"precision": "16-mixed"}, "precision: 16-mixed"),
])  # fmt: skip
def test_an_accelerator_that_is_not_there_is_named(
    settings: dict[str, str], named: str, data: Data, spec: RunSpec, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=named):
        train(replace(spec, **settings), data, tmp_path)


def test_accelerators_words_are_known(data: Data, spec: RunSpec) -> None:
    full = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.1 GiB"
    said = r"batch_size: 8 .*accelerator's memory has no room for 2\.50 GiB more"
    with pytest.raises(SettingsError, match=said), told_by_setting(spec, data):
        raise torch.OutOfMemoryError(full)
    said = r"accelerator: auto: .*No CUDA GPUs are available.*accelerator: cpu"
    with pytest.raises(SettingsError, match=said), told_by_setting(spec, data):
        raise RuntimeError("No CUDA GPUs are available")


def test_what_is_none_of_these_is_raised_as_it_was(data: Data, spec: RunSpec) -> None:
    with pytest.raises(ValueError, match="no setting's fault"), told_by_setting(spec, data):
        raise ValueError("no setting's fault")
