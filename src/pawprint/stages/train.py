"""train@<variant>: train the variant's runs, each with its seeds."""

from pawprint import paths
from pawprint.data.prepared import load
from pawprint.params import read_study, read_variant
from pawprint.stages.entry import run_stage
from pawprint.training.variant import train_variant


def main(variant: str) -> None:
    """Read params/<variant>.yaml and write the variant's weights, curves and metrics."""
    study, _ = read_study(paths.PARAMS)  # for what shapes no number: trackers, how often to save
    specs = read_variant(variant)
    data = load(paths.PREPARED, paths.EXCLUDED)
    records = train_variant(specs, data, paths.train_outputs(variant), study.conduct, paths.start(variant))
    for record in records:
        print(f"{record.spec.name}: {record.reading}")


if __name__ == "__main__":
    run_stage(main)
