"""Stage compare on a small study written by hand: files, order, thinning, gaps, missing inputs."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pawprint import charts, paths, plot_tables
from pawprint.diagnostics import slowness
from pawprint.errors import DataError
from pawprint.params import read_study, resolved_yaml
from pawprint.stages import compare
from pawprint.types import RunSpec

PARAMS = """
study: small
data: {source: digits}
model: mlp
seeds: [0, 1]
variants:
  zeta: {lr: 0.1}
  baseline: {}
  two: {runs: {first: {momentum: 0.3, optimizer: sgd}, second: {}}}
  larger: {batch_size: 64, against: zeta}
questions:
  rate: [zeta, baseline]
  batch: [baseline, larger]
probed: [baseline]
"""
N_STEPS = 250
N_TEST = 400


def is_diverged(spec: RunSpec) -> bool:
    return spec.variant == "zeta" and spec.seed == 1


def write_curves(spec: RunSpec) -> None:
    steps = np.arange(1, (40 if is_diverged(spec) else N_STEPS) + 1)
    loss = 2.0 / steps + spec.seed
    if is_diverged(spec):
        loss[-2:] = [np.inf, np.nan]
    folder = paths.train_outputs(spec.variant).curves
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "step": steps,
        "epoch": 1,
        "examples_seen": steps * spec.batch_size,
        "training_loss": loss,
        "learning_rate": spec.lr,
        "gradient_norm_mean": 0.1 / steps,
        "gradient_norm_total": 1.0 / steps,
    }
    pd.DataFrame(columns).to_csv(folder / f"{spec.key}-steps.csv", index=False)
    scores = {"val_accuracy": [0.1, 0.6], "val_balanced_accuracy": [0.1, 0.55], "val_macro_f1": [0.05, 0.5]}
    epochs = {"epoch": [0, 1], "step": [0, len(steps)], "examples_seen": [0, spec.batch_size * len(steps)],
              "training_loss": [np.nan, 1.0], "val_loss": [2.3, np.inf if is_diverged(spec) else 1.1]}  # fmt: skip
    pd.DataFrame(epochs | scores).to_csv(folder / f"{spec.key}-epochs.csv", index=False)


def n_right(spec: RunSpec) -> int:
    return (40 if spec.variant == "zeta" else 320) + 4 * spec.seed


def write_metrics(variant: str, specs: list[RunSpec]) -> None:
    trained, tested = {}, {}
    for spec in specs:
        scores = dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1"), n_right(spec) / N_TEST)
        outcome = "diverged" if is_diverged(spec) else "finished"
        trained[spec.key] = {"outcome": outcome, "val_loss": 1.1, **{f"val_{k}": v for k, v in scores.items()}}
        tested[spec.key] = {
            **scores,
            "accuracy_low": scores["accuracy"] - 0.05,
            "accuracy_high": scores["accuracy"] + 0.05,
            "loss": None if is_diverged(spec) else 1.2,
            "n_test": N_TEST,
        }
    contents = {paths.train_outputs(variant).metrics: trained, paths.test_metrics(variant): {"runs": tested}}
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def write_predictions(variant: str, specs: list[RunSpec]) -> None:
    """Ten classes of 40 pictures, named so that a careless reader takes them for numbers and gaps."""
    actual = np.array(["NA", "1", *"abcdefgh"])[np.arange(N_TEST) % 10]
    parts = []
    for spec in specs:
        predicted = np.where(np.arange(N_TEST) < n_right(spec), actual, "wrong")
        run = {"variant": variant, "run": spec.run, "seed": spec.seed, "image_name": range(N_TEST)}
        parts.append(pd.DataFrame({**run, "actual": actual, "predicted": predicted, "probability": 0.5}))
    paths.test_tables(variant).mkdir(parents=True)
    pd.concat(parts).to_csv(paths.test_tables(variant) / "predictions.csv", index=False)


def write_brightness(specs: list[RunSpec]) -> None:
    numbers = {"accuracy_0.5": 0.4, "accuracy_0.5_low": 0.3, "accuracy_0.5_high": 0.5, "accuracy_mean": 0.4}
    found = {spec.key: {"numbers": numbers} for spec in specs}
    paths.probe_metrics("baseline").parent.mkdir(parents=True)
    paths.probe_metrics("baseline").write_text(json.dumps({"brightness": found, "rotation": found}))


def write_range_test() -> None:
    numbers = {"rate_baseline": 1e-3, "verdict_baseline": 0, "rate_zeta": 0.1, "verdict_zeta": 1}
    numbers |= {"rate_two/first": 0.2, "rate_two/second": 1e-3, "verdict_two/second": 0}
    without = {"output_shape": {"numbers": {}, "table": None}}
    report = {"mlp, adam": {**without, "learning_rate": {"numbers": numbers, "table": "mlp-adam-learning_rate.csv"}}}
    paths.CHECK_FIGURES.mkdir(parents=True)
    paths.CHECK_REPORT.parent.mkdir(parents=True)
    paths.CHECK_REPORT.write_text(json.dumps(report | {"mlp, sgd": without}))
    curve = pd.DataFrame({"lr": [1e-3, 1e-2], "loss": [2.0, 1.0], "smoothed": [2.1, 1.1]})
    curve.to_csv(paths.CHECK_FIGURES / "mlp-adam-learning_rate.csv", index=False)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    paths.PARAMS.write_text(PARAMS)
    settings, specs = read_study(paths.PARAMS)
    paths.RESOLVED.mkdir()
    for variant in settings.variants:
        own = [spec for spec in specs if spec.variant == variant]
        paths.resolved(variant).write_text(resolved_yaml(own))
        write_metrics(variant, own)
        write_predictions(variant, own)
        for spec in own:
            write_curves(spec)
    write_range_test()
    write_brightness([spec for spec in specs if spec.variant == "baseline"])
    return tmp_path


def chart(name: str) -> pd.DataFrame:
    return pd.read_csv(paths.COMPARISON_CHARTS / f"{name}.csv")


CHARTS = ("questions/rate", "questions/batch", "test_accuracy", "brightness", "rotation")


def test_compare_writes_table_and_charts(study: Path, capsys: pytest.CaptureFixture[str]):
    compare.main()
    table = json.loads(paths.COMPARISON.read_text())
    assert list(table) == ["zeta", "baseline", "two", "larger"]  # as in params.yaml
    assert list(table["two"]) == ["first", "second"]
    assert table["zeta"]["zeta"]["verdict"] == "worse"
    assert (table["zeta"]["zeta"]["n_diverged"], table["zeta"]["zeta"]["scores"]["test_loss"]) == (1, None)
    assert table["two"]["second"]["same_settings_as"] == ["baseline"]
    assert table["two"]["second"]["verdict"] == "same settings"
    assert (table["larger"]["larger"]["against"], table["larger"]["larger"]["verdict"]) == ("zeta", "cannot tell")
    assert "same settings" in capsys.readouterr().out
    for name in CHARTS:
        assert list(chart(name).columns[:4]) == ["variant", "run", "seed", "pretrained_on"]
    check_steps()
    check_gaps()


def test_each_question_has_its_figure_and_by_step_where_batch_sizes_differ(study: Path):
    compare.main()
    drawn = {path.stem for path in paths.COMPARISON_CHARTS.glob("*.png")}
    assert drawn == {"test_accuracy", "rate", "batch", "batch_by_step"}
    for name in drawn:
        assert (paths.COMPARISON_CHARTS / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_without_questions_all_variants_are_one(study: Path):
    paths.PARAMS.write_text(
        PARAMS.replace("questions:", "questions: {}").replace("  rate:", "#").replace("  batch:", "#")
    )
    compare.main()
    drawn = {path.stem for path in paths.COMPARISON_CHARTS.glob("*.png")}
    assert drawn == {"test_accuracy", "all", "all_by_step"}


def measured(specs: list[RunSpec], settings: dict[str, Any]) -> None:
    """Errors after each epoch, norms, noise and curvature of a variant whose settings ask for them."""
    own = [replace(spec, **settings) for spec in specs]
    paths.resolved(own[0].variant).write_text(resolved_yaml(own))
    for spec in own:
        folder = paths.train_outputs(spec.variant).curves
        file = folder / f"{spec.key}-epochs.csv"
        pd.read_csv(file).assign(train_accuracy=[0.1, 0.9], test_accuracy=[0.1, 0.8]).to_csv(file, index=False)
        quantities = dict.fromkeys((*slowness.NEEDED, *slowness.MEDIANS), 0.5) | {"weight_norm": 3.0 + spec.lr}
        rows = [(step, 32 * step, name, value) for step in (1, 100, 200) for name, value in quantities.items()]
        table = pd.DataFrame(rows, columns=["step", "examples_seen", "quantity", "value"])
        table.to_csv(folder / f"{spec.key}-diagnostics.csv", index=False)


def test_errors_norms_claims_and_slowness_are_written_where_they_were_measured(study: Path):
    claim = "{says: Two is one, confirmed_by: [{of: two/second, same_as: baseline}]}"
    paths.PARAMS.write_text(f"{PARAMS}claims:\n  same: {claim}\n")
    _, specs = read_study(paths.PARAMS)
    diagnostics = ("weight_norm", "gradient_noise", "curvature")
    measured(
        [spec for spec in specs if spec.variant == "two"],
        {"epoch_curves": ("train", "test"), "diagnostics": diagnostics},
    )
    compare.main()
    said = json.loads(paths.CLAIMS.read_text())["same"]
    assert said["outcome"] == "confirmed"  # their curves are the same
    found = json.loads(paths.SLOWNESS.read_text())
    assert list(found) == [f"two/{run}, seed {seed}" for run in ("first", "second") for seed in (0, 1)]
    for slow in found.values():
        assert (paths.COMPARISON_CHARTS / slow["figure"]).is_file()
        assert [window["last_epoch"] for window in slow["windows"]] == [1, 1, 1]
        assert all(window["verdict"] in slowness.VERDICTS for window in slow["windows"])


def test_each_question_has_the_run_that_val_chooses_and_its_lead(study: Path):
    compare.main()
    contests = json.loads(paths.CONTESTS.read_text())
    assert list(contests) == ["rate", "batch"]
    table = json.loads(paths.COMPARISON.read_text())
    for contest in contests.values():
        names = [contest["best"], *(lead["over"] for lead in contest["leads"])]
        vals = {name: table[name.split("/")[0]][name.split("/")[-1]]["scores"]["val_accuracy"] for name in names}
        assert contest["best"] == max(vals, key=lambda name: vals[name])


def test_what_was_not_measured_is_not_told(study: Path):
    compare.main()
    assert json.loads(paths.CLAIMS.read_text()) == json.loads(paths.SLOWNESS.read_text()) == {}


def test_charts_of_many_trainings_have_fewer_points_of_each() -> None:
    steps = pd.DataFrame(
        {"variant": "v", "run": np.repeat(np.arange(400), 50), "seed": 0, "step": np.tile(range(50), 400)}
    )
    few = plot_tables.thinned(steps)
    assert len(few) == 400 * (plot_tables.MAX_ROWS // 400)
    assert set(few.groupby("run")["step"].agg(["min", "max"]).itertuples(index=False, name=None)) == {(0, 49)}


def test_a_questions_chart_has_its_runs_scores_with_noise_and_says_what_it_asks(study: Path):
    compare.main()
    asked = chart("questions/batch")
    assert dict(asked.iloc[0][["place", "study", "question", "loss"]]) == {
        "place": 2, "study": "small", "question": "batch", "loss": "cross-entropy (nats)",
    }  # fmt: skip
    assert asked.iloc[1:][["place", "study", "question", "loss"]].isna().all(axis=None)
    assert set(asked["variant"]) == {"baseline", "larger"}
    runs, seeds = (asked[asked["kind"] == kind].set_index("variant") for kind in ("run", "seed"))
    table = json.loads(paths.COMPARISON.read_text())
    for variant in ("baseline", "larger"):
        mean = table[variant][variant]["scores"]["test_accuracy"]
        assert runs["test_accuracy"][variant] == seeds["test_accuracy"][variant].mean() == mean
    change = table["zeta"]["zeta"]["change"]
    zeta = chart("questions/rate").query("kind == 'run'").set_index("variant").loc["zeta"]
    assert zeta["test_accuracy"] - zeta["against_accuracy"] == pytest.approx(change, abs=1e-6)
    assert zeta["noise"] == pytest.approx(table["zeta"]["zeta"]["noise"], rel=1e-5)
    assert np.isnan(runs["noise"]["baseline"])


def test_confusions_are_shares_of_a_class_over_the_seeds_of_what_is_probed(study: Path):
    compare.main()
    shares = pd.read_csv(paths.COMPARISON_CHARTS / "confusion.csv", keep_default_na=False)
    assert set(shares["variant"]) == {"baseline"}
    assert set(shares["actual"]) == {"NA", "1", *"abcdefgh"}
    assert np.allclose(shares.groupby("actual")["share"].sum(), 1, atol=1e-5)
    right = shares[shares["actual"] == shares["predicted"]].set_index("actual")["share"]
    assert right["a"] == pytest.approx((320 + 324) / 800, abs=0.01)


def test_range_tests_have_their_curve_and_the_configured_rates(study: Path):
    compare.main()
    tests = chart("range_test")
    assert set(tests["subject"]) == {"mlp, adam"}
    assert list(tests["smoothed"].dropna()) == [2.1, 1.1]
    verdicts = tests.dropna(subset=["label"]).set_index("label")["verdict"]
    assert dict(verdicts) == {
        "baseline and 1 more": "sensible", "zeta": "too large", "two/first": "no verdict",
    }  # fmt: skip


def test_a_question_of_many_rates_is_one_table(study: Path):
    grid = ", ".join(f"r{number}: {{lr: {0.001 * (number + 1)}}}" for number in range(16))
    paths.PARAMS.write_text(
        PARAMS.replace("  baseline: {}\n", f"  baseline: {{}}\n  grid: {{seeds: [0], runs: {{{grid}}}}}\n")
        .replace("  rate: [zeta, baseline]", "  rate: [grid]")
    )  # fmt: skip
    _, specs = read_study(paths.PARAMS)
    own = [spec for spec in specs if spec.variant == "grid"]
    paths.resolved("grid").write_text(resolved_yaml(own))
    write_metrics("grid", own)
    write_predictions("grid", own)
    for spec in own:
        write_curves(spec)
    compare.main()
    assert list(chart("rates")["lr"]) == pytest.approx([spec.lr for spec in own])
    assert [path.stem for path in (paths.COMPARISON_CHARTS / "questions").iterdir()] == ["batch"]
    assert (paths.COMPARISON_CHARTS / "rate.png").is_file()


def test_charts_say_what_pretrained_weights_were_trained_on(study: Path):
    text = paths.resolved("baseline").read_text()
    assert "pretrained_on: null" in text
    paths.resolved("baseline").write_text(text.replace("pretrained_on: null", "pretrained_on: drawn_animals"))
    compare.main()
    for name in CHARTS:
        sources = chart(name).set_index("variant")["pretrained_on"]
        assert set(sources[["baseline"]]) == {"drawn_animals"}
        assert sources.drop("baseline").isna().all()


def check_steps() -> None:
    steps = chart("questions/rate").query("kind == 'step'")
    one = steps[(steps["variant"] == "baseline") & (steps["seed"] == 0)]
    assert len(one) == plot_tables.MAX_POINTS
    assert (one["step"].iloc[0], one["step"].iloc[-1]) == (1, N_STEPS)
    assert one["examples_seen"].iloc[-1] == 32 * N_STEPS
    assert one["training_loss"].iloc[0] == one["training_loss_smoothed"].iloc[0] == 2.0
    reference = smoothed_slowly(2.0 / np.arange(1, N_STEPS + 1))
    assert one["training_loss_smoothed"].iloc[-1] == pytest.approx(reference, rel=1e-5)
    reference = np.exp(smoothed_slowly(-np.log(np.arange(1, N_STEPS + 1))))
    assert one["gradient_norm_total_smoothed"].iloc[-1] == pytest.approx(reference, rel=1e-5)


def smoothed_slowly(values: np.ndarray) -> float:
    """The last value's average over its past, weights fading by 1 - 2 / (span + 1) a step."""
    weights = (1 - 2 / (charts.SMOOTHING_STEPS + 1)) ** np.arange(len(values))[::-1]
    return float((weights * values).sum() / weights.sum())


