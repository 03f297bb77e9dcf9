"""How many pictures a second `pawprint serve` answers and how soon, next to the server that courses write.

Theirs is `flask_server.py`: Flask, a picture a request, the checkpoint in eager torch. Ours is the command, with the
same weights as an ONNX file and every limit as it is by default. An untrained ResNet-18 of 37 classes; drawn pets of
96 pixels as PNG files, sent as forms. All on this machine, whose cores servers and clients share.

Closed loop with 1, 8, 32 and 128 clients, both servers in turn. Then an open loop against ours: half of what it can do,
twice of it, and half again; what it can do is what 32 clients got. Of the load that is twice as much the first second
is told of by itself: a burst, which fills the queue.

`LITSERVE=…/bin/python`, of an environment that has LitServe beside what pawprint needs, adds a third server.
`make serving` writes the tables of docs/serving.md.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil
import torch

from benchmarks.clients import Load, closed_loop, open_loop
from benchmarks.ratio import Comparison
from benchmarks.step import N_CLASSES, noise
from pawprint import atomic
from pawprint.data.decode import RESIZE
from pawprint.data.sources.procedural import fetch
from pawprint.deploy.formats import Standardized, as_program, onnx_bytes
from pawprint.deploy.predictor import from_checkpoint
from pawprint.models import build_model
from pawprint.readme import between_marks
from pawprint.trained_model import open_model
from pawprint.training.checkpoint import save_weights
from pawprint.types import DataSettings, RunSpec

PIXELS = 32  # of what the model is fed, as in the pets study
CLIENTS = (1, 8, 32, 128)
LOADED = 32  # clients, who ask for as much as it can do
TIMES = 5  # as many pictures as Flask, at least
REFUSED_MS = 100  # in which it is told, at most
RECOVERED_SECONDS = 5  # after the load fell
ROUNDS = 3
SECONDS = 5.0  # of each load
SHORT_CLIENTS, SHORT_SECONDS = (1, LOADED), 3.0  # of `make bench`
OVERLOAD_SECONDS = 20.0
FIRST, FIRST_SECONDS = "twice, the first second", 1.0  # a burst, until the server knows that it is overloaded
OURS, THEIRS, LITSERVE = "pawprint serve", "Flask, one by one", "LitServe"
START_SECONDS = 120.0
DOCUMENT = Path("docs/serving.md")
BEGIN = "<!-- from here: make serving -->\n"


@dataclass(frozen=True)
class Figures:
    """All that was measured."""

    closed: dict[tuple[str, int], list[Load]]  # server and number of clients → a load a round
    opened: dict[str, Load]  # what was offered → what became of it, in the order in which it was

    @property
    def capacity(self) -> float:
        """Pictures a second that 32 clients get of ours."""
        return capacity(self.closed)

    def per_second(self, server: str, n_clients: int) -> float:
        """Median of the rounds, of the pictures that were answered."""
        return median(load.per_second for load in self.closed[server, n_clients])

    def ms(self, server: str, n_clients: int, percentile: float) -> float:
        """Median of the rounds, of the answers' latency."""
        return median(load.ms(percentile) for load in self.closed[server, n_clients])


@dataclass(frozen=True)
class Target:
    """What is asked of the server, held against what was measured."""

    asked: str
    found: str
    met: bool


def run() -> list[Comparison]:
    """Seconds a picture, and p99, of ours and theirs, for some of the clients and a short time.

    All of them, and for longer: `make serving`. Then what twice as much as it can do costs those let in.
    """
    return comparisons(measure(SHORT_SECONDS, SHORT_SECONDS, ROUNDS, SHORT_CLIENTS))


def comparisons(figures: Figures) -> list[Comparison]:
    servers = dict.fromkeys(server for server, _ in figures.closed if server != OURS)
    rows = []
    for n_clients in sorted({n for _, n in figures.closed}):
        for server in servers:
            loads = figures.closed[OURS, n_clients], figures.closed[server, n_clients]
            name = f"serve, {n_clients} client{'s' * (n_clients > 1)}"
            rows += [
                _comparison(
                    f"{name}, time a picture", server, loads, lambda load: 1 / load.per_second,
                    target=1 / TIMES if (server, n_clients) == (THEIRS, LOADED) else None,
                ),
                _comparison(f"{name}, p99", server, loads, lambda load: load.ms(99) / 1000, _overload(figures)),
            ]  # fmt: skip
    return rows


