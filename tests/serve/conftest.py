"""A server as people run it: a process of its own on a port of this machine."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.deploy.conftest import exported as exported  # a fixture

ONNX = "models/export/baseline/model.onnx"
START_SECONDS = 120.0  # of a machine that does much else
STOP_SECONDS = 60.0


@dataclass
class Running:
    """A server, and how to ask it."""

    process: subprocess.Popen[bytes]
    url: str
    said: Path  # what it writes to stdout and stderr

    @property
    def place(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        return host, int(port)

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=60)

    def predict(self, picture: bytes, **named: object) -> httpx2.Response:
        """A picture as the body of a request."""
        with self.client() as client:
            headers = {"Content-Type": "application/octet-stream"}
            return client.post("/predict", content=picture, headers=headers, **named)  # type: ignore[arg-type]

    def connect(self) -> socket.socket:
        """For what no client sends."""
        return socket.create_connection(self.place, timeout=60)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(by)
        return self.process.wait(STOP_SECONDS)

    def megabytes(self) -> float:
        """In memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1000


Start = Callable[..., Running]


@pytest.fixture(scope="module")
def start(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts servers of the exported study with options; all are gone afterwards."""
    started: list[Running] = []

    def start(*options: str, model: Path | str = ONNX) -> Running:
        command = [sys.executable, "-m", "pawprint.cli", "serve", "--model", str(model), "--port", "0", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        said = tmp_path_factory.mktemp("server") / "said"
        with said.open("wb") as file:
            process = subprocess.Popen(command, cwd=exported, env=environment, stdout=file, stderr=file)
        end = time.monotonic() + START_SECONDS
        while not (found := re.search(r"(http://\S+) answers by", said.read_text())):
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < end, "it does not begin"
            time.sleep(0.1)
        started.append(Running(process, found[1], said))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


@pytest.fixture(scope="module")
def server(start: Start) -> Running:
    """With the limits it has by default."""
    return start()


@pytest.fixture(scope="module")
def pictures(exported: Path) -> list[Path]:
    return sorted((exported / "data/fetch/images").iterdir())
