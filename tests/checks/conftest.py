from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from torch import nn

from pawprint.checks import CheckSubject
from pawprint.data.batches import TrainBatches
from pawprint.models import build_model
from pawprint.objectives import build_objective
from pawprint.seeding import seed_run
from pawprint.training.optimizers import build_optimizer
from pawprint.types import Data, RunSpec


@dataclass
class Workshop:
    """Makes healthy subjects, for a test to plant its fault in."""

    data: Data
    spec: RunSpec

    def subject(self, alter: Callable[[nn.Module], nn.Module | None] | None = None, **settings: Any) -> CheckSubject:
        """A subject of these settings; `alter` changes each model that it makes, or replaces it by what it returns."""
        spec = replace(self.spec, **settings)

        def start(seed: int) -> nn.Module:
            seed_run(seed, spec.threads)
            model = build_model(spec, self.data)
            altered = alter(model) if alter else None
            return model if altered is None else altered

        return CheckSubject(
            name=spec.name,
            data=self.data,
            start=start,
            optimizer_for=lambda model: build_optimizer(spec, model),
            objective=build_objective(spec, self.data),
            batches=TrainBatches(self.data, spec).without_end,
            rates={spec.variant: spec.scaled_lr},
            seed=spec.seed,
        )


@pytest.fixture(params=["mlp", "resnet18"])
def workshop(request: pytest.FixtureRequest, data: Data, spec: RunSpec) -> Workshop:
    return Workshop(data, replace(spec, model=request.param))
