"""start: what each variant's trainings begin with: random weights, or the pretrained ones of `pretrain`.

`train@<variant>` depends on its own folder of these, so that another pretraining re-trains the pretrained variants
and leaves those from scratch as they are.
"""

import shutil

from pawprint import atomic, paths
from pawprint.errors import PawprintError
from pawprint.params import read_study, read_variant
from pawprint.stages.entry import run_stage


def main() -> None:
    """Write models/start/<variant> of every variant, or nothing."""
    study, _ = read_study(paths.PARAMS)
    runs = {variant: read_variant(variant) for variant in study.variants}
    with atomic.whole_folder(paths.STARTS) as unfinished:
        for variant, specs in runs.items():
            sources = {spec.key: spec.pretrained_on for spec in specs}
            atomic.write_json(unfinished / variant / "start.json", {"pretrained_on": sources})
            if any(spec.pretrained for spec in specs):
                weights = paths.pretrained_weights()
                if not weights.is_file():
                    raise PawprintError(f"{weights}: no such file; run: dvc repro pretrain")
                shutil.copyfile(weights, unfinished / variant / weights.name)
                print(f"{variant}: {paths.PRETRAINED}")


if __name__ == "__main__":
    run_stage(main)
