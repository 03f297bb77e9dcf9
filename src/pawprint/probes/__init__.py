"""Model tests after training: `probes/<name>.py` exposes `Settings` and `run(subject, settings) -> Finding`."""

from dataclasses import dataclass

from torch import nn

from pawprint.types import Data, RunSpec


@dataclass(frozen=True)
class ProbeSubject:
    """A trained model and the data it was trained on; probes measure, they change nothing."""

    spec: RunSpec
    data: Data
    model: nn.Module
