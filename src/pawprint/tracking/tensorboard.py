"""TensorBoard: event files below runs/tensorboard/<run name>."""

import shutil
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from pawprint.types import RunSpec


class TensorBoard:
    def __init__(self, folder: Path, spec: RunSpec) -> None:
        shutil.rmtree(folder / spec.name, ignore_errors=True)  # a resumed run is told again from its start
        self.writer = SummaryWriter(str(folder / spec.name))

    def log_step(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def log_epoch(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            if name.startswith("val_"):
                self.writer.add_scalar(name, value, step)

    def finish(self, values: dict[str, float], step: int) -> None:
        self.log_step(values, step)
        self.writer.close()
