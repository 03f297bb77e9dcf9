"""`pawprint predict`: the answers of the stage `test`, from the model's folder alone, or one clear message."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file

from pawprint import paths
from pawprint.data.prepared import load
from pawprint.models import build_model
from pawprint.params import read_resolved
from pawprint.training.checkpoint import load_weights
from pawprint.training.evaluate import evaluate
from tests.data import bad_files
from tests.in_process import Done, pawprint
from tests.trained_model import DIGITS, DRAWN, trained


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAWPRINT_RUNS", str(tmp_path_factory.mktemp("runs")))
        return trained(tmp_path_factory.mktemp("drawn") / "study", DRAWN, "baseline", "faster")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAWPRINT_RUNS", str(tmp_path_factory.mktemp("runs")))
        return trained(tmp_path_factory.mktemp("digits") / "study", DIGITS, "baseline")


@pytest.fixture
def alone(drawn: Path, tmp_path: Path) -> Path:
    """A folder in which there is a model, a picture, and nothing else."""
    shutil.copytree(drawn / "models/train/baseline/baseline-s9", tmp_path / "model")
    shutil.copy(next((drawn / "data/fetch/images").glob("*.png")), tmp_path / "picture.png")
    return tmp_path


def answers(done: Done) -> list[dict[str, float]]:
    """Of `--json`: class → probability, a picture each, the most probable first."""
    assert done.returncode == 0, done.stderr
    pictures = json.loads(done.stdout)["pictures"]
    return [{answer["class"]: answer["probability"] for answer in picture["classes"]} for picture in pictures]


def assert_as_tested(study: Path, run: str, pictures: list[str], elsewhere: Path) -> None:
    """`pictures` are the test set's, as files: the model, moved to a place without data, says what `test` said."""
    model = shutil.copytree(study / f"models/train/baseline/{run}", elsewhere / "model")
    found = answers(pawprint(elsewhere, "predict", *pictures, "--model", str(model), "--json", "--top", "99"))
    table = pd.read_csv(study / "plots/test/baseline/predictions.csv", dtype=str)
    rows = table[table["run"] + "-s" + table["seed"] == run]
    assert [next(iter(answer)) for answer in found] == rows["predicted"].tolist()
    assert [f"{max(answer.values()):.6f}" for answer in found] == rows["probability"].tolist()
    data = load(study / "data/prepare")
    (spec,) = [spec for spec in read_resolved(study / "params/baseline.yaml") if spec.key == run]
    network = load_weights(model / "weights.safetensors", build_model(spec, data))
    expected = evaluate(network, data.test, data).probabilities
    assert all(answer.keys() == set(data.class_names) for answer in found)
    said = np.array([[answer[label] for label in data.class_names] for answer in found])
    np.testing.assert_array_equal(said, expected.astype(np.float64))


def test_drawn_pictures_get_the_test_stages_answers_to_the_last_bit(drawn: Path, tmp_path: Path) -> None:
    names = load(drawn / "data/prepare").test.names
    assert len(names) == 37
    assert_as_tested(drawn, "baseline-s9", [str(drawn / "data/fetch/images" / name) for name in names], tmp_path)


def test_grey_pictures_get_the_test_stages_answers_to_the_last_bit(digits: Path, tmp_path: Path) -> None:
    images = np.asarray(load(digits / "data/prepare").test.images)  # (N, 8, 8, 1)
    assert len(images) > 256, "more than one batch"
    for number, image in enumerate(images):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{number}.png")
    pictures = [str(tmp_path / f"{number}.png") for number in range(len(images))]
    assert_as_tested(digits, "baseline-s0", pictures, tmp_path)


def test_a_picture_alone_gets_the_answer_that_it_gets_in_company(drawn: Path) -> None:
    pictures = [str(path) for path in sorted((drawn / "data/fetch/images").glob("*.png"))[:20]]
    together = answers(pawprint(drawn, "predict", *pictures, "--json", "--top", "99"))
    alone = answers(pawprint(drawn, "predict", pictures[7], "--json", "--top", "99"))[0]
    assert alone == pytest.approx(together[7], rel=1e-4)