def measure(seconds: float, overload_seconds: float, rounds: int, clients: Sequence[int]) -> Figures:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        checkpoint, exported = untrained(Path(folder))
        files = pictures(Path(folder) / "pictures")
        urls = {
            OURS: running.enter_context(ours(exported)),
            THEIRS: running.enter_context(other("benchmarks.flask_server", checkpoint, files[0])),
        }
        if "LITSERVE" in os.environ:
            third = other("benchmarks.litserve_server", exported, files[0], os.environ["LITSERVE"])
            urls[LITSERVE] = running.enter_context(third)
        for url in urls.values():
            closed_loop(url, files, 4, min(seconds, 2.0))  # the first answers take longer, of all of them
        closed: dict[tuple[str, int], list[Load]] = {}
        for number in range(rounds):
            for n_clients in clients:
                for server in list(urls)[:: 1 if number % 2 == 0 else -1]:
                    load = closed_loop(urls[server], files, n_clients, seconds)
                    closed.setdefault((server, n_clients), []).append(load)
        rate = capacity(closed)
        opened: dict[str, Load] = {}
        for names, share in ((["half"], 0.5), ([FIRST, "twice"], 2.0), (["half again"], 0.5)):
            seconds_of = [FIRST_SECONDS if name == FIRST else overload_seconds for name in names]
            opened |= zip(names, open_loop(urls[OURS], files, share * rate, seconds_of), strict=True)
    return Figures(closed, opened)


def capacity(closed: Mapping[tuple[str, int], Sequence[Load]]) -> float:
    n_clients = LOADED if (OURS, LOADED) in closed else max(n for _, n in closed)
    return median(load.per_second for load in closed[OURS, n_clients])


def untrained(folder: Path, pixels: int = PIXELS) -> tuple[Path, Path]:
    """A checkpoint's folder, and the same weights as an ONNX file."""
    torch.manual_seed(0)
    spec = RunSpec(study="bench", variant="serve", run="serve", seed=0, accelerator="cpu")
    data = noise(pixels, N_CLASSES)
    checkpoint, exported = folder / "checkpoint", folder / "model.onnx"
    save_weights(checkpoint / "weights.safetensors", build_model(spec, data).state_dict())
    record = {
        "spec": asdict(spec),
        "class_names": data.class_names,
        "input": {"shape": data.image_shape, "mean": data.mean, "std": data.std, "resize": RESIZE},
        "test": {"accuracy": None},
    }
    atomic.write_json(checkpoint / "run.json", record)
    description = from_checkpoint(checkpoint).description
    model = Standardized(open_model(checkpoint).network, data.mean, data.std)
    exported.write_bytes(onnx_bytes(as_program(model, data.image_shape), description.metadata))
    return checkpoint, exported


def pictures(folder: Path) -> list[bytes]:
    """Drawn pets, five of each breed."""
    folder.mkdir(parents=True)
    fetch(DataSettings(source="procedural", n_per_class=5, draw_pixels=96), folder)
    return [file.read_bytes() for file in sorted((folder / "images").iterdir())]


