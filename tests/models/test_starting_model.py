"""What a pretrained training begins with: the source task's weights under a new head, or an error that says why not."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pawprint.errors import PawprintError
from pawprint.models import build_model, resnet, starting_model
from pawprint.types import Data, RunSpec


@pytest.fixture
def source(data: Data, resnet_spec: RunSpec, tmp_path: Path) -> Path:
    """Weights of a source task of five classes."""
    model = build_model(resnet_spec, replace(data, class_names=list("abcde")))
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, tmp_path / "weights")
    return tmp_path / "weights"


def test_all_but_the_head_comes_from_the_source_task(data: Data, resnet_spec: RunSpec, source: Path) -> None:
    given = load_file(source)
    spec = replace(resnet_spec, pretrained=True, pretrained_on="drawn_animals")
    torch.manual_seed(3)
    own = starting_model(spec, data, source).state_dict()
    assert own["fc.weight"].shape == (3, 512)
    assert all(torch.equal(own[name], given[name]) for name in own if not name.startswith("fc."))
    torch.manual_seed(3)
    scratch = starting_model(replace(spec, pretrained=False), data, source).state_dict()
    assert not torch.equal(scratch["conv1.weight"], own["conv1.weight"])
    assert torch.equal(scratch["fc.weight"], own["fc.weight"]), "the head is drawn as it is from scratch"


@pytest.mark.parametrize("start", [None, Path("nowhere/weights.safetensors")])
def test_weights_that_are_not_there_are_an_error(data: Data, resnet_spec: RunSpec, start: Path | None) -> None:
    with pytest.raises(PawprintError, match=r"pretrained: true needs .* run: dvc repro start"):
        starting_model(replace(resnet_spec, pretrained=True), data, start)


def test_weights_that_do_not_fit_are_an_error(data: Data, resnet_spec: RunSpec, source: Path) -> None:
    grey = replace(data, image_shape=(1, 12, 12))
    with pytest.raises(PawprintError, match=r"(?s)do not fit resnet18 for pictures of 1 channels.*conv1"):
        starting_model(replace(resnet_spec, pretrained=True), grey, source)
    source.write_bytes(source.read_bytes()[:1000])
    with pytest.raises(PawprintError, match="not a whole safetensors file"):
        starting_model(replace(resnet_spec, pretrained=True), data, source)


def test_imagenet_without_a_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", _no_network)
    with pytest.raises(PawprintError, match=r"pretrained_source: imagenet: .* cannot be had .*drawn_animals"):
        resnet.imagenet_weights()


def test_imagenet_weights_that_torchvision_has_kept_need_no_network(
    data: Data, resnet_spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", _no_network)
    thousand = build_model(resnet_spec, replace(data, class_names=[str(n) for n in range(1000)]))
    kept = tmp_path / "checkpoints/resnet18-f37072fd.pth"
    kept.parent.mkdir()
    torch.save(thousand.state_dict(), kept)
    with pytest.raises(PawprintError, match=r"has the sha256 .*, expected f37072fd.* it is another file, delete it"):
        resnet.imagenet_weights()
    monkeypatch.setattr(resnet, "IMAGENET_SHA256", hashlib.sha256(kept.read_bytes()).hexdigest())
    given = resnet.imagenet_weights()
    assert torch.equal(given["conv1.weight"], thousand.state_dict()["conv1.weight"])


def _no_network(*_: Any, **__: Any) -> None:
    raise OSError("Name or service not known")


@pytest.mark.parametrize("model", ["resnet18", "mlp", "cnn"])
def test_settings_say_whether_a_model_has_batch_normalization(data: Data, spec: RunSpec, model: Any) -> None:
    settings = replace(spec, model=model, cnn_widths=(4, 4))
    layers = [type(layer) for layer in build_model(settings, data).modules()]
    assert settings.has_batch_norm == (torch.nn.BatchNorm2d in layers)
