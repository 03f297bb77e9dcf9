"""The same model behind LitServe, for comparison: `python -m benchmarks.litserve_server FILE.onnx PORT`.

LitServe is no dependency of pawprint: see benchmarks/serve.py for where it is to be installed. One worker, batches as
`pawprint serve` has them by default.
"""

import sys
from pathlib import Path
from typing import Any

import litserve  # type: ignore[import-not-found]  # installed elsewhere
import numpy as np

from pawprint.data.decode import read_picture
from pawprint.deploy.predictor import from_onnx
from pawprint.serve.limits import Limits

LIMITS = Limits()


class Api(litserve.LitAPI):
    """A form's `image`, answered with the likeliest class."""

    def setup(self, device: str) -> None:
        self.predictor = from_onnx(Path(sys.argv[1]))

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # by annotations LitServe makes parameters
        channels, pixels, _ = self.predictor.image_shape
        return read_picture(request["image"].file.read(), pixels, channels)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.predictor(x)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        index = int(output.argmax())
        return {"class": self.predictor.class_names[index], "probability": float(output[index])}


if __name__ == "__main__":
    api = Api(max_batch_size=LIMITS.batch, batch_timeout=LIMITS.wait_ms / 1000)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=LIMITS.answer_seconds)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error")
