"""Curves out of the CSV files that people have: each tool's export gives what the training had."""

from pathlib import Path

import pandas as pd
import pytest

from pawprint.diagnosis.assembly import together
from pawprint.diagnosis.exports import in_one_run, read, with_siblings
from pawprint.diagnosis.quantities import NAMES, quantity
from pawprint.errors import SettingsError
from pawprint.symptoms import Curves

LOSSES = [2.3, 2.0, 1.5, 1.2, 1.0, 0.9]  # of six steps, three to an epoch
VAL = [(0, 0, 2.3, 0.1), (1, 3, 1.6, 0.5), (2, 6, 1.1, 0.6)]  # epoch, step, val_loss, val_accuracy


def curves(*files: Path, said: dict[str, str] | None = None) -> dict[str, Curves]:
    """Run → its curves."""
    contents = [read(one, said or {}) for file in files for one in with_siblings(file)]
    series = in_one_run([one for content in contents for one in content.series])
    layers = pd.concat([content.layers for content in contents])
    return {
        str(run): together([one for one in series if one.run == run], layers[layers["run"] == run])
        for run in dict.fromkeys(one.run for one in series)
    }


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text.strip() + "\n")
    return file


def as_it_was(found: Curves, untrained: bool = True) -> None:
    assert found.steps["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found.steps["training_loss"].tolist() == LOSSES
    wanted = VAL if untrained else VAL[1:]
    assert found.epochs["epoch"].tolist() == [epoch for epoch, *_ in wanted]
    assert found.epochs["val_loss"].tolist() == [loss for *_, loss, _ in wanted]
    if "val_accuracy" in found.epochs:
        assert found.epochs["val_accuracy"].tolist() == [accuracy for *_, accuracy in wanted]


def ours(folder: Path, seed: int = 0) -> Path:
    rows = [f"{n},{(n + 2) // 3},{8 * n},{loss},0.1,1.0,{n}" for n, loss in enumerate(LOSSES, 1)]
    head = "step,epoch,examples_seen,training_loss,learning_rate,gradient_norm_mean,gradient_norm_total"
    epochs = [
        f"{epoch},{step},{8 * step},{'' if not epoch else 1.9},{loss},{accuracy}" for epoch, step, loss, accuracy in VAL
    ]
    write(
        folder,
        f"lr_1e-1-s{seed}-epochs.csv",
        "\n".join(["epoch,step,examples_seen,training_loss,val_loss,val_accuracy", *epochs]),
    )
    write(
        folder,
        f"lr_1e-1-s{seed}-diagnostics.csv",
        "step,examples_seen,quantity,value\n1,8,gradient_of_layer_0,0.5\n1,8,weight_norm,7\n2,16,gradient_of_layer_0,0.25",
    )
    return write(folder, f"lr_1e-1-s{seed}-steps.csv", "\n".join([head, *rows]))


def test_our_own_steps_bring_their_siblings(tmp_path: Path) -> None:
    (found,) = curves(ours(tmp_path)).values()
    as_it_was(found)
    assert found.steps["gradient_norm_total"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found.steps["epoch"].tolist() == [1, 1, 1, 2, 2, 2]
    assert found.layers["quantity"].tolist() == ["gradient_of_layer_0"] * 2


def test_our_own_steps_alone_and_two_seeds_together(tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    file = ours(tmp_path).rename(alone / "lr_1e-1-s0-steps.csv")
    assert curves(file)["lr_1e-1"].epochs.empty
    both = curves(file, ours(tmp_path, seed=1))["lr_1e-1"]
    assert both.steps.groupby("seed")["training_loss"].agg(list).to_dict() == {0: LOSSES, 1: LOSSES}


def test_an_empty_loss_of_our_own_is_one_that_was_no_number(tmp_path: Path) -> None:
    file = ours(tmp_path)
    file.write_text(file.read_text() + "7,3,56,,0.1,inf,inf\n")
    assert curves(file)["lr_1e-1"].steps["training_loss"].isna().tolist() == [False] * 6 + [True]


def test_a_chart_of_wandb_has_a_run_a_column(tmp_path: Path) -> None:
    def row(step: int, loss: float | str) -> str:
        return ",".join(f'"{value}"' for value in (step, loss, loss, loss, 5, 5, 5))

    head = ",".join(f'"{name}"' for name in (
        "Step", *(f"{run} - training_loss{end}" for run in ("base-s0", "other") for end in ("", "__MIN", "__MAX"))
    ))  # fmt: skip
    losses = write(
        tmp_path, "wandb_export_1.csv", "\n".join([head, *(row(n, loss) for n, loss in enumerate(LOSSES, 1))])
    )
    vals = write(tmp_path, "wandb_export_2.csv", "\n".join(
        ['"Step","base-s0 - val_loss","base-s0 - val_loss__MIN","base-s0 - val_loss__MAX"',
         *(f'"{step}","{loss}","{loss}","{loss}"' for _, step, loss, _ in VAL)]))  # fmt: skip
    found = curves(losses, vals)
    assert list(found) == ["base", "other"]
    as_it_was(found["base"])
    assert found["other"].steps["training_loss"].tolist() == [5] * 6


def test_a_chart_of_wandb_over_epochs_has_each_runs_own_steps(tmp_path: Path) -> None:
    file = write(tmp_path, "export.csv", '"epoch","a - _step","a - _step__MIN","a - val/loss","a - train/loss"\n'
                                         '"1","3","3","1.6","2.0"\n"2","6","6","1.1","1.5"')  # fmt: skip
    found = curves(file)["a"]
    assert found.epochs[["epoch", "step", "val_loss", "training_loss"]].values.tolist() == [
        [1, 3, 1.6, 2],
        [2, 6, 1.1, 1.5],
    ]


def test_a_history_of_wandb_has_most_cells_empty(tmp_path: Path) -> None:
    rows = ["_step,_runtime,_timestamp,training_loss,learning_rate,epoch,val_loss,val_accuracy",
            "0,1,99,,,0,2.3,0.1"]  # fmt: skip
    for n, loss in enumerate(LOSSES, 1):
        val = next((f"{loss},{accuracy}" for _, step, loss, accuracy in VAL if step == n), ",")
        rows.append(f"{n},{n},99,{loss},{0.1 if n % 2 else ''},{(n + 2) // 3},{val}")
    (found,) = curves(write(tmp_path, "history.csv", "\n".join(rows))).values()
    as_it_was(found)
    assert found.steps["learning_rate"].tolist() == [0.1] * 6


@pytest.mark.parametrize("nan", ["NaN", "Infinity", "nan"])
def test_a_loss_that_was_no_number_stays_one(tmp_path: Path, nan: str) -> None:
    (found,) = curves(write(tmp_path, "history.csv", f"_step,train/loss\n0,2.3\n1,9.1\n2,{nan}")).values()
    assert found.steps["step"].tolist() == [1, 2, 3]
    assert not pd.Series(found.steps["training_loss"].iloc[-1]).between(-1e9, 1e9).item()


def test_scalars_of_tensorboard_are_told_apart_by_their_files_names(tmp_path: Path) -> None:
    def scalar(tag: str, points: list[tuple[int, float]]) -> Path:
        rows = ["Wall time,Step,Value", *(f"1.5,{step},{value}" for step, value in points)]
        return write(tmp_path, f"run-base-tag-{tag}.csv", "\n".join(rows))

    losses = scalar("train_loss", list(enumerate(LOSSES)))
    vals = scalar("val_loss", [(step, loss) for _, step, loss, _ in VAL])
    as_it_was(curves(losses, vals)["base"])


def test_keras_folders_of_tensorboard_are_one_run(tmp_path: Path) -> None:
    files = [write(tmp_path, f"run-mine_{part}-tag-epoch_{tag}.csv",
                   f"Wall time,Step,Value\n1.5,0,{first}\n1.6,1,{last}")
             for part, tag, first, last in (("train", "loss", 2.0, 1.5), ("validation", "loss", 1.6, 1.1),
                                            ("validation", "accuracy", 0.5, 0.6))]  # fmt: skip
    found = curves(*files)["mine"]
    assert found.epochs[["epoch", "training_loss", "val_loss", "val_accuracy"]].values.tolist() == [
        [1, 2.0, 1.6, 0.5], [2, 1.5, 1.1, 0.6]]  # fmt: skip
    assert found.steps["training_loss"].tolist() == [2.0, 1.5]


def test_a_scalar_whose_name_says_nothing_is_said(tmp_path: Path) -> None:
    file = write(tmp_path, "csv.csv", "Wall time,Step,Value\n1.5,1,2.3\n1.6,2,2.0")
    with pytest.raises(SettingsError, match=r"csv\.csv: .*run-<run>-tag-<quantity>\.csv.*--as csv\.csv=val_loss"):
        curves(file)
    (found,) = curves(file, said={"csv.csv": "training_loss"}).values()
    assert found.steps["training_loss"].tolist() == [2.3, 2.0]


def test_keras_logger_counts_epochs_from_0_and_ours_begins_untrained(tmp_path: Path) -> None:
    text = "epoch,accuracy,loss,lr,val_accuracy,val_loss\n0,0.4,2.0,0.1,0.5,1.6\n1,0.5,1.5,0.1,0.6,1.1"
    (found,) = curves(write(tmp_path, "log.csv", text)).values()
    assert found.epochs["epoch"].tolist() == [1, 2]
    assert found.epochs["train_accuracy"].tolist() == [0.4, 0.5]
    assert found.steps["training_loss"].tolist() == [2.0, 1.5]


def test_timms_summary_has_accuracies_in_percent(tmp_path: Path) -> None:
    text = "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,2.0,1.6,50.0,70,0.1\n1,1.5,1.1,60.0,80,0.1"
    (found,) = curves(write(tmp_path, "summary.csv", text)).values()
    assert found.epochs["val_accuracy"].tolist() == [0.5, 0.6]
    assert found.epochs["val_loss"].tolist() == [1.6, 1.1]


def test_lightnings_metrics_have_steps_and_epochs(tmp_path: Path) -> None:
    rows = ["epoch,step,train_loss_step,train_loss_epoch,val_loss,val_acc", *(
        f"{n // 3},{n},{loss},,," for n, loss in enumerate(LOSSES)),
        "0,2,,,1.6,0.5", "0,2,,1.93,,", "1,5,,,1.1,0.6", "1,5,,1.03,,"]  # fmt: skip
    (found,) = curves(write(tmp_path, "metrics.csv", "\n".join(rows))).values()
    as_it_was(found, untrained=False)
    assert found.steps["epoch"].tolist() == [1, 1, 1, 2, 2, 2]
    assert found.epochs["training_loss"].tolist() == [1.93, 1.03]


def test_trainers_log_of_hugging_face_has_shares_of_epochs(tmp_path: Path) -> None:
    rows = ["train/global_step,train/epoch,train/loss,train/grad_norm,eval/loss,eval/accuracy", *(
        f"{10 * n},{n / 3:.3f},{loss},{n},," for n, loss in enumerate(LOSSES, 1)),
        "30,1.0,,,1.6,0.5", "60,2.0,,,1.1,0.6"]  # fmt: skip
    (found,) = curves(write(tmp_path, "hf.csv", "\n".join(rows))).values()
    assert found.steps[["step", "training_loss"]].values.tolist() == [
        [10 * n, loss] for n, loss in enumerate(LOSSES, 1)
    ]
    assert found.steps["gradient_norm_total"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found.epochs[["epoch", "val_loss"]].values.tolist() == [[1, 1.6], [2, 1.1]]


def test_a_table_of_losses_alone_has_a_row_an_epoch(tmp_path: Path) -> None:
    (found,) = curves(write(tmp_path, "h.csv", ",loss,val_loss\n0,2.0,1.6\n1,1.5,1.1")).values()
    assert found.epochs[["epoch", "training_loss", "val_loss"]].values.tolist() == [[1, 2.0, 1.6], [2, 1.5, 1.1]]


@pytest.mark.parametrize(("text", "said"), [
    ("time,speed\n1,2", r"no curve that is known among its columns 'time', 'speed'; expected one of a training loss "
                        r".*--as 'time=training_loss'"),
    ("", r"expected a CSV of curves, found none"),
    ("step,loss", r"expected rows of numbers, found none below 'step', 'loss'"),
    ("step,loss\n1,2.0\n2,high", r"column loss, row 3: expected a number, found 'high'"),
], ids=["unknown", "empty", "no rows", "no number"])  # fmt: skip
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=rf"bad\.csv: {said}"):
        curves(write(tmp_path, "bad.csv", text))


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    file = tmp_path / "picture.csv"
    file.write_bytes(b"\x89PNG\x00\xff\xfe\x00")
    for one in (file, tmp_path / "gone.csv", tmp_path):
        with pytest.raises(SettingsError, match=one.name):
            read(one, {})


def test_no_name_means_two_quantities() -> None:
    names = [name for own in NAMES.values() for name in own]
    twice = {name for name in names if names.count(name) > 1}
    assert not {name for name in twice if len({q for q, own in NAMES.items() if name in own}) > 1}
    assert quantity("test_loss") is None
    assert quantity("Train/Loss") == "training_loss"