def check_gaps() -> None:
    last = chart("questions/rate").query("variant == 'zeta' and seed == 1 and kind == 'step'").iloc[-1]
    assert last["step"] == 40
    assert last[["training_loss", "training_loss_smoothed"]].isna().all()
    for path in paths.COMPARISON_CHARTS.rglob("*.csv"):
        assert not {"nan", "inf"} & set(path.read_text().lower().replace("\n", ",").split(","))


def test_each_run_has_its_symptoms_and_a_diverged_one_an_alarm(study: Path):
    compare.main()
    text = paths.SYMPTOMS.read_text()
    found = json.loads(text)
    assert list(found) == ["zeta", "baseline", "two/first", "two/second", "larger"]
    first = found["zeta"][0]
    assert (first["kind"], first["is_alarm"], first["confidence"]) == ("exploding", True, 1.0)
    assert first["remedies"][0]["settings"]["lr"] == 0.01
    assert "not finite from step " in first["evidence"]
    assert "exploding" not in [symptom["kind"] for symptom in found["baseline"]]
    long = [number for number in re.findall(r"\d+\.\d+", text) if len(number.replace(".", "").lstrip("0")) > 6]
    assert long == []


def test_compare_twice_writes_the_same_bytes(study: Path):
    outputs = (paths.COMPARISON.parent, paths.COMPARISON_CHARTS)
    compare.main()
    first = {path: path.read_bytes() for folder in outputs for path in folder.rglob("*.*")}
    for folder in outputs:
        shutil.rmtree(folder)
    compare.main()
    assert first == {path: path.read_bytes() for folder in outputs for path in folder.rglob("*.*")}


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("params/baseline.yaml", "dvc repro resolve"),
        ("metrics/train/baseline.json", "dvc repro train@baseline"),
        ("metrics/test/zeta.json", "dvc repro test@zeta"),
        ("metrics/probe/baseline.json", "dvc repro probe@baseline"),
        ("plots/test/zeta/predictions.csv", "dvc repro test@zeta"),
        ("plots/train/two/first-s1-steps.csv", "dvc repro train@two"),
        ("metrics/check/report.json", "dvc repro check"),
        ("plots/check/mlp-adam-learning_rate.csv", "dvc repro check"),
    ],
)
def test_missing_input_names_file_and_command(study: Path, missing: str, command: str):
    Path(missing).unlink()
    with pytest.raises(DataError, match=f"{missing}.*{command}"):
        compare.main()