def test_the_text_names_the_model_and_a_line_a_picture(drawn: Path) -> None:
    first, second = sorted((drawn / "data/fetch/images").glob("*.png"))[:2]
    done = pawprint(drawn, "predict", str(first), str(second), "--top", "2")
    assert (done.returncode, done.stderr) == (0, "")
    model, *lines = done.stdout.splitlines()
    assert model.startswith("models/train/baseline/baseline-s9: baseline-lr1e-3-bs32-none-s9, test accuracy ")
    exact = answers(pawprint(drawn, "predict", str(first), str(second), "--json", "--top", "2"))
    for line, picture, answer in zip(lines, (first, second), exact, strict=True):
        (best, share), (next_best, next_share) = answer.items()
        words = [str(picture), f"{100 * share:.1f}", "%", best, f"{100 * next_share:.1f}", "%", next_best]
        assert line.split() == words
    assert len({line.rindex("%") for line in lines}) == 1, "in columns"


def test_without_a_model_named_the_baselines_first_seed_answers_or_any_there_is(drawn: Path, tmp_path: Path) -> None:
    picture = str(next((drawn / "data/fetch/images").glob("*.png")))

    def asked(*options: str) -> str:
        return json.loads(pawprint(tmp_path, "predict", picture, "--json", *options).stdout)["model"]

    shutil.copytree(drawn / "models/train", tmp_path / "models/train")
    assert asked() == "models/train/baseline/baseline-s9"  # not s10, as text is sorted
    assert asked("--model", "faster") == "models/train/faster/faster-s0"
    assert asked("--model", "models/train/baseline") == "models/train/baseline/baseline-s9"
    assert asked("--model", "models/train/baseline/baseline-s10") == "models/train/baseline/baseline-s10"
    shutil.rmtree(tmp_path / "models/train/baseline")
    assert asked() == "models/train/faster/faster-s0"


def picture_at_fault(folder: Path, kind: str) -> Path:
    path = folder / "fault"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"text": b"no picture", "empty": b"", "bomb": bad_files.huge_png()}[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "fault: cannot be read: No such file or directory"),
        ("folder", "fault: no pictures in it"),
        ("text", "fault: not a picture of a known format"),
        ("empty", "fault: empty file"),
        ("bomb", "fault: too large: 13377 x 13377 pixels"),
    ],
)
def test_what_is_no_picture_ends_with_1_and_one_message(alone: Path, kind: str, said: str) -> None:
    fault = picture_at_fault(alone, kind)
    done = pawprint(alone, "predict", str(fault), "--model", "model")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_all_that_are_no_pictures_are_named_together_and_nothing_is_answered(alone: Path) -> None:
    (alone / "text.png").write_text("no picture")
    done = pawprint(alone, "predict", "picture.png", "text.png", "nowhere.png", "--model", "model")
    assert (done.returncode, done.stdout) == (1, "")
    assert "2 of 3 pictures cannot be used" in done.stderr
    assert [line.split(":")[0].strip() for line in done.stderr.splitlines()[1:]] == ["text.png", "nowhere.png"]


def test_without_any_model_it_says_how_to_get_one(tmp_path: Path) -> None:
    done = pawprint(tmp_path, "predict", "picture.png")
    assert (done.returncode, done.stdout) == (1, "")
    assert "`dvc pull train@baseline`" in done.stderr
    assert "`dvc repro train@baseline`" in done.stderr


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        ("faster", 1, "`dvc pull train@faster`"),  # a variant whose weights are not here
        ("models/train/faster", 1, "`dvc pull models/train/faster`"),
        ("faste", 2, "neither a folder nor a variant; did you mean 'faster'?"),
    ],
)
def test_a_model_that_is_not_there_ends_with_one_message(tmp_path: Path, model: str, code: int, said: str) -> None:
    (tmp_path / "params.yaml").write_text(DRAWN)
    done = pawprint(tmp_path, "predict", "picture.png", "--model", model)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_variant_cannot_be_named_outside_a_study(alone: Path) -> None:
    done = pawprint(alone, "predict", "picture.png", "--model", "baseline")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--model baseline: no such folder, and no params.yaml" in done.stderr


