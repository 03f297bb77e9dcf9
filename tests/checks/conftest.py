from dataclasses import dataclass, replace
from typing import Any

import pytest

from pawprint.checks import CheckSubject
from pawprint.data.batches import TrainBatches
from pawprint.models import build_model
from pawprint.seeding import seed_run
from pawprint.training.optimizers import build_optimizer
from pawprint.types import Data, RunSpec


@dataclass
class Workshop:
    """Makes healthy subjects, for a test to plant its fault in."""

    data: Data
    spec: RunSpec

    def subject(self, **settings: Any) -> CheckSubject:
        spec = replace(self.spec, **settings)
        seed_run(spec.seed, spec.threads)
        model = build_model(spec, self.data)
        return CheckSubject(
            spec, self.data, model, build_optimizer(spec, model), next(TrainBatches(self.data, spec).epoch(1))
        )


@pytest.fixture(params=["mlp", "resnet18"])
def workshop(request: pytest.FixtureRequest, data: Data, spec: RunSpec) -> Workshop:
    return Workshop(data, replace(spec, model=request.param))
