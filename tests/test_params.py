import dataclasses
from pathlib import Path

import pytest

from pawprint.errors import SettingsError
from pawprint.labels import MEASURES_ONLY
from pawprint.params import (
    parse_options,
    pretraining,
    read_resolved,
    read_study,
    resolved_yaml,
    spec_as_dict,
    unusual,
)
from pawprint.training.optimizers import OPTIMIZERS
from pawprint.training.schedules import SCHEDULES
from pawprint.types import RUN_IDENTITY, RUN_SETTINGS, RunSpec, short_number

ROOT = Path(__file__).parents[1]
STUDIES = [ROOT, *sorted(p.parent for p in ROOT.glob("studies/*/params.yaml"))]

MINIMAL = """
study: small
data:
  source: digits
lr: 0.001
seeds: [0, 1]
variants:
  baseline: {}
  fast:
    lr: 0.1
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def faults(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as error:
        read_study(write(tmp_path, text))
    return str(error.value)


@pytest.mark.parametrize("file", [file for study in STUDIES for file in sorted(study.glob("params*.yaml"))], ids=str)
def test_shipped_params_are_valid(file: Path) -> None:
    settings, specs = read_study(file)
    assert {spec.variant for spec in specs} == set(settings.variants)
    assert set(settings.probed) <= set(settings.variants)


def test_root_params_name_every_setting_and_explain_it() -> None:
    lines = (ROOT / "params.yaml").read_text().splitlines()
    for name in RUN_SETTINGS:
        (line,) = [line for line in lines if line.startswith(f"{name}:")]
        assert "#" in line, f"{name} has no comment"


def test_each_variant_differs_from_the_baseline_in_the_one_thing_it_is_about() -> None:
    study, specs = read_study(ROOT / "params.yaml")
    by_variant = {spec.variant: spec for spec in reversed(specs)}
    about = {
        "lr_1e-1": ["lr"], "lr_1e-2": ["lr"], "lr_1e-4": ["lr"], "lr_1e-5": ["lr"], "onecycle": ["scheduler"],
        "batch_64": ["batch_size"], "batch_64_lr_sqrt": ["lr_scaling", "batch_size"],
        "batch_64_adam_full_rule": ["lr_scaling", "batch_size"], "sgd": ["optimizer", "lr"],
        "sgd_batch_64": ["batch_size"], "sgd_batch_64_lr_linear": ["lr_scaling", "batch_size"],
        "pretrained": ["pretrained"],
    }  # fmt: skip
    assert set(by_variant) == {"baseline", *about}
    for variant, settings in about.items():
        own = spec_as_dict(by_variant[variant])
        other = spec_as_dict(by_variant[study.variants[variant].get("against", "baseline")])
        shaping = [k for k in own if k not in (*RUN_IDENTITY, *MEASURES_ONLY)]
        assert [k for k in shaping if own[k] != other[k]] == settings


def test_defaults_are_the_assignments_baseline() -> None:
    _, specs = read_study(ROOT / "params.yaml")
    spec = specs[0]
    assert (spec.optimizer, spec.lr, spec.betas, spec.eps, spec.batch_size) == (
        "adam",
        1e-3,
        (0.9, 0.999),
        1e-8,
        32,
    )
    assert (spec.epochs, spec.scheduler, spec.pretrained, spec.select_on) == (10, "none", False, "val_loss")


def test_variants_inherit_what_they_do_not_set(tmp_path: Path) -> None:
    _, specs = read_study(write(tmp_path, MINIMAL))
    assert [(s.variant, s.seed, s.lr) for s in specs] == [
        ("baseline", 0, 0.001), ("baseline", 1, 0.001), ("fast", 0, 0.1), ("fast", 1, 0.1),
    ]  # fmt: skip


def test_null_in_a_variant_inherits(tmp_path: Path) -> None:
    _, specs = read_study(write(tmp_path, MINIMAL.replace("lr: 0.1", "lr: null")))
    assert {spec.lr for spec in specs} == {0.001}


def test_runs_of_a_variant_add_their_own_delta(tmp_path: Path) -> None:
    text = MINIMAL + "    seeds: [7]\n    runs:\n      a: {momentum: 0.9}\n      b: {lr: 0.2, seeds: [8]}\n"
    _, specs = read_study(write(tmp_path, text))
    fast = [(s.run, s.seed, s.lr, s.momentum) for s in specs if s.variant == "fast"]
    assert fast == [("a", 7, 0.1, 0.9), ("b", 8, 0.2, 0.0)]


def test_resolved_file_reads_back_as_the_same_runs(tmp_path: Path) -> None:
    _, specs = read_study(ROOT / "params.yaml")
    own = [spec for spec in specs if spec.variant == "baseline"]
    path = tmp_path / "baseline.yaml"
    path.write_text(resolved_yaml(own))
    assert read_resolved(path) == own


def test_all_faults_are_reported_together_with_the_nearest_name(tmp_path: Path) -> None:
    text = MINIMAL.replace("lr: 0.001", "lr: fast\nepoch: 3\nbatch_size: 0").replace("lr: 0.1", "lrr: 0.1")
    said = faults(tmp_path, text)
    assert "epoch: no such setting; did you mean 'epochs'?" in said
    assert "lr: should be a valid number, found 'fast'" in said
    assert "batch_size: should be greater than or equal to 1, found 0" in said
    assert "variants.fast: lrr: no such setting; did you mean 'lr'?" in said
    assert len(said.splitlines()) == 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lr: 0.001", "lr: .nan", "lr: should be a finite number"),
        ("lr: 0.001", "lr: -1.0", "lr: should be greater than or equal to 0"),
        ("lr: 0.001", "lr: true", "lr: should be a valid number, found True"),
        ("lr: 0.001", "epochs: 2.5", "epochs: should be a valid integer"),
        (
            "lr: 0.001",
            "optimizer: adm",
            "optimizer: should be 'adam', 'adamw', 'sgd', 'adagrad', 'rmsprop', 'radam', 'lars' or 'lamb', found 'adm'",
        ),
        ("lr: 0.001", "lr: 1\nlr: 2", "not valid YAML"),
        ("lr: 0.001", "optimizer: sgd\nnesterov: true", "nesterov needs momentum > 0"),
        ("source: digits", "sorce: digits", "data: sorce: no such setting; did you mean 'source'?"),
        ("seeds: [0, 1]", "seeds: []", "seeds: tuple should have at least 1 item"),
        ("seeds: [0, 1]", "probed: [other]", "probed: there is no variant 'other'"),
        ("  fast:", "  'fa st':", "a variant's name is letters"),
        (MINIMAL, "- a\n- b\n", "expected `name: value` lines, found list"),
        (MINIMAL, "lr: [", "not valid YAML"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in faults(tmp_path, MINIMAL.replace(old, new))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"params\.yaml: no such file"):
        read_study(tmp_path / "params.yaml")


def test_settings_that_studies_need_are_in_range_and_warned_of(tmp_path: Path) -> None:
    text = MINIMAL.replace("lr: 0.1", "lr: 0").replace("lr: 0.001", "lr: 0.001\noptimizer: sgd\nmomentum: 1.5")
    _, specs = read_study(write(tmp_path, text))
    warnings = unusual(specs)
    assert any("momentum 1.5" in w for w in warnings)
    assert "fast: lr 0: nothing is learned" in warnings
    assert not unusual(read_study(write(tmp_path, MINIMAL))[1])


def test_scientific_notation_is_a_number(tmp_path: Path) -> None:
    _, specs = read_study(write(tmp_path, MINIMAL.replace("lr: 0.001", "lr: 1e-05")))
    assert specs[0].lr == 1e-5


def test_options_are_the_same_settings() -> None:
    assert parse_options(["--lr", "1e-2", "--batch-size=64", "--betas", "[0.9, 0.99]"]) == {
        "lr": 0.01, "batch_size": 64, "betas": [0.9, 0.99],
    }  # fmt: skip
    with pytest.raises(SettingsError, match="did you mean 'batch_size'"):
        parse_options(["--batchsize", "64"])
    with pytest.raises(SettingsError, match="expected a value"):
        parse_options(["--lr"])


def test_options_win_over_a_variants_delta(tmp_path: Path) -> None:
    _, specs = read_study(write(tmp_path, MINIMAL), overrides={"lr": 0.5})
    assert {spec.lr for spec in specs} == {0.5}


def test_choices_are_those_that_the_code_has() -> None:
    fields = {f.name: f for f in dataclasses.fields(RunSpec)}
    for name, table in (("optimizer", OPTIMIZERS), ("scheduler", SCHEDULES)):
        assert all(choice in str(fields[name].type) for choice in table)


@pytest.mark.parametrize(
    ("value", "text"), [(0.001, "1e-3"), (0.3, "3e-1"), (5e-4, "5e-4"), (0, "0"), (0.0015, "1.5e-3")]
)
def test_short_numbers(value: float, text: str) -> None:
    assert short_number(value) == text


def test_run_name_reads_as_its_settings() -> None:
    spec = RunSpec(study="s", variant="baseline", run="baseline", seed=0)
    assert spec.name == "baseline-lr1e-3-bs32-none-s0"


def test_learning_rate_scales_with_the_batch() -> None:
    spec = RunSpec(study="s", variant="v", run="v", seed=0, batch_size=128)
    assert dataclasses.replace(spec, lr_scaling="linear").scaled_lr == pytest.approx(4e-3)
    assert dataclasses.replace(spec, lr_scaling="sqrt").scaled_lr == pytest.approx(2e-3)
    assert spec.scaled_lr == 1e-3


def test_the_full_adam_rule_scales_rate_betas_and_eps() -> None:
    """Malladi et al., arXiv 2205.10287: kappa = 2 times the batch."""
    _, specs = read_study(ROOT / "params.yaml")
    (spec, *_) = [spec for spec in specs if spec.variant == "batch_64_adam_full_rule"]
    assert spec.scaled_lr == pytest.approx(1e-3 * 2**0.5)
    assert spec.scaled_betas == pytest.approx((0.8, 0.998))
    assert spec.scaled_eps == pytest.approx(1e-8 / 2**0.5)
    (plain, *_) = [spec for spec in specs if spec.variant == "batch_64_lr_sqrt"]
    assert (plain.scaled_lr, plain.scaled_betas, plain.scaled_eps) == (spec.scaled_lr, (0.9, 0.999), 1e-8)


@pytest.mark.parametrize(("setting", "said"), [
    ("lr_scaling: adam_full\noptimizer: sgd", "adam_full is a rule for adam and adamw, found optimizer: sgd"),
    ("lr_scaling: adam_full\nbatch_size: 512", "become [-0.6, 0.984]; expected none below 0: lower batch_size"),
    ("pretrained: true", "pretrained: true needs pretrained_source: drawn_animals, folder or imagenet; found none"),
    ("pretrained: true\nmodel: mlp", "pretrained: true has weights for resnet18 only, found model: mlp"),
    ("diagnostics: [curvature]", "diagnostics: curvature: resnet18's batch normalization"),
    ("model: mlp\nclass_weights: balanced\ndiagnostics: [gradient_noise]", "divides by the weights of a batch"),
    ("objective: fixmatch\ndiagnostics: [histograms, weight_norm]", "expected diagnostics of layers alone: layer_grad"),
    ("model: cnn\ndropout: 0.5\ndiagnostics: [weight_gradients, activations]", "weight_gradients: with dropout"),
    ("pretrained_source: cifar", "pretrained_source: should be 'none', 'imagenet', 'drawn_animals' or 'folder'"),
    ("pretrained_source: folder", "pretrain: data: path: not set; pictures of a folder need one, or a .zip"),
    ("pretrain: {epoch: 3}", "pretrain: epoch: no such setting; did you mean 'epochs'?"),
    ("pretrain: {data: {image_size: x}}", "pretrain: data: image_size: should be a valid integer, found 'x'"),
    ("pretrain: {data: {source: digits}}", "pretrain: data: source: no such setting"),
    ("pretrain: {pretrained: true}", "pretrain: pretrained: no such setting"),
    ("questions: {rate: [baseline, fats]}", "questions.rate: there is no variant 'fats'; did you mean 'fast'?"),
    ("questions: {rate: []}", "questions.rate: expected a list of variants, found none"),
    ("questions: {a/b: [fast]}", "questions.a/b: a question's name is letters, digits"),
    ("questions: {all: [fast]}", "questions.all: plots/compare has a figure of this name already"),
    ("questions: {a: [fast], a_by_step: [fast]}", "questions.a_by_step: plots/compare has a figure of this name"),
    ("questions: [fast]", "questions: should be a valid dictionary"),
    ("questions: {}\nasks: {rate: Which?}", "asks: there is no 'rate' among `questions`; there are none"),
    ("questions: {rate: [fast]}\nasks: {rat: Which?}", "asks: there is no 'rat' among `questions`; did you mean"),
    ("asks: {rate: 3}", "asks.rate: should be a valid string"),
    ("claims: {a: {}}", "claims: a.says: field required"),
    ("claims: {a: {says: x, by: 1}}", "claims: a.by: no such setting"),
    ("claims: {a: {says: x, refuted_by: [{of: fast, measure: swing}]}}", "expected either `measure` and `above`, or"),
    ("claims: {a: {says: x, refuted_by: [{of: fast, same_as: fast, measure: swing}]}}", "expected either `measure`"),
    ("claims: {a: {says: x, refuted_by: [{of: fast, measure: luck, above: fast}]}}", "should be 'test_accuracy'"),
    ("claims: {a: {says: x, confirmed_by: [{of: fats, same_as: fast}]}}", "claims.a: there is no variant 'fats'; did"),
])  # fmt: skip
def test_settings_that_cannot_be_used_say_why(tmp_path: Path, setting: str, said: str) -> None:
    text = MINIMAL.replace("lr: 0.001", f"lr: 0.001\n{setting}")
    assert said in faults(tmp_path, text)


def test_against_must_be_another_variant(tmp_path: Path) -> None:
    assert "variants.fast.against: there is no variant 'slow'" in faults(tmp_path, MINIMAL + "    against: slow\n")
    held = MINIMAL.replace("baseline: {}", "baseline: {against: fast}")
    assert "variants.baseline.against: baseline is what others are held against" in faults(tmp_path, held)
    assert "variants.fast.against: found itself" in faults(tmp_path, MINIMAL + "    against: fast\n")
    _, specs = read_study(write(tmp_path, MINIMAL + "    against: baseline\n"))
    assert {spec.lr for spec in specs if spec.variant == "fast"} == {0.1}


def test_a_run_says_what_its_weights_were_trained_on(tmp_path: Path) -> None:
    text = MINIMAL + "    pretrained: true\n"
    sources = {
        "pretrained_source: drawn_animals": "drawn_animals",
        "pretrained_source: folder\npretrain: {data: {path: /some/cifar10-images.zip}}": "cifar10-images",
        "pretrained_source: imagenet": "imagenet",
    }
    for setting, source in sources.items():
        _, specs = read_study(write(tmp_path, text.replace("lr: 0.001", f"lr: 0.001\n{setting}")))
        assert {spec.variant: spec.pretrained_on for spec in specs} == {"baseline": None, "fast": source}


def test_the_source_task_is_described_by_its_own_section(tmp_path: Path) -> None:
    """So that `-S lr=1e-2` does not train it anew."""
    text = MINIMAL.replace("lr: 0.001", "lr: 0.5\npretrained_source: drawn_animals\npretrain: {epochs: 3, seed: 4}")
    study, _ = read_study(write(tmp_path, text))
    data, spec = pretraining(study)
    assert (data.source, spec.epochs, spec.seed, spec.lr) == ("drawn_animals", 3, 4, 0.001)
