"""What smaller models cost and bring: the numbers of the stage `compress`, and how fast each is beside the checkpoint.

    make compression                  in the root: of the variants that `compressed` lists; writes docs/compression.md
    make compression STUDY=FOLDER     of another study's; writes nothing

Each is asked in turn with the checkpoint in eager torch, one thread each: a picture by itself (latency), and 32 at once
(throughput). Pictures are decoded already: what a file takes to decode is the same for all.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ratio import Range, in_turn, timed
from pawprint import atomic, paths
from pawprint.data.batches import unit_range
from pawprint.data.prepared import load
from pawprint.deploy.compress import AS_IS, CHECKPOINT, DARKER, TORCHSCRIPT, TURNED
from pawprint.deploy.formats import read_torchscript
from pawprint.deploy.predictor import ONNX, answers_of, from_checkpoint, from_onnx
from pawprint.errors import PawprintError
from pawprint.integrity import verify
from pawprint.params import read_study
from pawprint.readme import between_marks
from pawprint.test_time_augmentation import Answer
from pawprint.trained_model import find_model

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs/compression.md"
BEGIN = "<!-- from here: make compression -->\n"
ALONE, TOGETHER = 1, 32  # pictures at once
CALLS = {ALONE: 20, TOGETHER: 2}  # in a round
ROUNDS = 15
LOST = " ▼"


@dataclass(frozen=True)
class Speed:
    """Of a model, beside the checkpoint's in the same rounds."""

    seconds: Range  # of a call
    ratio: Range  # the checkpoint's seconds by its own: above 1, it is the faster


def main() -> None:
    """Print the table of each variant that is listed; in the root, write it into the document as well."""
    from benchmarks.__main__ import about, busy_cores

    before = about(busy_cores())
    study, _ = read_study(paths.PARAMS)
    if not study.compressed:
        raise PawprintError(f"{paths.PARAMS}: compressed: []: expected the variants to make smaller models of")
    tables = [table(variant) for variant in study.compressed]
    text = "\n".join([*tables, f"{before}.\n"])
    print(text)
    if Path.cwd() == ROOT:
        document = DOCUMENT.read_text(encoding="utf-8")
        atomic.write_text(DOCUMENT, between_marks(document, text, DOCUMENT, BEGIN))


def table(variant: str) -> str:
    """Of one variant, as Markdown; PawprintError where its models are not here."""
    file = paths.compress_metrics(variant)
    if not file.is_file() or not paths.compressed(variant).is_dir():
        raise PawprintError(f"{file}: no such file, or its models are not here; run: dvc repro compress@{variant}")
    numbers = json.loads(file.read_text(encoding="utf-8"))
    alone, together = (speeds(variant, numbers, n) for n in (ALONE, TOGETHER))
    rows = [_row(name, of, alone[name], together[name]) for name, of in numbers.items()]
    n_test = len(load(paths.PREPARED).test)
    return "\n".join(
        [
            f"`{variant}`, {n_test} pictures of test, {'x'.join(map(str, load(paths.PREPARED).image_shape[1:]))} px:",
            "",
            "| model | MB | zipped | parameters | zeros | test accuracy, % (95 %) | darker | turned |"
            " one picture, ms | times as fast | 32: pictures/s | times as fast |",
            "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
            *rows,
            "",
            *_remarks(numbers),
            "",
        ]
    )


def speeds(variant: str, numbers: dict[str, Any], n_pictures: int) -> dict[str, Speed]:
    """Of each model by name, all in turn."""
    pictures = unit_range(load(paths.PREPARED).test.images[:n_pictures])
    asked = {name: partial(_ask, answer_of(variant, name), pictures, CALLS[n_pictures]) for name in numbers}
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = in_turn({name: timed(ask) for name, ask in asked.items()}, ROUNDS, warm_up=2)
    finally:
        torch.set_num_threads(n_threads)
    calls, own = CALLS[n_pictures], np.array(seconds[CHECKPOINT])
    return {
        name: Speed(Range.of([one / calls for one in took]), Range.of(list(own / np.array(took))))
        for name, took in seconds.items()
    }


def answer_of(variant: str, name: str) -> Answer:
    """How the checkpoint, or one of the smaller models, is asked."""
    if name == CHECKPOINT:
        return from_checkpoint(find_model(variant)).answer
    file = paths.compressed(variant) / f"{name}{ONNX}"
    if file.is_file():
        return from_onnx(file).answer
    script = paths.compressed(variant) / f"{name}{TORCHSCRIPT}"
    verify(script)  # what it holds could run
    return answers_of(read_torchscript(script))


def _ask(answer: Answer, pictures: torch.Tensor, calls: int) -> None:
    batches: Iterable[torch.Tensor] = [pictures]
    for _ in range(calls):
        answer(batches)


def _row(name: str, of: dict[str, Any], alone: Speed, together: Speed) -> str:
    zeros = f"{100 * of['zero_share']:.0f} %" if of.get("zero_share") else "–"
    zipped = f"{of['megabytes_zipped']:.1f}" if "megabytes_zipped" in of else "–"
    interval = f"({100 * of['accuracy_low']:.1f} to {100 * of['accuracy_high']:.1f})"
    accuracies = [
        f"{100 * of[f'accuracy_{c}']:.1f}{LOST * of.get(f'is_lost_{c}', False)}" for c in (AS_IS, DARKER, TURNED)
    ]
    accuracies[0] = accuracies[0].replace(LOST, "") + f" {interval}{LOST * of.get(f'is_lost_{AS_IS}', False)}"
    speed = [
        f"{1000 * alone.seconds.median:.2f}", _times(alone.ratio),
        f"{TOGETHER / together.seconds.median:.0f}", _times(together.ratio),
    ]  # fmt: skip
    cells = [name, f"{of['megabytes']:.1f}", zipped, f"{of['n_parameters']:,}", zeros, *accuracies, *speed]
    return f"| {' | '.join(cells)} |"


def _times(ratio: Range) -> str:
    return f"{ratio.median:.1f} ({ratio.low:.1f} to {ratio.high:.1f})"


def _remarks(numbers: dict[str, Any]) -> list[str]:
    """What the table has no column for."""
    int8 = numbers["int8"]
    left = ", ".join(int8["left_in_float32"]) or "none"
    before = ", ".join(
        f"{name} {100 * of['accuracy_before_training_on']:.1f}"
        for name, of in numbers.items()
        if "accuracy_before_training_on" in of
    )
    return [
        f"{LOST.strip()}: fewer test pictures recognized, beyond chance, than by the model it is held against"
        " (pruned ones: `trained_on`; all others: `checkpoint`).",
        f"int8: layers left in float32: {left}; val accuracy changed by {-int8['val_points_lost']:+.1f} points.",
        f"Test accuracy before they were trained on, %: {before}.",
    ]


if __name__ == "__main__":
    main()
