"""A study with a trained and exported model, in seconds."""

from pathlib import Path

import pytest

from tests.in_process import pawprint

PARAMS = """
study: small
data: {source: procedural, n_per_class: 5, draw_pixels: 24, image_size: 16, test_percent: 20, classes: [Bengal, pug]}
model: cnn
cnn_widths: [4, 8]
epochs: 2
seeds: [0]
variants:
  baseline: {}
checks: {}
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed: tests copy what they damage."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAWPRINT_RUNS", str(tmp_path_factory.mktemp("runs")))
        for stage in ("fetch", "prepare", "resolve", "start", "check", "train baseline", "export baseline"):
            name, *arguments = stage.split()
            done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
            assert done.returncode == 0, done.stderr
    return folder
