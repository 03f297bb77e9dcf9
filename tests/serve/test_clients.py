"""The clients of benchmarks/serve.py count what a server does, in whatever pieces it does it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.clients import Load, closed_loop, open_loop

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmeow"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
WRONG = b"HTTP/1.0 500 INTERNAL SERVER ERROR\r\nContent-Length: 0\r\n\r\n"


class Scripted:
    """Answers its nth request with what `answer` says of n, byte by byte; None: hangs up."""

    def __init__(self, answer: Callable[[int], bytes | None]) -> None:
        self.n_requests = self.n_connections = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        try:
            while await reader.readuntil(b"--edge--\r\n"):
                answer = self._answer(self.n_requests)
                self.n_requests += 1
                for byte in answer or b"":
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0)
                if answer is None or answer != OK:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()


@contextmanager
def answering(answer: Callable[[int], bytes | None]) -> Iterator[tuple[str, Scripted]]:
    """Such a server in a thread, and where it is."""
    loop = asyncio.new_event_loop()
    scripted = Scripted(answer)
    server = loop.run_until_complete(asyncio.start_server(scripted.serve, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/predict", scripted
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


def counted(load: Load) -> tuple[int, int, int]:
    return len(load.answered), len(load.refused), load.failed


def test_each_answer_is_counted_as_what_it_is() -> None:
    kinds = [OK, BUSY, OK, WRONG, None]
    with answering(lambda number: kinds[number % 5]) as (url, server):
        (load,) = open_loop(url, [b"miaow"], per_second=500, seconds=[0.5])
    assert server.n_requests == 250
    assert counted(load) == (100, 50, 100)
    assert 0 < load.last_refused <= 1
    assert len(load.late) == 250


def test_a_connection_that_stays_open_is_used_again() -> None:
    with answering(lambda number: OK) as (url, server):
        load = closed_loop(url, [b"miaow"], n_clients=3, seconds=0.3)
    assert counted(load) == (server.n_requests, 0, 0)
    assert server.n_requests > server.n_connections
    assert server.n_connections <= 3


def test_who_is_not_there_fails() -> None:
    with answering(lambda number: OK) as (url, _):
        pass
    (load,) = open_loop(url, [b"miaow"], per_second=100, seconds=[0.1])
    assert counted(load) == (0, 0, 10)


def test_a_load_has_what_was_due_in_its_time() -> None:
    with answering(lambda number: OK if number < 40 else BUSY) as (url, server):
        first, second = open_loop(url, [b"miaow"], per_second=200, seconds=[0.1, 0.9])
    assert (first.seconds, second.seconds) == (0.1, 0.9)
    assert sum(counted(first)) + sum(counted(second)) == server.n_requests == 200
    assert 5 < sum(counted(first)) < 40, "about 20"
    assert counted(first)[1] == 0
    assert len(second.refused) == 160
    assert second.began - first.began == pytest.approx(0.1)
