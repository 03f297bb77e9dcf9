"""`pawprint serve`: a trained model behind HTTP, from its folder or its ONNX file alone."""

from __future__ import annotations

import ipaddress
import socket
import warnings
from functools import partial

from PIL import Image

from pawprint.deploy.predictor import Predictor, open_predictor
from pawprint.serve.limits import Limits
from pawprint.serve.server import address, listen, return_freed_memory, serve
from pawprint.serve.service import Service


def serve_command(model: str | None, host: str, port: int, limits: Limits) -> None:
    """Answer until told to stop; PawprintError or SettingsError where it cannot begin."""
    return_freed_memory()
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of a client's picture, which is told so
    service = Service(open_predictor(model), limits)
    with listen(host, port) as door:
        serve(service, door, partial(_tell, service.predictor, door))


def _tell(predictor: Predictor, door: socket.socket) -> None:
    print(f"{address(door)} answers by {predictor.source} ({predictor.description.run}); Ctrl-C stops it", flush=True)
    if not _is_loopback(door.getsockname()[0]):
        print("Whoever reaches this machine can ask: there is no password and no encryption.", flush=True)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
