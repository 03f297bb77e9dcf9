"""Studies with trained models, small: a ResNet-18 on drawn animals, and an MLP on digits."""

from pathlib import Path

from tests.in_process import pawprint

DRAWN = """
study: drawn
data: {source: procedural, n_per_class: 5, draw_pixels: 48, image_size: 32, test_percent: 20}
model: resnet18
epochs: 1
seeds: [10, 9]
variants:
  baseline: {}
  faster: {lr: 1.0e-2, seeds: [0]}
checks: {}
"""
DIGITS = """
study: digits
data: {source: digits, image_size: 8}
model: mlp
mlp_widths: [16]
epochs: 2
seeds: [0]
variants:
  baseline: {}
checks: {}
"""


def trained(folder: Path, params: str, *variants: str) -> Path:
    folder.mkdir()
    (folder / "params.yaml").write_text(params)
    stages = [["fetch"], ["prepare"], ["resolve"], ["pretrain"], ["start"], ["check"]]
    for stage, *rest in [*stages, *([stage, v] for v in variants for stage in ("train", "test"))]:
        done = pawprint(folder, *rest, module=f"pawprint.stages.{stage}")
        assert done.returncode == 0, done.stderr
    return folder
