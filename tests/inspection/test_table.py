"""The table's numbers are the model's own."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from pawprint.inspection.table import layer_table
from tests.inspection.networks import Attentive, Branching, Shared, mlp, pictures

NETWORKS = {
    "resnet18": lambda: resnet18(num_classes=5),
    "mlp": mlp,
    "shared": Shared,
    "attentive": Attentive,
    "branching": Branching,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_totals_are_the_sums_over_the_models_parameters(name: str) -> None:
    model = NETWORKS[name]()
    next(model.parameters()).requires_grad_(False)
    table = layer_table(model, pictures())
    assert table.n_parameters == sum(p.numel() for p in model.parameters())
    assert table.n_trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert table.rows[0].n_parameters == table.n_parameters
    assert table.n_trainable < table.n_parameters


@pytest.mark.parametrize("name", ["resnet18", "mlp", "branching"])
def test_leaves_add_up_to_the_totals(name: str) -> None:
    table = layer_table(NETWORKS[name](), pictures())
    leaves = [row for row in table.rows if row.is_leaf and not row.is_again]
    assert sum(row.n_parameters for row in leaves) == table.n_parameters
    assert sum(row.n_trainable for row in leaves) == table.n_trainable


def test_multiply_adds_are_weights_times_places() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(392, 5, bias=False)
    )
    table = layer_table(model, pictures())
    by_name = {row.name: row for row in table.rows}
    assert by_name["0"].multiply_adds == 3 * 8 * 3 * 3 * 7 * 7
    assert by_name["3"].multiply_adds == 392 * 5
    assert table.multiply_adds == 3 * 8 * 3 * 3 * 7 * 7 + 392 * 5


def test_resnet18_costs_what_is_published() -> None:
    table = layer_table(resnet18(), torch.zeros(1, 3, 224, 224))
    assert table.n_parameters == 11_689_512
    assert table.multiply_adds == pytest.approx(1.814e9, rel=1e-3)


def test_rows_have_names_shapes_and_calls() -> None:
    rows = layer_table(Shared(), pictures()).rows
    first = next(row for row in rows if row.name == "first")
    assert (first.kind, first.input_shape, first.output_shape) == ("Conv2d", (3, 16, 16), (4, 16, 16))
    assert [row.is_again for row in rows if row.name == "act"] == [False, True, True]
