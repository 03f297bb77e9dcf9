"""Clients of a server that answers pictures: so many at a time, or so many requests a second whatever becomes of them.

Closed loop: each of n clients asks, waits for the answer and asks again. That finds how much a server can do, and hides
what it cannot: a slow server is asked less. Open loop: requests come at their times, as from people who do not know of
each other; a server that falls behind is asked as before. Latency counts from when a request was due, so that a client
that is late itself makes no server look fast.

Clients and server share the machine, so that what a client costs is missing for answers. A library for HTTP (aiohttp
was tried) costs as much for a request as a good server for a refusal; hence these few lines, which know no more of HTTP
than the servers here speak: bodies with a Content-Length, over connections that stay open or say that they do not. A
request is bytes that are made before the load begins, a form with one file.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import numpy as np

REFUSED = 503
Seen = TypeVar("Seen")
SECONDS_FOR_ANSWERS = 60.0  # after the last request; what is not answered by then has failed
FORM = (
    b'--edge\r\nContent-Disposition: form-data; name="image"; filename="picture"\r\nContent-Type: image/png\r\n\r\n'
    b"%b\r\n--edge--\r\n"
)
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=edge\r\n"
    "Content-Length: {n_bytes}\r\n\r\n"
)


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

    async def ask_on(clients: _Clients) -> Load:
        load = Load(seconds)

        async def client() -> None:
            while (now := time.perf_counter()) < load.began + seconds:
                await clients.ask(now, load)

        await asyncio.gather(*(client() for _ in range(n_clients)))
        return load

    return asyncio.run(_asked(url, pictures, ask_on))


def open_loop(
    url: str, pictures: Sequence[bytes], per_second: float, seconds: Sequence[float], seed: int = 0
) -> list[Load]:
    """Requests at random times (a Poisson process), so many a second on average: a load of so long after the other.

    There is no pause between them; each has what became of the requests that were due in its time.
    """
    gaps = np.random.default_rng(seed).exponential(1 / per_second, round(per_second * sum(seconds)))
    due: list[float] = np.cumsum(gaps).tolist()
    ends = np.cumsum(seconds)
    numbers = np.minimum(np.searchsorted(ends, due), len(ends) - 1).tolist()

    async def ask_on(clients: _Clients) -> list[Load]:
        began = time.perf_counter()
        loads = [Load(n, began=began + end - n) for n, end in zip(seconds, ends.tolist(), strict=True)]
        async with asyncio.TaskGroup() as tasks:
            for moment, number in zip(due, numbers, strict=True):
                if (ahead := began + moment - time.perf_counter()) > 0:
                    await asyncio.sleep(ahead)
                tasks.create_task(clients.ask(began + moment, loads[number]))
        return loads

    return asyncio.run(_asked(url, pictures, ask_on))


async def _asked(url: str, pictures: Sequence[bytes], ask_on: Callable[[_Clients], Awaitable[Seen]]) -> Seen:
    clients = _Clients(url, itertools.cycle([request(url, picture) for picture in pictures]))
    try:
        return await ask_on(clients)
    finally:
        clients.leave()


def request(url: str, picture: bytes) -> bytes:
    """What a client sends."""
    place, body = urlsplit(url), FORM % picture
    return HEAD.format(path=place.path, host=place.netloc, n_bytes=len(body)).encode() + body


class _Clients:
    """They share connections, of which there are as many as there are requests under way."""

    def __init__(self, url: str, requests: Iterator[bytes]) -> None:
        place = urlsplit(url)
        self._place = place.hostname or "", place.port or 80
        self._requests = requests
        self._idle: list[_Connection] = []

    async def ask(self, due: float, load: Load) -> None:
        """Sends the next request; what becomes of it is in the load."""
        load.late.append(time.perf_counter() - due)
        try:
            async with asyncio.timeout(SECONDS_FOR_ANSWERS):
                status = await self._status(next(self._requests))
        except OSError:  # TimeoutError is one
            status = None
        took = time.perf_counter() - due
        if status == 200:
            load.answered.append(took)
        elif status == REFUSED:
            load.refused.append(took)
            load.last_refused = max(load.last_refused, due - load.began)
        else:
            load.failed += 1

    def leave(self) -> None:
        for connection in self._idle:
            connection.close()

    async def _status(self, content: bytes) -> int:
        while self._idle and self._idle[-1].ended:
            self._idle.pop()
        if self._idle:
            connection = self._idle.pop()
        else:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, *self._place)
        try:
            status = await connection.answer_to(content)
        except BaseException:
            connection.close()
            raise
        if connection.ended:
            connection.close()
        else:
            self._idle.append(connection)
        return status


class _Connection(asyncio.Protocol):
    """One request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.ended = False
        self._read = b""
        self._status: asyncio.Future[int] | None = None

    async def answer_to(self, content: bytes) -> int:
        """The status, when all of the answer is there; ConnectionError where none comes."""
        if self.ended:
            raise ConnectionError("closed before it was asked")
        self._status = asyncio.get_running_loop().create_future()
        self.transport.write(content)
        return await self._status

    def close(self) -> None:
        self.ended = True
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        head = head.lower()
        if not found or len(body) < int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]):
            return
        self._read = b""
        self.ended |= head.startswith(b"http/1.0") or b"\r\nconnection: close" in head
        if self._status and not self._status.done():
            self._status.set_result(int(head.split(maxsplit=2)[1]))

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        if self._status and not self._status.done():
            self._status.set_exception(error or ConnectionError("closed without an answer"))
