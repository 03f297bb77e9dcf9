"""Files that are no checkpoints, in every place that reads one: told apart, and nothing in them runs."""

import ast
import io
import json
import pickle
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from pawprint.data.prepared import load
from pawprint.errors import DataError, PawprintError
from pawprint.models import resnet, starting_model
from pawprint.training.checkpoint import load_weights, save_weights
from pawprint.types import Data, RunSpec
from tests.guarantees.bad_tensors import broken, pickles
from tests.guarantees.checkpoints import bad_checkpoints, model
from tests.in_process import pawprint

SOURCE = Path(__file__).parents[2] / "src"
WEIGHTS = "models/train/baseline/baseline-s0/weights.safetensors"
RECORD = "models/train/baseline/baseline-s0/run.json"
UNPICKLES = {"torch.load", "torch.jit.load", "torch.hub.load", "torch.hub.load_state_dict_from_url", "np.load",
             "numpy.load", "eval", "exec"}  # fmt: skip
PICKLERS = {"pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    failures: list[str] = []
    rows = bad_checkpoints(tmp_path / "files", n_cut=60, number=0, failures=failures)
    assert failures == []
    assert all(row.held == row.tried for row in rows)
    assert rows[0].tried > 60


@pytest.mark.long
def test_what_is_no_checkpoint_is_refused_however_it_is_damaged(tmp_path: Path) -> None:
    failures: list[str] = []
    rows = bad_checkpoints(tmp_path / "files", n_cut=3000, number=1, failures=failures)
    assert failures == []
    assert sum(row.tried for row in rows) > 6000


def test_the_canary_sings_where_the_files_are_loaded_as_they_ask(tmp_path: Path) -> None:
    """Else nothing would be shown by its silence."""
    canary = tmp_path / "canary"
    ways: list[Callable[[bytes], object]] = [
        pickle.loads,
        lambda content: torch.load(io.BytesIO(content), weights_only=False),
        lambda content: np.load(io.BytesIO(content), allow_pickle=True),
        lambda content: np.load(io.BytesIO(content), allow_pickle=True)["arr_0"],
    ]
    sang = set()
    for what, content in pickles(canary).items():
        for way in ways:
            with suppress(Exception):
                way(content)
            if canary.exists():
                sang.add(what)
                canary.unlink()
    assert sang == {*(f"a pickle of protocol {number}" for number in range(6)), "what torch saved",
                    "what torch once saved", "an array of objects", "several arrays, one of objects"}  # fmt: skip


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "pt", "by": "another program"}])
def test_sound_weights_load_whoever_wrote_them(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    weights = {name: torch.full_like(tensor, 2) for name, tensor in model().state_dict().items()}
    weights["0.weight"][0, 0] = torch.nan
    (tmp_path / "file").write_bytes(save(weights, metadata))
    (tmp_path / "link").symlink_to(tmp_path / "file")  # as DVC links from its cache
    loaded = load_weights(tmp_path / "link", model()).state_dict()
    assert all(torch.equal(loaded[name].nan_to_num(), weights[name].nan_to_num()) for name in weights)


def test_weights_of_another_model_say_how_they_differ(tmp_path: Path) -> None:
    given = model().state_dict()
    save_weights(
        tmp_path / "w", {"0.weight": given["0.weight"].double(), "0.bias": given["0.bias"][:1], "x": given["1.bias"]}
    )
    with pytest.raises(PawprintError) as error:
        load_weights(tmp_path / "w", model())
    for said in ("5 missing (1.weight, 1.bias, 1.running_mean …)", "1 not expected ('x')",
                 "0.bias [1], expected [4]", "0.weight torch.float64, expected torch.float32"):  # fmt: skip
        assert said in str(error.value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "params.yaml").write_text(
        "study: s\ndata: {source: digits, image_size: 8}\nmodel: mlp\nmlp_widths: [8]\nepochs: 1\nseeds: [0]\n"
        "variants: {baseline: {}}\nprobes: {calibration: {}}\nprobed: [baseline]\n"
    )
    for stage in ("fetch", "prepare", "resolve", "check", "train@baseline", "test@baseline"):
        name, *arguments = stage.split("@")
        done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
        assert done.returncode == 0, done.stderr
    return folder


def outcome(folder: Path, stage: str, changed: Path) -> str:
    """What a stage says that must fail, and leave no results of its own behind."""
    for results in ("metrics/test", "metrics/probe"):
        shutil.rmtree(folder / results, ignore_errors=True)
    done = pawprint(folder, "baseline", module=f"pawprint.stages.{stage}")
    assert done.returncode == 1
    assert str(changed) in done.stderr
    assert not (folder / f"metrics/{stage}").exists()
    return done.stderr


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "study", ignore=shutil.ignore_patterns("fetch", "runs"))