def no_record(model: Path) -> None:
    (model / "run.json").unlink()


def cut_record(model: Path) -> None:
    content = (model / "run.json").read_bytes()
    (model / "run.json").write_bytes(content[: len(content) // 2])


def record_with(changes: dict[str, Any], model: Path) -> None:
    content = json.loads((model / "run.json").read_text())
    content["input"] |= changes
    (model / "run.json").write_text(json.dumps(content))


def older_record(model: Path) -> None:
    content = json.loads((model / "run.json").read_text())
    del content["input"]
    (model / "run.json").write_text(json.dumps(content))


def cut_weights(model: Path) -> None:
    content = (model / "weights.safetensors").read_bytes()
    (model / "weights.safetensors").write_bytes(content[:-1])


def weights_without_a_layer(model: Path) -> None:
    weights = load_file(model / "weights.safetensors")
    del weights["fc.bias"]
    save_file(weights, model / "weights.safetensors")


def weights_that_are_no_numbers(model: Path) -> None:
    weights = load_file(model / "weights.safetensors")
    weights["fc.bias"] = torch.full_like(weights["fc.bias"], torch.nan)
    save_file(weights, model / "weights.safetensors")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (no_record, "run.json: no such file; run: dvc pull model"),
        (cut_record, "run.json: invalid JSON"),
        (older_record, "run.json: input: field required; write it anew: dvc pull model --force"),
        (lambda model: record_with({"mean": "grey"}, model), "input: mean: input should be"),
        (lambda model: record_with({"shape": [4, 32, 32]}, model), "expected a square of 1 or 3 channels"),
        (lambda model: record_with({"mean": [0.5]}, model), "expected a square of 1 or 3 channels"),
        (lambda model: record_with({"resize": "stretched"}, model), "resized by 'stretched', this version of pawprint"),
        (cut_weights, "weights.safetensors: not a whole safetensors file"),
        (weights_without_a_layer, "weights.safetensors: weights of another model"),
        (weights_that_are_no_numbers, "the model's answers are not finite"),
    ],
)
def test_a_damaged_model_ends_with_1_and_one_message(alone: Path, damage: Any, said: str) -> None:
    assert pawprint(alone, "predict", "picture.png", "--model", "model").returncode == 0, "sound before"
    damage(alone / "model")
    done = pawprint(alone, "predict", "picture.png", "--model", "model")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [["--top", "0"], ["--top", "many"], ["--modle", "model"], ["--model"]])
def test_bad_options_end_with_2(alone: Path, options: list[str]) -> None:
    done = pawprint(alone, "predict", "picture.png", *options)
    assert (done.returncode, done.stdout) == (2, "")


def test_no_picture_ends_with_2(alone: Path) -> None:
    assert pawprint(alone, "predict", "--model", "model").returncode == 2


# ---- folders ---------------------------------------------------------------------------------------------


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def folder(drawn: Path, alone: Path) -> Path:
    """Four pictures in two levels, out of order, among what is none of our business."""
    source = sorted((drawn / "data/fetch/images").glob("*.png"))
    for name, picture in zip(("b/2.png", "b/1, old.png", "c.JPG", "a/deep/er/z.png"), source, strict=False):
        (alone / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, alone / "pictures" / name)
    (alone / "pictures/notes.txt").write_text("no picture, and not meant to be one")
    (alone / "pictures/.thumbnail.png").write_text("a system's")
    return alone


