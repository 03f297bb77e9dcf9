"""DVCLive: a line an epoch, and live plots, below runs/dvclive/<run name>."""

from pathlib import Path

from dvclive import Live

from pawprint.types import RunSpec


class DvcLive:
    def __init__(self, folder: Path, spec: RunSpec) -> None:
        # No dvc.yaml and no experiment of its own: the graph is ours.
        self.live = Live(str(folder / spec.name), dvcyaml=None, save_dvc_exp=False, report=None)

    def log_step(self, values: dict[str, float], step: int) -> None:
        """Nothing: syncing costs milliseconds, and the steps stand in our CSV."""

    def log_epoch(self, values: dict[str, float], step: int) -> None:
        self.live.step = step
        for name, value in values.items():
            if name != "step":
                self.live.log_metric(name, value)
        self.live.sync()

    def finish(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.live.log_metric(name, value, plot=False)
        self.live.end()
