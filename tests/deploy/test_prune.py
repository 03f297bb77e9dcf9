"""Pruning: as many weights or channels go as are asked for, the right ones, and they stay away while training."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pawprint.deploy.prune import layers_with_weights, unmask, without_channels, without_weights, zero_share
from pawprint.models import build_model
from pawprint.training.loop import run
from pawprint.training.variant import Given, set_up
from pawprint.types import Data, RunSpec


@pytest.fixture
def network(data: Data, spec: RunSpec) -> nn.Module:
    torch.manual_seed(0)
    return build_model(replace(spec, model="cnn", cnn_widths=(16, 32), cnn_hidden=(24,)), data)


@pytest.mark.parametrize("which", ["random", "smallest"])
def test_the_asked_for_share_of_weights_is_zero_and_the_network_itself_is_left_alone(
    network: nn.Module, which: str
) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pruned = without_weights(network, 70.0, which)  # type: ignore[arg-type]
    assert zero_share(pruned) == pytest.approx(0.7, abs=0.01)
    assert zero_share(network) == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_the_smallest_weights_of_all_layers_go_and_random_ones_of_each(network: nn.Module) -> None:
    smallest, random = (without_weights(network, 50.0, which) for which in ("smallest", "random"))  # type: ignore[arg-type]
    left = torch.cat([layer.weight[layer.weight != 0].flatten() for layer in layers_with_weights(smallest)]).abs()
    gone = torch.cat(
        [
            own.weight[layer.weight == 0].flatten()
            for own, layer in zip(layers_with_weights(network), layers_with_weights(smallest), strict=True)
        ]
    ).abs()
    assert gone.max() <= left.min()
    shares = [(layer.weight == 0).float().mean().item() for layer in layers_with_weights(random)]
    assert shares == pytest.approx([0.5] * len(shares), abs=0.01)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        other = without_weights(network, 50.0, "random")
    masks = [torch.cat([(layer.weight == 0).flatten() for layer in layers_with_weights(n)]) for n in (random, other)]
    assert not torch.equal(*masks)


def test_zeros_stay_zeros_while_training_and_the_others_move(network: nn.Module, data: Data, spec: RunSpec) -> None:
    pruned = without_weights(network, 60.0, "smallest")
    own = replace(spec, model="cnn", cnn_widths=(16, 32), cnn_hidden=(24,), epochs=2)
    training = set_up(own, data, given=Given(network=pruned))
    were_zero = [layer.weight == 0 for layer in layers_with_weights(pruned)]
    before = [layer.weight.clone() for layer in layers_with_weights(pruned)]
    run(training, lambda row, step: None, lambda row, step: None, lambda: None, 1e9)
    trained = training.evaluated.eval()
    answers = trained(torch.ones(2, *data.image_shape))
    unmask(trained)
    for mask, old, layer in zip(were_zero, before, layers_with_weights(trained), strict=True):
        assert torch.equal(layer.weight == 0, mask)
        assert not torch.equal(layer.weight, old)
    assert torch.equal(trained(torch.ones(2, *data.image_shape)), answers)
    assert not any("mask" in name or "orig" in name for name in trained.state_dict())


def test_channels_go_from_every_layer_but_the_classes_stay(network: nn.Module, data: Data) -> None:
    pruned = without_channels(network, 50.0, data.image_shape)
    widths = [layer.weight.shape[0] for layer in layers_with_weights(pruned)]
    assert widths == [8, 16, 8, len(data.class_names)]  # of 16, 32, 24: multiples of eight
    assert pruned(torch.zeros(3, *data.image_shape)).shape == (3, len(data.class_names))
    assert [layer.weight.shape[0] for layer in layers_with_weights(network)] == [16, 32, 24, len(data.class_names)]


def test_the_channels_of_least_norm_go(data: Data, spec: RunSpec) -> None:
    """Planted: every second channel of the first layer is faint, and so are they downstream."""
    torch.manual_seed(0)
    network = build_model(replace(spec, model="cnn", cnn_widths=(16,)), data)
    first = layers_with_weights(network)[0]
    norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    with torch.no_grad():
        first.weight[::2] *= 1e-3
        norm.weight[::2] *= 1e-3
    pruned = layers_with_weights(without_channels(network, 50.0, data.image_shape))[0]
    torch.testing.assert_close(pruned.weight, first.weight[1::2], rtol=0, atol=0)
