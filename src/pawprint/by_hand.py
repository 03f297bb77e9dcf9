"""`pawprint train`: the graph's own training, for a person or a sweep agent, outside the graph's outputs."""

from collections.abc import Iterator
from pathlib import Path

from pawprint import paths
from pawprint.atomic import why_unwritable
from pawprint.data.prepared import load
from pawprint.errors import SettingsError
from pawprint.integrity import verify
from pawprint.params import cut, nearest
from pawprint.training.identity import identity, run_id
from pawprint.training.variant import train_variant
from pawprint.types import RunSpec, StudySettings, TrainOutputs

DVC_OUTPUTS = ("data", "models", "metrics", "plots", "params")


def train_by_hand(
    study: StudySettings, specs: list[RunSpec], variant: str, seed: int | None, out: Path | None
) -> Iterator[str]:
    """Train `variant` (with one seed, if given) and yield a line a run, then where the results are."""
    chosen = [spec for spec in specs if spec.variant == variant and seed in (None, spec.seed)]
    if variant not in study.variants:
        raise SettingsError([f"--variant {variant}: no such variant; {nearest(variant, list(study.variants))}"])
    if not chosen:
        seeds = sorted({spec.seed for spec in specs if spec.variant == variant})
        raise SettingsError([f"--seed {seed}: {variant} has the seeds {seeds}"])
    if out is not None:
        _refuse_unusable(out, paths.train_outputs(variant, out))
    verify(paths.PREPARED, paths.EXCLUDED, *([paths.PRETRAINED] if any(spec.pretrained for spec in chosen) else []))
    data = load(paths.PREPARED, paths.EXCLUDED)
    start = paths.pretrained_weights()
    root = out or paths.runs() / "train" / f"{variant}-{run_id(identity(chosen[0], data, start))[:8]}"
    outputs = paths.train_outputs(variant, root)
    for record in train_variant(chosen, data, outputs, study.conduct, start):
        yield f"{record.spec.name}: {record.reading}"
    yield f"weights, curves and metrics: {root}"


def _refuse_unusable(root: Path, outputs: TrainOutputs) -> None:
    """Raise before the training where its results could not be written after it."""
    theirs = [Path(name).resolve() for name in DVC_OUTPUTS]
    if any(place.resolve().is_relative_to(one) for place in (outputs.models, outputs.curves) for one in theirs):
        raise SettingsError([f"--out {root}: that is among DVC's outputs, which only `dvc repro` writes"])
    if reason := why_unwritable(root):
        raise SettingsError([f"--out {cut(str(root))}: expected a folder that can be written to: {reason}"])
