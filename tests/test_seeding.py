import numpy as np
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