@contextmanager
def ours(model: Path) -> Iterator[str]:
    """The command as people type it; where it answers."""
    command = [sys.executable, "-m", "pawprint.cli", "serve", "--model", str(model), "--port", "0"]
    with _process(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().partition(" ")[0] + "/predict"


@contextmanager
def other(module: str, model: Path, file: bytes, interpreter: str = sys.executable) -> Iterator[str]:
    """Another server on a free port, once it answers what `file` shows."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with _process([interpreter, "-m", module, str(model), str(port)]):
        url = f"http://127.0.0.1:{port}/predict"
        _wait_for(url, file)
        yield url


def tables(figures: Figures) -> str:
    """For docs/serving.md."""
    closed = [_closed_row(figures, *key) for key in sorted(figures.closed, key=lambda key: key[1])]
    opened = [_open_row(name, load) for name, load in figures.opened.items()]
    return "\n".join(
        [
            "| clients | server | pictures/s | p50, ms | p99, ms | refused | failed |",
            "| --: | --- | --: | --: | --: | --: | --: |",
            *closed,
            "",
            f"Asked for so much of the {figures.capacity:.0f} pictures a second that 32 clients get of it, whatever"
            " becomes of the questions, one after the other:",
            "",
            "| asked | asked/s | answered/s | p50, ms | p99, ms | refused/s | p99 of refusals, ms | failed |",
            "| --- | --: | --: | --: | --: | --: | --: | --: |",
            *opened,
            "",
        ]
    )


def targets(figures: Figures) -> list[Target]:
    """Next to Flask, and of who is let in and who is not when twice as much is asked for as it can do."""
    ratio = figures.capacity / figures.per_second(THEIRS, LOADED)
    p99s = [
        (figures.ms(OURS, n_clients, 99), figures.ms(THEIRS, n_clients, 99))
        for server, n_clients in sorted(figures.closed)
        if server == OURS
    ]
    kept, refusals = figures.ms(OURS, LOADED, 99), figures.opened["twice"].ms(99, refused=True)
    twice, after = figures.opened["twice"].ms(99), figures.opened["half again"].last_refused
    return [
        Target(f"{TIMES} times as many pictures as {THEIRS}, {LOADED} clients", f"{ratio:.1f} times", ratio >= TIMES),
        Target(
            "a lower p99, however many clients",
            ", ".join(f"{ours:.0f} for {theirs:.0f} ms" for ours, theirs in p99s),
            all(ours < theirs for ours, theirs in p99s),
        ),
        Target(
            f"asked for twice as much, after a second no later than to {LOADED} clients: p99 of at most {kept:.0f} ms",
            f"{twice:.0f} ms", twice <= kept,
        ),
        Target(f"and refused within {REFUSED_MS} ms: p99", f"{refusals:.0f} ms", not refusals > REFUSED_MS),
        Target(
            f"nobody refused any more {RECOVERED_SECONDS} s later", f"the last after {after:.1f} s",
            after <= RECOVERED_SECONDS,
        ),
    ]  # fmt: skip


def verdicts(found: Sequence[Target]) -> str:
    """For docs/serving.md."""
    rows = [f"| {target.asked} | {target.found} | {'yes' if target.met else '**no**'} |" for target in found]
    return "\n".join(["| asked of it | found | met |", "| --- | --- | --- |", *rows, ""])


def _comparison(
    name: str, server: str, loads: tuple[list[Load], list[Load]], seconds: Callable[[Load], float], note: str = "",
    target: float | None = None,
) -> Comparison:  # fmt: skip
    ours, theirs = ([seconds(load) for load in of_one] for of_one in loads)
    return Comparison(name, server, ours, theirs, note, target)


def _closed_row(figures: Figures, server: str, n_clients: int) -> str:
    p50, p99 = (figures.ms(server, n_clients, percentile) for percentile in (50, 99))
    loads = figures.closed[server, n_clients]
    refused, failed = sum(len(load.refused) for load in loads), sum(load.failed for load in loads)
    rate = figures.per_second(server, n_clients)
    return f"| {n_clients} | {server} | {rate:.0f} | {p50:.0f} | {p99:.0f} | {refused} | {failed} |"


def _open_row(name: str, load: Load) -> str:
    asked = (len(load.answered) + len(load.refused) + load.failed) / load.seconds
    refusals = f"{load.ms(99, refused=True):.0f}" if load.refused else "–"
    return (
        f"| {name} | {asked:.0f} | {load.per_second:.0f} | {load.ms(50):.0f} | {load.ms(99):.0f} |"
        f" {len(load.refused) / load.seconds:.0f} | {refusals} | {load.failed} |"
    )


def _overload(figures: Figures) -> str:
    twice, after = figures.opened["twice"], figures.opened["half again"]
    return (
        f"asked twice the {figures.capacity:.0f} pictures a second it can do, after the first second:"
        f" {twice.per_second:.0f}/s answered with a p99 of {twice.ms(99):.0f} ms,"
        f" {len(twice.refused) / twice.seconds:.0f}/s refused, 99 % of them within"
        f" {twice.ms(99, refused=True):.0f} ms; then asked half of it: {len(after.refused)} refused"
        f"{f', the last after {after.last_refused:.1f} s' if after.refused else ''}, p99 {after.ms(99):.0f} ms; the"
        f" clients themselves were up to {1000 * max(twice.late):.0f} ms late, which is part of these"
    )


@contextmanager
def _process(command: list[str], stdout: int = subprocess.DEVNULL) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, stdout=stdout)
    try:
        yield process
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        process.wait()
        for left_behind in family:  # LitServe's workers outlive it
            with suppress(psutil.NoSuchProcess):
                left_behind.kill()


def _wait_for(url: str, file: bytes) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if closed_loop(url, [file], 1, 0.1).answered:
            return
    raise RuntimeError(f"{url} has no answer after {START_SECONDS:g} s")


def main() -> None:
    from benchmarks.__main__ import about, busy_cores

    before = about(busy_cores())
    figures = measure(SECONDS, OVERLOAD_SECONDS, ROUNDS, CLIENTS)
    text = DOCUMENT.read_text(encoding="utf-8")
    made = f"{tables(figures)}\n{_overload(figures)}.\n\n{verdicts(targets(figures))}\n{before}.\n"
    atomic.write_text(DOCUMENT, between_marks(text, made, DOCUMENT, BEGIN))
    print(made)


if __name__ == "__main__":
    main()