def test_of_a_folder_comes_a_table_of_all_in_it_by_name(folder: Path) -> None:
    done = pawprint(folder, "predict", "pictures", "--model", "model", "--top", "2")
    assert (done.returncode, done.stderr) == (0, "")
    header = done.stdout.splitlines()[0]
    assert header == "picture,answer,probability,answer_2,probability_2,reason"
    rows = rows_of(done.stdout)
    names = ["pictures/a/deep/er/z.png", "pictures/b/1, old.png", "pictures/b/2.png", "pictures/c.JPG"]
    assert [row["picture"] for row in rows] == names
    exact = answers(pawprint(folder, "predict", *names, "--model", "model", "--json", "--top", "2"))
    for row, answer in zip(rows, exact, strict=True):
        told = {row["answer"]: row["probability"], row["answer_2"]: row["probability_2"]}
        assert told == {label: f"{share:.6f}" for label, share in answer.items()}
        assert row["reason"] == ""


def test_what_cannot_be_used_is_a_row_with_its_reason_and_the_exit_code_1(folder: Path) -> None:
    (folder / "pictures/b/0.png").write_bytes(b"")
    (folder / "pictures/b/3.png").write_text("no picture")
    (folder / "pictures/d.png").write_bytes(bad_files.huge_png())
    (folder / "pictures/e.png").symlink_to(folder / "picture.png")
    done = pawprint(folder, "predict", "pictures", "--model", "model", "--out", "answers.csv")
    assert done.returncode == 1
    assert done.stdout == "answers.csv: 4 of 8 pictures answered\n"
    assert done.stderr.startswith("pawprint: 4 of 8 pictures cannot be used: ")
    assert len(done.stderr.splitlines()) == 1
    rows = rows_of((folder / "answers.csv").read_text())
    assert [row["picture"] for row in rows] == sorted(row["picture"] for row in rows)
    reasons = {row["picture"]: row["reason"] for row in rows if not row["answer"]}
    assert reasons.keys() == {f"pictures/{name}.png" for name in ("b/0", "b/3", "d", "e")}
    for name, reason in (("b/0", "empty file"), ("b/3", "not a picture"), ("d", "too large"), ("e", "leads out")):
        assert reason in reasons[f"pictures/{name}.png"]
    assert all(row["answer"] for row in rows if not row["reason"])


def test_a_folder_of_the_test_set_gets_the_test_stages_probabilities(digits: Path, tmp_path: Path) -> None:
    images = np.asarray(load(digits / "data/prepare").test.images)
    assert len(images) > 256, "more than are answered together"
    (tmp_path / "pictures").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"pictures/{number:03d}.png")
    model = str(digits / "models/train/baseline/baseline-s0")
    done = pawprint(tmp_path, "predict", "pictures", "--model", model, "--top", "1")
    table = pd.read_csv(digits / "plots/test/baseline/predictions.csv", dtype=str)
    rows = rows_of(done.stdout)
    assert [row["answer"] for row in rows] == table["predicted"].tolist()
    assert [row["probability"] for row in rows] == table["probability"].tolist()


def test_a_zip_is_answered_as_the_folder_is(folder: Path) -> None:
    shutil.make_archive(str(folder / "packed"), "zip", folder / "pictures")
    of_folder = pawprint(folder, "predict", "pictures", "--model", "model").stdout
    of_zip = pawprint(folder, "predict", "packed.zip", "--model", "model").stdout
    assert of_zip == of_folder.replace("pictures/", "packed.zip/")


def test_pictures_and_folders_stand_in_one_table(folder: Path) -> None:
    done = pawprint(folder, "predict", "picture.png", "pictures/b", "nowhere.png", "--model", "model")
    names = [row["picture"] for row in rows_of(done.stdout)]
    assert names == ["picture.png", "pictures/b/1, old.png", "pictures/b/2.png", "nowhere.png"]
    assert "No such file" in rows_of(done.stdout)[-1]["reason"]
    assert done.returncode == 1


