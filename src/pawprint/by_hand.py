"""`pawprint train`: the graph's own training, for a person or a sweep agent, outside the graph's outputs."""

from collections.abc import Iterator
from pathlib import Path

from pawprint import paths
from pawprint.data.prepared import load
from pawprint.errors import SettingsError
from pawprint.integrity import verify
from pawprint.params import nearest
from pawprint.training.identity import run_id
from pawprint.training.variant import train_variant
from pawprint.types import RunSpec, StudySettings

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
    verify(paths.PREPARED, paths.EXCLUDED, *([paths.PRETRAINED] if any(spec.pretrained for spec in chosen) else []))
    data = load(paths.PREPARED, paths.EXCLUDED)
    start = paths.pretrained_weights()
    root = out or paths.runs() / "train" / f"{variant}-{run_id(chosen[0], data, start)[:8]}"
    if any(root.resolve().is_relative_to(Path(name).resolve()) for name in DVC_OUTPUTS):
        raise SettingsError([f"--out {root}: that is among DVC's outputs, which only `dvc repro` writes"])
    outputs = paths.train_outputs(variant, root)
    for record in train_variant(chosen, data, outputs, study.trackers, study.save_every_seconds, start):
        yield f"{record.spec.name}: {record.reading}"
    yield f"weights, curves and metrics: {root}"
