import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from pawprint.seeding import generator, preserve_rng


def test_a_generator_is_a_function_of_purpose_and_key() -> None:
    first = generator("order", 0, 1).random(5)
    assert np.array_equal(first, generator("order", 0, 1).random(5))
    for other in (generator("augment", 0, 1), generator("order", 1, 1), generator("order", 0, 2)):
        assert not np.array_equal(first, other.random(5))


def test_measuring_leaves_the_random_state_as_it_was() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    with preserve_rng():
        torch.rand(10)
        np.random.rand(10)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # type: ignore[arg-type]


def test_new_memory_is_not_filled_beside_deterministic_algorithms() -> None:
    filled = "import torch; print(bool(torch.empty(1_000_000).isnan().all()))"
    plainly = f"import torch; torch.use_deterministic_algorithms(True); {filled}"
    seeded = f"from pawprint.seeding import seed_run; seed_run(0, 1); {filled}"

    def told(program: str) -> str:
        return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout

    assert told(plainly) == "True\n"  # what there is to be spared
    assert told(seeded) == "False\n"


SUM = "import numpy as np; a = np.random.default_rng(0).random((300, 300)); print((a @ a).tobytes().hex()[:4000])"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="OpenBLAS is told its code on x86 alone")
def test_linear_algebra_is_the_same_on_every_processor() -> None:
    def computed(processor: str, code: str) -> str:
        environment = os.environ | {"OPENBLAS_CORETYPE": processor, "OPENBLAS_NUM_THREADS": "2"}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout

    assert computed("Haswell", SUM) != computed("Nehalem", SUM)  # what there is to be held
    assert computed("Haswell", f"import pawprint; {SUM}") == computed("Nehalem", f"import pawprint; {SUM}")
