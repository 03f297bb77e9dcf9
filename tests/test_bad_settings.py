"""Settings, options and arguments that cannot be used: one message, exit code 2, and nothing written."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pawprint.yaml_files import MAX_DEPTH, parse_yaml, to_yaml
from tests.guarantees.damaged_yaml import BOMB, CANARY, MERGES
from tests.guarantees.inputs import NESTED, READERS, Folder, bad_settings, refused
from tests.in_process import Done, pawprint

LONG_NAME = "v" * 64
INFINITE = float("inf")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "study")


def test_drawn_inputs_are_refused_in_one_message_or_work(tmp_path: Path) -> None:
    failures: list[str] = []
    rows = bad_settings(tmp_path, 90, number=0, failures=failures, n_options=30)
    assert failures == []
    assert [row.held for row in rows] == [row.tried for row in rows]
    assert sum(row.tried for row in rows) >= 150


@pytest.mark.long
def test_thousands_of_drawn_inputs_are_refused_in_one_message_or_work(tmp_path: Path) -> None:
    failures: list[str] = []
    rows = bad_settings(tmp_path, 2000, number=1, failures=failures)
    assert failures == []
    assert sum(row.tried for row in rows) >= 3000


def test_the_harness_notices_what_must_not_be(folder: Folder) -> None:
    """A traceback, another exit code, a message that names nothing, and something written."""
    before = folder.listing()
    good = Done(2, "", "resolve: params.yaml: lr: should be a valid number, found 'fast'\n")
    assert refused(good, before, folder, "params.yaml", ("lr",)) is None
    for bad in (
        Done(1, "", good.stderr),
        Done(2, "", ""),
        Done(2, "", good.stderr + "Traceback (most recent call last):\n"),
        Done(2, "", "resolve: something is wrong\n"),
        Done(2, "", good.stderr.replace("lr", "it")),
    ):
        assert refused(bad, before, folder, "params.yaml", ("lr",)), bad
    (folder.path / "left.tmp").touch()
    assert "left.tmp" in str(refused(good, before, folder, "params.yaml", ("lr",)))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100_000_000)


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (Path.mkdir, "expected a file, found a folder"),
    "a pipe": (os.mkfifo, "expected a file, found a pipe or device"),
    "a device without end": (lambda path: path.symlink_to("/dev/zero"), "expected a file, found a pipe or device"),
    "a link to nowhere": (lambda path: path.symlink_to("elsewhere"), "a link to elsewhere, which is not there"),
    "nothing": (lambda path: None, "no such file"),
    "100 MB": (sparse, "expected settings of at most 1 MB, found 100.0 MB"),
    "UTF-16": (lambda path: path.write_text(NESTED, encoding="utf-16"), "line 1: expected UTF-8 text, found UTF-16"),
    "bytes": (lambda path: path.write_bytes(b"a: 1\nb: \xff\n"), "line 2: expected UTF-8 text, found byte 0xff"),
    "nothing in it": (Path.touch, "expected `name: value` lines, found nothing"),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_settings_file_is_refused_by_every_stage(folder: Folder, place: str) -> None:
    make, said = PLACES[place]
    path = folder.path / "params.yaml"
    path.unlink()
    make(path)
    before = folder.listing()
    for stage in ("resolve", *READERS):
        done = folder.stage(stage, *(["baseline"] if stage in ("train", "probe") else []))
        assert refused(done, before, folder, "params.yaml") is None
        assert said in done.stderr
    done = pawprint(folder.path, "init-data", ".")
    assert (done.returncode, said in done.stderr) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_settings_that_may_not_be_read_are_refused(folder: Folder) -> None:
    (folder.path / "params.yaml").chmod(0)
    assert "cannot be read: Permission denied" in folder.stage("resolve").stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (BOMB, "line 32, column 13: stands for more than 100,000 names and values"),
        (MERGES, "stands for more than 100,000 names and values"),
        ("x: &a [*a]\n", "the alias *a is inside what it stands for"),
        ("x: " + "[" * 3000 + "]" * 3000 + "\n", f"nested deeper than {MAX_DEPTH} levels"),
        (f"x: !!python/object/apply:os.system [touch {CANARY}]\n", "could not determine a constructor for the tag"),
        ("x: !mine 1\n", "could not determine a constructor for the tag '!mine'"),
        ("lr: 1\nlr: 2\n", 'found duplicate key "lr"'),
        ("x:\n\ty: 1\n", "found character '\\t' that cannot start any token"),
        ("---\nx: 1\n", "expected a single document in the stream"),
        ("x: 2024-13-01\n", "line 26, column 4: not valid YAML: month must be in 1..12"),
        ("x: " + "9" * 5000 + "\n", "Exceeds the limit (4300 digits) for integer string conversion"),
        ("lr: 0x" + "f" * 5000 + "\n", "lr: should be a valid number, found an integer of 20000 bits"),
        ("lr: 1e400\n", "lr: should be a finite number, found inf"),
        ('study_: "a\\nb"\n', "study_: expected one line of text, found 'a\\nb'"),
        ('study_: "\\ud800"\n', "study_: expected one line of text, found '\\ud800'"),
        ("1: 2\n", "expected a name, found 1; quote it if it is one"),
        ("x" * 500 + ": 1\n", "x" * 80 + "…: no such setting"),
        ("lr: " + "y" * 5000 + "\n", "yyy...yyy"),
    ],
)
def test_text_that_is_meant_ill_or_went_wrong_is_told_with_its_place(folder: Folder, more: str, said: str) -> None:
    (folder.path / "params.yaml").write_text(NESTED + more)
    before = folder.listing()
    done = folder.stage("resolve")
    assert refused(done, before, folder, "params.yaml") is None
    assert said in done.stderr
    assert len(done.stderr) < 2000


def study(**changes: Any) -> dict[str, Any]:
    """NESTED with other values; `data__image_size` is one in a section."""
    content = copy.deepcopy(parse_yaml(NESTED, "nested"))
    for place, value in changes.items():
        *above, last = place.split("__")
        section = content
        for name in above:
            section = section[name]
        section[last] = value
    return content


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": [0, 0]}, "seeds: expected each once, found 0 more than once"),
        ({"seeds": [10**30]}, "seeds.0: should be less than 4294967296, found 1000000000000000000000000000000"),
        ({"variants__wide__seeds": []}, "variants.wide: seeds: expected a list, as in [0, 1], found []"),
        ({"variants__wide__seeds": 3}, "variants.wide: seeds: expected a list, as in [0, 1], found 3"),
        ({"variants__wide__runs": []}, "variants.wide.runs: expected a mapping of run to settings, found []"),
        ({"variants__wide__runs": {"../x": {}}}, "variants.wide.runs.../x: a run's name is letters, digits"),
        ({"variants__wide__against": ["baseline"]}, "variants.wide.against: there is no variant ['baseline']"),
        ({"variants": {}}, "variants: dictionary should have at least 1 item"),
        ({"variants": {"v" * 65: {}}}, "a variant's name is letters, digits and _ . + - only, at most 64"),
        ({"variants": {"baseline": {}, "..": {}}}, "variants...: a variant's name is letters, digits"),
        ({"study": ""}, "study: string should have at least 1 character"),
        ({"study": "x" * 200}, "study: string should have at most 100 characters"),
        ({"probed": ["wide", "wide"]}, "probed: expected each once, found 'wide' more than once"),
        ({"trackers": ["wandb", "wandb"]}, "trackers: expected each once, found 'wandb' more than once"),
        ({"questions__rate": ["wide", "wide"]}, "questions.rate: expected each once"),
        ({"pretrain": {"data": [1]}}, "pretrain: data: expected a mapping, found [1]"),
        ({"pretrain": {"data": {"n_per_class": 10**8}}}, "pretrain: data: n_per_class: 100000000 a class are"),
        ({"data": "digits"}, "data: expected a mapping with `source`, found 'digits'"),
        ({"data__path": ""}, "data: path: expected a path of 1 to 4096 bytes"),
        ({"data__path": "x/" + "y" * 300}, "expected a path of 1 to 4096 bytes, each name in it at most 255"),
        ({"data__split_file": "~nobody_at_all/x"}, "data: split_file: expected a path, found '~nobody_at_all/x'"),
        ({"data__source": "folder"}, "data: path: not set; pictures of a folder need one, or a .zip"),
        ({"data__val_percent": 50, "data__test_percent": 50}, "leave nothing for training"),
        ({"data__source": "procedural", "data__n_per_class": 10**6, "data__image_size": 224},
         "data: n_per_class: 1000000 a class are 37,000,000 pictures of 224 px, 5,570 GB; expected at most 100"),
        ({"mlp_widths": [10**9]}, "mlp_widths: [1000000000] for pictures of 8 px are 6.4e+10 parameters"),
        ({"mlp_widths": [1] * 33}, "mlp_widths: tuple should have at most 32 items"),
        ({"betas": [0.9]}, "betas.1: field required"),
        ({"betas": [0.9, 1.0]}, "betas.1: should be less than 1, found 1.0"),
        ({"batch_size": 10**12}, "batch_size: should be less than or equal to 1000000, found 1000000000000"),
        ({"threads": 10**6}, "threads: should be less than or equal to 512, found 1000000"),
        ({"epochs": 10**30}, "epochs: should be less than or equal to 1000000000"),
        ({"lr": 1e300}, "lr: should be less than or equal to 1000000000000000000000000000000, found 1e+300"),
        ({"random_crop_percent": float("nan")}, "random_crop_percent: should be less than or equal to 50, found nan"),
        ({"save_every_seconds": INFINITE}, "save_every_seconds: should be a finite number, found inf"),
        ({"checks": None}, "checks: should be a valid dictionary, found None"),
    ],
)  # fmt: skip
def test_values_that_cannot_work_are_told_before_anything_is_written(
    folder: Folder, changes: dict[str, Any], said: str
) -> None:
    (folder.path / "params.yaml").write_text(to_yaml(study(**changes)))
    before = folder.listing()
    done = folder.stage("resolve")
    assert refused(done, before, folder, "params.yaml") is None
    assert said in done.stderr


@pytest.mark.parametrize(
    ("changes", "stage", "said"),
    [
        ({"checks": {"output_shape": {"n_examples": "few"}}}, "check",
         "params.yaml: checks.output_shape: n_examples: should be a valid integer, found 'few'"),
        ({"checks": {"output_shape": {"batch_sizes": [10**9]}}}, "check", "batch_sizes.0: should be less than"),
        ({"checks": {"output_shape": {"level": ["stop"]}}}, "check",
         "params.yaml: checks.output_shape.level: expected stop or warn, found ['stop']"),
        ({"checks": {"os.path": {}}}, "check", "params.yaml: checks.os.path: no such file in checks/"),
        ({"probes": {"rotation": {"angles": [1.0, 1.0]}}}, "probe",
         "params.yaml: probes.rotation: angles: expected each once, found [1.0, 1.0]"),
        ({"probes": {"corruptions": {"noise_deviations": [2.0]}}}, "probe", "should be less than or equal to 1"),
        ({"probes": {"tta": {"sets": ["flip", "flop"]}}}, "probe",
         "params.yaml: probes.tta: sets.1: should be 'flip', 'crops', 'rotations', 'scales' or 'all', found 'flop'"),
    ],
)  # fmt: skip
def test_settings_of_model_tests_are_judged_where_they_are_used(
    folder: Folder, changes: dict[str, Any], stage: str, said: str
) -> None:
    (folder.path / "params.yaml").write_text(to_yaml(study(**changes)))
    before = folder.listing()
    done = folder.stage(stage, *(["baseline"] if stage == "probe" else []))
    assert refused(done, before, folder, "params.yaml") is None
    assert said in done.stderr


@pytest.mark.parametrize(
    ("stage", "arguments", "said"),
    [
        ("train", ["nonsense"], "'nonsense': no such variant; valid names: baseline, rates, wide"),
        ("train", ["baslin"], "'baslin': no such variant; did you mean 'baseline'?"),
        ("test", ["../params/baseline"], "'../params/baseline': no such variant"),
        ("probe", [""], "'': no such variant"),
        ("probe", ["x" * 5000], "no such variant"),
        ("train", [], "command line: expected one argument, the variant; found []"),
        ("train", ["baseline", "wide"], "expected one argument, the variant; found ['baseline', 'wide']"),
        ("resolve", ["--help"], "command line: expected no arguments; found ['--help']"),
    ],
)
def test_stages_refuse_other_arguments_than_theirs(folder: Folder, stage: str, arguments: list[str], said: str) -> None:
    before = folder.listing()
    done = folder.stage(stage, *arguments)
    assert refused(done, before, folder, "") is None
    assert said in done.stderr


def test_a_damaged_resolved_file_is_told_with_what_mends_it(folder: Folder) -> None:
    path = folder.path / "params/baseline.yaml"
    sound = path.read_text()
    for old, new, said in (
        ("seeds:", "seed_:", "baseline: seeds: expected every setting, not found"),
        ("lr: 0.001", "lr: low", "baseline: lr: should be a valid number, found 'low'"),
        ("  lr: 0.001\n", "", "baseline: lr: expected every setting, not found"),
        ("nesterov: false", "nesterov: true\n  optimizer: sgd", "found duplicate key"),
        ("variant: baseline", "variant: wide", "variant: expected baseline, as the file's name says"),
        ("baseline:\n", "../x:\n", "run: a name is letters, digits"),
        (sound, "{}", "expected runs, found none"),
        (sound, "baseline: 3", "baseline: expected a mapping of settings, found 3"),
    ):
        path.write_text(sound.replace(old, new, 1))
        before = folder.listing()
        done = folder.stage("train", "baseline")
        assert refused(done, before, folder, "params/baseline.yaml") is None, old
        assert said in done.stderr
        assert "`dvc repro --force resolve` writes it anew" in done.stderr or "not valid YAML" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--lr", "["], "--lr '[': line 1, column 2: not valid YAML"),
        (["train", "--lr", "*a"], "--lr '*a': line 1, column 1: not valid YAML: found undefined alias"),
        (["train", "--lr", "!!python/name:os.system"], "could not determine a constructor"),
        (["train", "--lr", "1", "--lr", "2"], "--lr: given twice"),
        (["train", "--lr", ""], "command line: lr: should be a valid number, found None"),
        (["train", "--lr", "1e400"], "command line: lr: should be a finite number, found inf"),
        (["train", "--lr", "9" * 5000], "not valid YAML: Exceeds the limit"),
        (["train", "lr", "1"], "lr: not understood; settings are given as --name value"),
        (["train", "--" + "x" * 5000, "1"], "x" * 80 + "…: no such setting"),
        (["train", "--variant", "../x"], "--variant ../x: no such variant"),
        (["train", "--seed", "many"], "Invalid value for '--seed'"),
        (["train", "--nesterov", "true", "--optimizer", "sgd"], "variants.baseline: nesterov needs momentum > 0"),
        (["nonsense"], "No such command 'nonsense'"),
        (["train", "--", "--lr"], "--lr: expected a value"),
        (["init-data"], "Missing argument"),
        (["init-data", "one", "two"], "unexpected extra argument"),
        (["audit", "work.py", "--only"], "requires an argument"),
        (["audit", "x" * 300 + ".py"], "File name too long"),
        (["audit", "x.py", "--out", "params.yaml"], "--out params.yaml: expected a folder that can be written to"),
        (["audit", "x.py", "--json", "y.txt"], "--json y.txt: expected a path that ends in .json"),
        (["audit", "x.py", "--json", "params.yaml/y.json"], "--json params.yaml/y.json: cannot be written"),
        (["init-data", "x" * 300], "each name in it at most 255"),
        (["init-data", "~nobody_at_all"], "nobody has that name here"),
        (["init-data", "\udcff"], "the folder: 'utf-8' codec can't encode"),
        (["audit", "nothing.py"], "no such file"),
    ],
)
def test_the_command_line_is_told_what_it_lacks(folder: Folder, arguments: list[str], said: str) -> None:
    before = folder.listing()
    done = pawprint(folder.path, *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert folder.listing() == before


@pytest.mark.parametrize(
    ("out", "said"),
    [
        (".", "--out .: that is among DVC's outputs"),
        ("models/mine", "--out models/mine: that is among DVC's outputs"),
        ("params.yaml/x", "params.yaml is no folder"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_told_before_the_training(
    study_with_data: Path, out: str, said: str
) -> None:
    done = pawprint(study_with_data, "train", "--out", out)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (study_with_data / "models").exists()


@pytest.fixture(scope="module")
def study_with_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Folder(tmp_path_factory.mktemp("with_data") / "study")
    for stage in ("fetch", "prepare"):
        assert folder.stage(stage).returncode == 0
    return folder.path


def test_an_option_is_for_the_variant_that_is_trained(folder: Folder) -> None:
    """Another one, of which it would make nonsense, is not in its way."""
    content = study(variants__wide={"lr_scaling": "adam_full"})
    (folder.path / "params.yaml").write_text(to_yaml(content))
    done = pawprint(folder.path, "train", "--variant", "baseline", "--optimizer", "sgd")
    assert "no data.json" in done.stderr
    done = pawprint(folder.path, "train", "--variant", "wide", "--optimizer", "sgd")
    assert "variants.wide: lr_scaling: adam_full is a rule for adam and adamw" in done.stderr


AT_LIMITS: dict[str, dict[str, Any]] = {
    "small": {
        "study": "\u202eודג 🐾 <b>&'\"{{ }}: #", "seeds": [2**32 - 1], "data__split_seed": 2**32 - 1,
        "data__val_percent": 1e-300, "lr": 1e-30, "betas": [0.0, 0.0], "weight_decay": 0, "mlp_widths": [],
        "clip_norm": 1e-300, "batch_size": 1_000_000, "lr_base_batch_size": 1_000_000, "save_every_seconds": 1e308,
        "onecycle_final_div_factor": 1e12, "random_crop_percent": 1e-300,
        "variants": {LONG_NAME: {"runs": {LONG_NAME: {}}}, "baseline": {}}, "questions": {LONG_NAME: [LONG_NAME]},
        "checks": {"output_shape": {"batch_sizes": [1000]}}, "probed": [LONG_NAME],
        "probes": {"brightness": {"factors": [0.0, 5e-324, 1.0]}},
    },
    "large": {
        "lr": 1e30, "optimizer": "sgd", "momentum": 1e30, "weight_decay": 1e30, "clip_norm": 1e30, "threads": 2,
        "random_crop_percent": 50.0, "mlp_widths": [1] * 16, "batch_size": 16, "save_every_seconds": 0,
        "variants": {"baseline": {}, "cosine": {"scheduler": "cosine"}}, "questions": {},
        "checks": {"initial_loss": {"level": "warn"}}, "probes": {"calibration": {"max_ece": 0.0}},
    },
}  # fmt: skip


@pytest.mark.parametrize("limits", AT_LIMITS)
def test_settings_at_their_limits_work(tmp_path: Path, limits: str) -> None:
    """A training may diverge and a check warn; no stage breaks."""
    content = study(**AT_LIMITS[limits])
    folder = Folder(tmp_path / "study", to_yaml(content))
    stages = ["fetch", "prepare", "pretrain", "start", "check"]
    stages += [f"{stage}@{variant}" for variant in content["variants"] for stage in ("train", "test")]
    for stage in (*stages, *(f"probe@{variant}" for variant in content["probed"]), "compare"):
        name, *arguments = stage.split("@")
        done = folder.stage(name, *arguments)
        assert done.returncode == 0, f"{stage}: {done.stderr}"


def test_a_lack_of_space_is_told_before_pictures_are_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path / "study")
    assert folder.stage("fetch").returncode == 0
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 1000})())
    done = folder.stage("prepare")
    assert done.returncode == 1
    assert "packing 1,797 pictures of 8 px takes 0.0 GB, and 0.0 GB are free: lower data.image_size" in done.stderr
    assert not list(folder.path.glob("data/prepare*"))


def test_settings_are_read_without_anything_heavy() -> None:
    """What judges settings runs before every stage."""
    code = "import sys, pawprint.params; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")})  # fmt: skip
    assert done.stdout.strip() == "[]"
