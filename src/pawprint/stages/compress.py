"""compress@<variant>: smaller models of the variant's, each held against it on test."""

from typing import Any

from pawprint import atomic, paths
from pawprint.data.prepared import load
from pawprint.deploy.compress import Origin, compress
from pawprint.deploy.predictor import from_opened
from pawprint.params import compression, read_study, read_variant
from pawprint.seeding import seed_run
from pawprint.stages.entry import run_stage
from pawprint.trained_model import find_model, open_model


def main(variant: str) -> None:
    """Make them of the variant's first run and seed, as `export` takes it."""
    study, _ = read_study(paths.PARAMS)
    checkpoint = find_model(variant, "the variant")
    opened = open_model(checkpoint)
    spec = read_variant(variant)[0]
    seed_run(spec.seed, spec.threads)
    data = load(paths.PREPARED, paths.EXCLUDED)
    description = from_opened(opened).description
    origin = Origin(opened.network, description, data, compression(study, spec), study.conduct)
    numbers = compress(origin, checkpoint, paths.compressed(variant))
    atomic.write_json(paths.compress_metrics(variant), numbers)
    for name, of_model in numbers.items():
        print(reading(name, of_model))


def reading(name: str, of_model: dict[str, Any]) -> str:
    """One line for a person."""
    shares = ", ".join(f"{word} {of_model[f'accuracy_{key}']:.3f}" for key, word in CONDITIONS.items())
    lost = [word for key, word in CONDITIONS.items() if of_model.get(f"is_lost_{key}")]
    verdict = f"; less than {of_model['against']}, beyond chance: {', '.join(lost)}" if lost else ""
    return f"{name}: {of_model['megabytes']:.1f} MB, test accuracy {shares}{verdict}"


CONDITIONS = {"as_is": "as it is", "darker": "darker", "turned": "turned"}

if __name__ == "__main__":
    run_stage(main)
