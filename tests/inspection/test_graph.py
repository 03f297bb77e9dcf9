"""The graph has what the model computes, shortcuts too, and is small enough to be drawn."""

import networkx as nx
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from pawprint.inspection.graph import MAX_NODES, ModelGraph, boxes, model_graph
from tests.inspection.networks import Attentive, Branching, Shared, mlp, pictures


def kinds(graph: ModelGraph) -> list[str]:
    return [graph.of(node).kind for node in nx.topological_sort(graph.operations)]


def test_an_mlp_is_a_chain_of_its_layers() -> None:
    graph = model_graph(mlp(), pictures())
    assert graph.is_traced
    assert kinds(graph) == ["input", "Flatten", "Linear", "ReLU", "Linear", "output"]
    assert [graph.of(node).shape for node in graph.operations] == [(3, 16, 16), (768,), (12,), (12,), (3,), (3,)]


def test_a_resnet_is_drawn_by_its_blocks_and_each_kind_of_block_by_itself() -> None:
    graph = model_graph(resnet18(num_classes=5), pictures())
    assert len(graph.operations) <= MAX_NODES
    assert kinds(graph).count("BasicBlock") == 8
    assert len(graph.inside) == 2  # with and without a convolution in the shortcut
    assert nx.is_directed_acyclic_graph(graph.operations)


def test_the_shortcut_of_a_block_goes_from_its_input_to_the_sum() -> None:
    plain, projected = model_graph(resnet18(num_classes=5), pictures()).inside
    (total,) = [node for node in plain.operations if plain.of(node).role == "sum"]
    assert {plain.of(node).kind for node in plain.operations.predecessors(total)} == {"input", "BatchNorm2d"}
    (total,) = [node for node in projected.operations if projected.of(node).role == "sum"]
    assert {projected.of(node).name for node in projected.operations.predecessors(total)} == {"bn2", "downsample.1"}


def test_operations_that_are_no_modules_are_in_it() -> None:
    assert {"add", "relu"} <= set(kinds(model_graph(Functional(), pictures())))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(images) + images).mean(dim=(2, 3))


def test_a_module_called_thrice_is_three_boxes() -> None:
    assert kinds(model_graph(Shared(), pictures())).count("ReLU") == 3


def test_tokens_and_attention_are_drawn() -> None:
    graph = model_graph(Attentive(), pictures())
    assert graph.is_traced
    assert "MultiheadAttention" in kinds(graph)


def test_what_cannot_be_traced_is_the_chain_of_its_modules_and_said_to_be() -> None:
    graph = model_graph(Branching(), pictures())
    assert not graph.is_traced
    assert "control flow" in graph.why_not
    assert kinds(graph) == ["input", "Conv2d", "Linear"]


@pytest.mark.parametrize("network", [mlp, Shared, Attentive, Branching, lambda: resnet18(num_classes=5)])
def test_every_operation_has_its_box_and_every_arrow_its_ends(network: type[nn.Module]) -> None:
    graph = model_graph(network(), pictures())
    drawn = boxes(graph)
    assert len(drawn) == 1 + len(graph.inside)
    assert set(drawn[0].by_name) == set(graph.operations)
    assert all({a, b} <= set(part.by_name) for part in drawn for a, b in part.arrows)
