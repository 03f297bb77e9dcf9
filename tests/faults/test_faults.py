"""Each planted fault is caught by the test that should, for its reason; healthy works pass every test.

What else a fault brings about, of all networks and seeds, is in docs/model-tests.md (`make faults`).
"""

import pytest

from tests.faults.planted import FAULTS, Fault
from tests.faults.works import MODELS, SEEDS, Works


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Works:
    return Works(tmp_path_factory.mktemp("works"))


@pytest.mark.parametrize(
    "model", ["mlp", *(pytest.param(name, marks=pytest.mark.long) for name in MODELS if name != "mlp")]
)
def test_a_healthy_work_passes_every_test(works: Works, model: str) -> None:
    outcome = works.audit_healthy(model)
    assert not outcome.failed | outcome.stopped, [outcome.readings[n] for n in outcome.failed | outcome.stopped]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught_for_its_reason(works: Works, fault: Fault) -> None:
    outcome = works.audit_with(fault, only=[fault.caught_by])
    assert fault.caught_by in outcome.failed
    assert fault.reason in outcome.readings[fault.caught_by]


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_other_test_fails_but_by_consequence(works: Works, fault: Fault) -> None:
    outcome = works.audit_with(fault)
    assert outcome.failed | outcome.stopped <= {fault.caught_by, *fault.also}


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("model", MODELS)
def test_healthy_works_of_every_seed_pass(works: Works, model: str, seed: int) -> None:
    outcome = works.audit_healthy(model, seed)
    assert not outcome.failed | outcome.stopped, [outcome.readings[n] for n in outcome.failed | outcome.stopped]