def test_stages_refuse_bad_weights(copy: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    good = (copy / WEIGHTS).read_bytes()
    files = {**pickles(canary), **broken(good)}
    for what in ("a pickle of protocol 2", "what torch saved", "cut in the numbers", "a header of 2**63 bytes"):
        (copy / WEIGHTS).write_bytes(files[what])
        for stage in ("test", "probe"):
            assert "not a whole safetensors file" in outcome(copy, stage, Path(WEIGHTS))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "invalid JSON"),
        (b"{", "invalid JSON"),
        (b"\xff\xfe", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON: recursion limit"),
        (b"[]", "should be an object"),
        (b"{}", "test: field required"),
        (b'{"test": [0.1]}', "test: input should be an object"),
        (b'{"test": {"loss": 1.0}}', "test: accuracy: field required"),
        (b'{"test": {"loss": "low", "accuracy": 0.5}}', "test: loss: input should be a valid number, found 'low'"),
        (b'{"test": {"loss": 1.0, "accuracy": true}}', "test: accuracy: input should be a valid number, found True"),
        (b'{"test": {"loss": 1.0, "accuracy": 0.123}}', "the saved weights give test accuracy"),
        (None, "no such file"),
    ],
)
def test_a_damaged_record_beside_the_weights_is_told(copy: Path, content: bytes | None, said: str) -> None:
    (copy / RECORD).unlink()
    if content is not None:
        (copy / RECORD).write_bytes(content)
    named = Path(RECORD).parent if said.startswith("the saved weights") else Path(RECORD)
    told = outcome(copy, "test", named)
    assert said in told
    assert re.search(r"dvc (repro|checkout)", told)


def test_what_trainings_start_from_is_read_with_the_same_care(data: Data, resnet_spec: RunSpec, tmp_path: Path) -> None:
    spec, canary, path = replace(resnet_spec, pretrained=True), tmp_path / "canary", tmp_path / "start.safetensors"
    for what, content in pickles(canary).items():
        path.write_bytes(content)
        with pytest.raises(PawprintError, match=re.escape(str(path))):
            starting_model(spec, data, path)
        assert not canary.exists(), what


def test_a_planted_download_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch would open what stands in the folder of its downloads, whatever it is."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    canary, kept = tmp_path / "canary", tmp_path / "checkpoints/resnet18-f37072fd.pth"
    kept.parent.mkdir()
    for what in ("what torch saved", "what torch once saved", "a pickle of protocol 2"):
        kept.write_bytes(pickles(canary)[what])
        with pytest.raises(PawprintError, match="it is another file, delete it"):
            resnet.imagenet_weights()
        assert not canary.exists(), what


@pytest.mark.parametrize("name", ["train_images", "val_labels"])
def test_prepared_arrays_are_not_unpickled(copy: Path, tmp_path: Path, name: str) -> None:
    canary, path = tmp_path / "canary", copy / f"data/prepare/{name}.npy"
    good = np.load(path)
    longer = path.read_bytes().replace(f"({len(good)},".encode(), b"(99999999999999,", 1)
    as_text = io.BytesIO()
    np.save(as_text, np.array(["a"] * len(good)))
    for content in (*pickles(canary).values(), b"", path.read_bytes()[:-3], longer, as_text.getvalue()):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}\.npy: .*dvc repro --force prepare"):
            load(copy / "data/prepare")
        assert not canary.exists()


def test_a_damaged_description_of_the_data_is_told(copy: Path) -> None:
    path = copy / "data/prepare/data.json"
    sound = json.loads(path.read_text())
    for content in ("{", "[]", json.dumps({**sound, "mean": "0.5"}), json.dumps({**sound, "image_shape": [1, 8]})):
        path.write_text(content)
        with pytest.raises(DataError, match=r"data\.json: .*dvc repro prepare --force"):
            load(copy / "data/prepare")


def test_no_code_loads_what_could_run() -> None:
    """But for one file, whose hash is known, TorchScript that this code wrote, and what `pawprint audit` imports."""
    found = []
    for file in sorted((SOURCE / "pawprint").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (ast.unparse(node.func) in UNPICKLES | {"weights.get_state_dict"}):
                found.append((file.name, ast.unparse(node)))
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found += [(file.name, name) for name in names if name.partition(".")[0] in PICKLERS]
    assert found == [
        ("formats.py", "torch.jit.load(path)"),
        ("resnet.py", "torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)"),
    ]