@pytest.mark.parametrize(
    "content", ["{", "{}", "[]", "", "\0", '{"runs": 1}', '{"runs": {}}', '{"runs": {"zeta-s0": {"accuracy": "high"}}}']
)
def test_unusable_metrics_name_file_and_command(study: Path, content: str):
    paths.test_metrics("zeta").write_text(content)
    with pytest.raises(DataError, match=r"metrics/test/zeta.json.*dvc repro test@zeta"):
        compare.main()


@pytest.mark.parametrize("content", ["", "\0\0", "a,b\n1,2\n", "step,examples_seen\n1", '"', "step\n1,2,3\n4,5,6,7\n"])
@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("plots/train/two/first-s1-steps.csv", "dvc repro train@two --force"),
        ("plots/train/two/first-s1-epochs.csv", "dvc repro train@two --force"),
        ("plots/test/zeta/predictions.csv", "dvc repro test@zeta --force"),
    ],
)
def test_unusable_tables_name_file_and_command(study: Path, file: str, command: str, content: str):
    Path(file).write_text(content)
    with pytest.raises(DataError, match=f"{file}.*{command}"):
        compare.main()


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"rotation": 1}', '{"rotation": {"baseline-s0": {"numbers": {"x": "y"}}}}']
)
def test_unusable_findings_name_file_and_command(study: Path, content: str):
    paths.probe_metrics("baseline").write_text(content)
    with pytest.raises(DataError, match=r"metrics/probe/baseline.json.*dvc repro probe@baseline"):
        compare.main()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("zeta,zeta,0,3,b,", "zeta,zeta,0,elsewhere,b,"),  # another picture
        ("zeta,zeta,1,", "zeta,zeta,2,"),  # another seed
        (",wrong,", ",NA,"),  # other answers: a tenth of the wrong ones are right
        ("zeta,zeta,0,3,b,", "zeta,zeta,0,2,b,"),  # two answers to one picture
    ],
)
def test_answers_that_are_not_the_tables_are_refused(study: Path, old: str, new: str):
    path = paths.test_tables("zeta") / "predictions.csv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=r"plots/test/zeta/predictions.csv.*dvc repro --force test@zeta"):
        compare.main()


def test_one_picture_may_tie(study: Path):
    path = paths.test_tables("zeta") / "predictions.csv"
    path.write_text(path.read_text().replace(",wrong,", ",NA,", 10))  # one in ten is of that class
    compare.main()
