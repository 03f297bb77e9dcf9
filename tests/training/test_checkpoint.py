from pathlib import Path

import pytest
import torch

from pawprint.errors import PawprintError
from pawprint.training.checkpoint import load_weights, read_state, save_state, save_weights


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    tree = {
        "a": torch.arange(6).reshape(2, 3),
        "b": {0: [1, 2.5, None, "x", True], "t": (torch.tensor(1.5), {"empty": []})},
        "rng": torch.get_rng_state(),
    }
    save_state(tmp_path / "s", tree)
    back = read_state(tmp_path / "s")
    assert torch.equal(back["a"], tree["a"])
    assert torch.equal(back["rng"], tree["rng"])
    assert back["b"][0] == [1, 2.5, None, "x", True]
    assert isinstance(back["b"]["t"], tuple)
    assert back["b"]["t"][0].item() == 1.5
    assert back["b"]["t"][1] == {"empty": []}


def test_same_values_same_bytes(tmp_path: Path) -> None:
    weights = {"w": torch.randn(3, 4), "b": torch.randn(2)}
    save_weights(tmp_path / "one", weights)
    save_weights(tmp_path / "another_name", {k: weights[k] for k in reversed(weights)})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "another_name").read_bytes()


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_cut_state_is_no_state(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "s"
    save_state(path, {"a": torch.randn(100)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(PawprintError, match="not a whole"):
        read_state(path)


def test_weights_that_do_not_fit_are_told_apart(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    with pytest.raises(PawprintError, match="no such file"):
        load_weights(tmp_path / "none", model)
    save_weights(tmp_path / "w", torch.nn.Linear(4, 2).state_dict())
    with pytest.raises(PawprintError, match="of another model"):
        load_weights(tmp_path / "w", model)
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-3])
    with pytest.raises(PawprintError, match="not a whole safetensors file"):
        load_weights(tmp_path / "w", model)
