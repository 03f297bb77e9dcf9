"""pretrain: the weights that `pretrained: true` starts from, by `pretrained_source`.

drawn_animals, folder: a training of its own on other pictures, described by the section `pretrain`; imagenet: what
torchvision offers, downloaded; none: nothing. Heavy imports wait until the source needs them: many studies have none.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pawprint import atomic, paths
from pawprint.data.sources import SOURCES
from pawprint.params import pretraining, read_study
from pawprint.stages.entry import run_stage
from pawprint.types import StudySettings


def main() -> None:
    """Write models/pretrain and its metrics."""
    study, _ = read_study(paths.PARAMS)
    source = {"source": study.pretrained_source}
    metrics = PRETRAININGS[study.pretrained_source](study)
    atomic.write_json(paths.PRETRAINED / "source.json", source)  # also where there is nothing else to write
    atomic.write_json(paths.PRETRAIN_METRICS, source | metrics)


def _none(study: StudySettings) -> dict[str, Any]:
    return {}


def _imagenet(study: StudySettings) -> dict[str, Any]:
    from pawprint.models.resnet import imagenet_weights
    from pawprint.training.checkpoint import save_weights

    save_weights(paths.pretrained_weights(), imagenet_weights())
    print(f"ImageNet's weights, from torchvision: {paths.pretrained_weights()}")
    return {}


def _source_task(study: StudySettings) -> dict[str, Any]:
    """Fetch and prepare the source task's pictures out of DVC's sight, train on them, and keep the weights."""
    from pawprint.data.faults import how_to_go_on, read_faults
    from pawprint.data.packed import pack
    from pawprint.data.prepared import load
    from pawprint.training.identity import identity
    from pawprint.training.resumable import Resumable
    from pawprint.training.variant import summary, train_run, write_training

    settings, spec = pretraining(study)
    paths.pretraining_data().mkdir(parents=True, exist_ok=True)
    # A folder of its own: experiments that are queued may pretrain side by side.
    with tempfile.TemporaryDirectory(dir=paths.pretraining_data()) as name:
        folder = Path(name)
        with atomic.whole_folder(folder / "fetch") as unfinished:
            SOURCES[settings.source](settings, unfinished)
        pack(folder / "fetch", folder / "prepare", settings, how_to_go_on("`dvc repro`", "pretrain.data.on_bad"))
        data = load(folder / "prepare")
        state = Resumable(spec, identity(spec, data))
        with state.wanted(), state.held():
            training, record = train_run(spec, data, study.conduct, state)
            write_training(training, record, paths.PRETRAINED, paths.PRETRAINED)
            state.forget()
        paths.PRETRAINED.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "prepare/dropped.csv", paths.PRETRAINED / "dropped.csv")
    n_dropped = len(read_faults(paths.PRETRAINED / "dropped.csv"))
    dropped = f" ({n_dropped} left out: {paths.PRETRAINED / 'dropped.csv'})" if n_dropped else ""
    counts = {"n_classes": len(data.class_names), "n_train": len(data.train), "n_dropped": n_dropped}
    found = f"{counts['n_train']} pictures of {counts['n_classes']} classes{dropped}"
    print(f"{settings.source}: {found}; {record.reading}")
    return {**counts, **summary(record)}


PRETRAININGS: dict[str, Callable[[StudySettings], dict[str, Any]]] = {
    "none": _none,
    "imagenet": _imagenet,
    "drawn_animals": _source_task,
    "folder": _source_task,
}


if __name__ == "__main__":
    run_stage(main)
