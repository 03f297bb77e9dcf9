"""Clients of a server that answers pictures: so many at a time, or so many requests a second whatever becomes of them.

Closed loop: each of n clients asks, waits for the answer and asks again. That finds how much a server can do, and hides
what it cannot: a slow server is asked less. Open loop: requests come at their times, as from people who do not know of
each other; a server that falls behind is asked as before. Latency counts from when a request was due, so that a client
that is late itself makes no server look fast.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np

REFUSED = 503


@dataclass
class Load:
    """What clients saw in so many seconds; latencies in seconds."""

    seconds: float
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)  # with 503
    failed: int = 0  # another status, or no answer at all
    late: list[float] = field(default_factory=list)  # how long after it was due the client sent each request
    last_refused: float = 0.0  # when the last of the refused was due, seconds after the load began
    began: float = field(default_factory=time.perf_counter)

    @property
    def per_second(self) -> float:
        return len(self.answered) / self.seconds

    def ms(self, percentile: float, refused: bool = False) -> float:
        """Of the answered, or of the refused; nan where there are none."""
        latencies = self.refused if refused else self.answered
        return float(np.percentile(latencies, percentile)) * 1000 if latencies else float("nan")


def closed_loop(url: str, pictures: Sequence[bytes], n_clients: int, seconds: float) -> Load:
    """`n_clients` that ask one after the other, for so long."""
    return asyncio.run(_closed(url, pictures, n_clients, seconds))


def open_loop(url: str, pictures: Sequence[bytes], per_second: float, seconds: float, seed: int = 0) -> Load:
    """Requests at random times (a Poisson process), so many a second on average, for so long."""
    gaps = np.random.default_rng(seed).exponential(1 / per_second, round(per_second * seconds))
    return asyncio.run(_open(url, pictures, np.cumsum(gaps), seconds))


async def _closed(url: str, pictures: Sequence[bytes], n_clients: int, seconds: float) -> Load:
    load, files = Load(seconds), itertools.cycle(pictures)
    end = time.perf_counter() + seconds

    async def client(session: aiohttp.ClientSession) -> None:
        while (now := time.perf_counter()) < end:
            await _ask(session, url, next(files), now, load)

    async with _session() as session:
        await asyncio.gather(*(client(session) for _ in range(n_clients)))
    return load


async def _open(url: str, pictures: Sequence[bytes], due: np.ndarray, seconds: float) -> Load:
    load, files = Load(seconds), itertools.cycle(pictures)
    async with _session() as session, asyncio.TaskGroup() as tasks:
        began = time.perf_counter()
        for moment, file in _paired(began + due, files):
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            tasks.create_task(_ask(session, url, file, moment, load))
    return load


def _paired(moments: np.ndarray, files: Iterator[bytes]) -> Iterator[tuple[float, bytes]]:
    return zip(map(float, moments), files)  # noqa: B905 (the files have no end)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(60))


async def _ask(session: aiohttp.ClientSession, url: str, file: bytes, due: float, load: Load) -> None:
    load.late.append(time.perf_counter() - due)
    form = aiohttp.FormData()
    form.add_field("image", file, filename="picture", content_type="image/png")
    try:
        async with session.post(url, data=form) as response:
            await response.read()
            took = time.perf_counter() - due
            if response.status == 200:
                load.answered.append(took)
            elif response.status == REFUSED:
                load.refused.append(took)
                load.last_refused = max(load.last_refused, due - load.began)
            else:
                load.failed += 1
    except (aiohttp.ClientError, TimeoutError):
        load.failed += 1
