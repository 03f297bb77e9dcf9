"""export@<variant>: the variant's model as files that run without its code, held against the checkpoint."""

from pawprint import atomic, paths
from pawprint.data.prepared import load
from pawprint.deploy.export import NAMES, export
from pawprint.deploy.formats import Standardized
from pawprint.deploy.parity import raw_files
from pawprint.deploy.predictor import from_opened
from pawprint.stages.entry import run_stage
from pawprint.trained_model import find_model, open_model


def main(variant: str) -> None:
    """Write the files of the variant's first run and seed, as `pawprint predict` takes it, and how they came out."""
    opened = open_model(find_model(variant, "the variant"))
    model = Standardized(opened.network, opened.data.mean, opened.data.std)
    pictures = load(paths.PREPARED).test
    files = raw_files(pictures, paths.FETCHED)
    numbers = export(model, from_opened(opened), pictures, files, paths.exported(variant))
    atomic.write_json(paths.export_metrics(variant), numbers)
    for kind, name in NAMES.items():
        of_kind = numbers[kind]
        print(
            f"{name} ({opened.trained.spec.name}): {of_kind['megabytes']:.1f} MB, {numbers['n_pictures']} pictures of "
            f"test answered as by the checkpoint, within {of_kind['largest_difference']:.1g}"
        )


if __name__ == "__main__":
    run_stage(main)
