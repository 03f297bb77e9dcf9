"""Stage compare on a small study written by hand: files, order, thinning, gaps, missing inputs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pawprint import paths
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
  question: {runs: {first: {momentum: 0.3, optimizer: sgd}, second: {}}}
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
        "examples_seen": steps * 32,
        "training_loss": loss,
        "learning_rate": spec.lr,
        "gradient_norm_mean": 0.1 / steps,
        "gradient_norm_total": 1.0 / steps,
    }
    pd.DataFrame(columns).to_csv(folder / f"{spec.key}-steps.csv", index=False)
    epochs = {"epoch": [0, 1], "step": [0, len(steps)], "examples_seen": [0, 32 * len(steps)],
              "training_loss": [np.nan, 1.0], "val_loss": [2.3, np.inf if is_diverged(spec) else 1.1],
              "val_accuracy": [0.1, 0.6]}  # fmt: skip
    pd.DataFrame(epochs).to_csv(folder / f"{spec.key}-epochs.csv", index=False)


def write_metrics(variant: str, specs: list[RunSpec]) -> None:
    trained, tested = {}, {}
    for spec in specs:
        accuracy = (0.1 if variant == "zeta" else 0.8) + 0.01 * spec.seed
        outcome = "diverged" if is_diverged(spec) else "finished"
        trained[spec.key] = {"outcome": outcome, "val_accuracy": accuracy, "val_loss": 1.1}
        tested[spec.key] = {
            "accuracy": accuracy,
            "accuracy_low": accuracy - 0.05,
            "accuracy_high": accuracy + 0.05,
            "loss": None if is_diverged(spec) else 1.2,
            "n_test": N_TEST,
        }
    contents = {paths.train_outputs(variant).metrics: trained, paths.test_metrics(variant): {"runs": tested}}
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


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
        for spec in own:
            write_curves(spec)
    return tmp_path


def chart(name: str) -> pd.DataFrame:
    return pd.read_csv(paths.COMPARISON_CHARTS / f"{name}.csv")


def test_compare_writes_table_and_charts(study: Path, capsys: pytest.CaptureFixture[str]):
    compare.main()
    table = json.loads(paths.COMPARISON.read_text())
    assert list(table) == ["zeta", "baseline", "question"]  # as in params.yaml
    assert list(table["question"]) == ["first", "second"]
    assert table["zeta"]["zeta"]["verdict"] == "worse"
    assert (table["zeta"]["zeta"]["n_diverged"], table["zeta"]["zeta"]["test_loss"]) == (1, None)
    assert table["question"]["second"]["same_settings_as"] == ["baseline"]
    assert "within noise" in capsys.readouterr().out
    for name in ("learning_rate", "training_loss", "gradient_norm", "validation", "test_accuracy"):
        assert list(chart(name).columns[:3]) == ["variant", "run", "seed"]
        assert (paths.COMPARISON_CHARTS / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    check_step_charts()
    check_gaps()


def check_step_charts() -> None:
    losses = chart("training_loss")
    one = losses[(losses["variant"] == "baseline") & (losses["seed"] == 0)]
    assert len(one) == compare.MAX_POINTS
    assert (one["step"].iloc[0], one["step"].iloc[-1]) == (1, N_STEPS)
    assert one["examples_seen"].iloc[-1] == 32 * N_STEPS
    assert one["training_loss"].iloc[0] == one["training_loss_smoothed"].iloc[0] == 2.0
    reference = smoothed_slowly(2.0 / np.arange(1, N_STEPS + 1))
    assert one["training_loss_smoothed"].iloc[-1] == pytest.approx(reference, rel=1e-5)


def smoothed_slowly(values: np.ndarray) -> float:
    """The last value's average over its past, weights fading by 1 - 2 / (span + 1) a step."""
    weights = (1 - 2 / (compare.SMOOTHING_STEPS + 1)) ** np.arange(len(values))[::-1]
    return float((weights * values).sum() / weights.sum())


def check_gaps() -> None:
    lines = (paths.COMPARISON_CHARTS / "training_loss.csv").read_text().splitlines()
    last = next(line for line in lines if line.startswith("zeta,zeta,1,40,"))
    assert last == "zeta,zeta,1,40,1280,,"
    for path in paths.COMPARISON_CHARTS.glob("*.csv"):
        assert not {"nan", "inf"} & set(path.read_text().lower().replace("\n", ",").split(","))


def test_compare_twice_writes_the_same_bytes(study: Path):
    outputs = (paths.COMPARISON.parent, paths.COMPARISON_CHARTS)
    compare.main()
    first = {path: path.read_bytes() for folder in outputs for path in folder.iterdir()}
    for folder in outputs:
        shutil.rmtree(folder)
    compare.main()
    assert first == {path: path.read_bytes() for folder in outputs for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("params/baseline.yaml", "dvc repro resolve"),
        ("metrics/train/baseline.json", "dvc repro train@baseline"),
        ("metrics/test/zeta.json", "dvc repro test@zeta"),
        ("plots/train/question/first-s1-steps.csv", "dvc repro train@question"),
    ],
)
def test_missing_input_names_file_and_command(study: Path, missing: str, command: str):
    Path(missing).unlink()
    with pytest.raises(DataError, match=f"{missing}.*{command}"):
        compare.main()


@pytest.mark.parametrize("content", ["{", "{}"])
def test_unusable_metrics_name_file_and_command(study: Path, content: str):
    paths.test_metrics("zeta").write_text(content)
    with pytest.raises(DataError, match=r"metrics/test/zeta.json.*dvc repro"):
        compare.main()