def test_a_table_is_whole_or_as_it_was(folder: Path) -> None:
    (folder / "answers.csv").write_text("of the last time")
    weights_that_are_no_numbers(folder / "model")
    done = pawprint(folder, "predict", "pictures", "--model", "model", "--out", "answers.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the model's answers are not finite" in done.stderr
    assert (folder / "answers.csv").read_text() == "of the last time"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "picture.png"], "--out picture.png: expected the name of a .csv file"),
        (["--out", "picture.png/answers.csv"], "expected a place that can be written to"),
        (["--json"], "--json: of a folder, or with --out, comes a CSV"),
        (["--tta", "flop"], "--tta flop: no such choice; did you mean 'flip'?"),
        (["--tta", "flip", "--tta-way", "mean"], "--tta-way mean: no such choice; valid names: logits"),
        (["--tta-way", "vote"], "--tta-way: there is nothing to average without --tta"),
    ],
)
def test_options_that_cannot_be_used_end_with_2_and_one_message(folder: Path, options: list[str], said: str) -> None:
    before = (folder / "picture.png").read_bytes()
    done = pawprint(folder, "predict", "pictures", "--model", "model", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (folder / "picture.png").read_bytes() == before


# ---- ONNX files, and averages over views -----------------------------------------------------------------


@pytest.fixture(scope="module")
def onnx_file(drawn: Path) -> Path:
    done = pawprint(drawn, "baseline", module="pawprint.stages.export")
    assert done.returncode == 0, done.stderr
    return drawn / "models/export/baseline/model.onnx"


def assert_alike(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("options", [[], ["--tta", "flip"], ["--tta", "all", "--tta-way", "vote"]])
def test_an_onnx_file_alone_answers_as_the_checkpoint(
    drawn: Path, onnx_file: Path, tmp_path: Path, options: list[str]
) -> None:
    pictures = [str(path) for path in sorted((drawn / "data/fetch/images").glob("*.png"))[:5]]
    model = shutil.copy(onnx_file, tmp_path / "handed_on.onnx")
    found = pawprint(tmp_path, "predict", *pictures, "--model", model, "--json", "--top", "99", *options)
    assert json.loads(found.stdout)["run"] == "baseline-lr1e-3-bs32-none-s9"
    expected = pawprint(drawn, "predict", *pictures, "--json", "--top", "99", *options)
    assert_alike(answers(found), answers(expected))


def test_averaging_over_views_changes_answers_and_the_way_does_too(drawn: Path) -> None:
    picture = str(sorted((drawn / "data/fetch/images").glob("*.png"))[0])
    ways = [[], *(["--tta", "crops", "--tta-way", way] for way in ("probabilities", "logits", "vote"))]
    found = [answers(pawprint(drawn, "predict", picture, "--json", "--top", "99", *way))[0] for way in ways]
    assert all(one != other for number, one in enumerate(found) for other in found[number + 1 :])
    assert all(sum(answer.values()) == pytest.approx(1, abs=1e-5) for answer in found)


def test_a_mirrored_picture_gets_the_same_average_over_flips(drawn: Path, tmp_path: Path) -> None:
    picture = sorted((drawn / "data/fetch/images").glob("*.png"))[0]
    ImageOps.mirror(Image.open(picture)).save(tmp_path / "mirrored.png")
    both = [str(picture), str(tmp_path / "mirrored.png")]
    one, other = answers(pawprint(drawn, "predict", *both, "--json", "--top", "99", "--tta", "flip"))
    assert one == pytest.approx(other, abs=1e-5)


def test_a_checkpoint_is_answered_without_onnx_and_nothing_without_need_for_torchvision(
    digits: Path, tmp_path: Path
) -> None:
    Image.fromarray(np.asarray(load(digits / "data/prepare").test.images)[0, :, :, 0]).save(tmp_path / "a.png")
    code = (
        "import sys; from pawprint.predict import predict; from pathlib import Path;"
        "predict([Path('a.png')], sys.argv[1]);"
        "print([name for name in ('onnx', 'onnxruntime', 'torchvision', 'lightning_fabric') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(digits / "models/train/baseline/baseline-s0")]
    environment = os.environ | {"PYTHONPATH": str(paths.PACKAGE.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
