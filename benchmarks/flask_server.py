"""The server that courses write: Flask, a picture a request, the checkpoint in torch as it is.

`python -m benchmarks.flask_server FOLDER PORT`, FOLDER being a checkpoint's. Flask's own server answers each request in
a thread. The picture is decoded and standardized as everywhere here; torch has the threads it takes by itself.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import torch
from flask import Flask, jsonify, request

from pawprint.data.batches import standardize, unit_range
from pawprint.data.decode import read_picture
from pawprint.trained_model import open_model


def application(folder: Path) -> Flask:
    """It answers a form's `image` with the likeliest class and its probability."""
    n_threads = torch.get_num_threads()
    opened = open_model(folder)
    torch.set_num_threads(n_threads)
    channels, pixels, _ = opened.data.image_shape
    app = Flask(__name__)

    @app.post("/predict")
    def predict() -> Any:
        picture = read_picture(request.files["image"].read(), pixels, channels)
        with torch.no_grad():
            logits = opened.network(standardize(unit_range(picture[None]), opened.data))
        probability, index = logits.softmax(dim=1).max(dim=1)
        return jsonify({"class": opened.data.class_names[int(index)], "probability": float(probability)})

    return app


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application(Path(sys.argv[1])).run(host="127.0.0.1", port=int(sys.argv[2]))
