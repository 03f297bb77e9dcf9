"""The server on a socket: uvicorn, with what it leaves open closed.

uvicorn waits for ever for the head of a request that trickles in, because every byte of it ends the only time-out it
has (github.com/Kludex/uvicorn/issues/157); here a head has its time, and what is left of a body that was refused, too.
Told to stop, uvicorn closes its door at once; here, until what is accepted is answered, others are told so: 503.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from pawprint.errors import PawprintError
from pawprint.serve.app import application
from pawprint.serve.refusals import problem
from pawprint.serve.service import Service

LINGER_SECONDS = 2.0  # that a refused body is read on, and thrown away: a door slammed on it would drop the refusal
KEEP_ALIVE_SECONDS = 5
CLOSING_SECONDS = 2  # for connections to close once all is answered
BACKLOG = 2048
M_MMAP_THRESHOLD = -3  # from <malloc.h>


class Punctual(H11Protocol):
    """A connection on which a request arrives in time, or is told that it did not."""

    def __init__(self, *arguments: Any, head_seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_seconds = head_seconds
        self._deadline: asyncio.TimerHandle | None = None
        self._lingers = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        waits_for_head = self.conn.their_state is h11.IDLE
        if waits_for_head and (self._deadline is None or self._lingers):
            self._expect_head()
        if not waits_for_head and not self._lingers:
            self._expect_nothing()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._expect_nothing()
            self._lingers = True
            self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(self._head_seconds, self._refuse_head)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline, self._lingers = None, False

    def _refuse_head(self) -> None:
        if not self.transport.is_closing():
            self._end_with(problem("too_slow", f"the request did not arrive within {self._head_seconds:g} seconds"))

    def send_400_response(self, msg: str) -> None:
        """In the form of all others; uvicorn's is plain text."""
        self._end_with(problem("bad_request", msg))

    def _end_with(self, answer: Response) -> None:
        headers = [*answer.raw_headers, (b"connection", b"close")]
        head = h11.Response(status_code=answer.status_code, headers=headers)
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Server(uvicorn.Server):
    """It ends when what it accepted is answered, or the grace is over; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        """`ready` is called when it answers, and signals are heard."""
        super().__init__(config)
        self._service = service
        self._ready = ready
        self._last_moment = float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        leave_alone_what_is_there()
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.stopping:
            self.should_exit = self.force_exit = True
        self._service.stopping = True
        self._last_moment = time.monotonic() + self._service.limits.grace_seconds

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._service.stopping and (self._service.idle or time.monotonic() > self._last_moment):
            self.should_exit = True
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; PawprintError where it cannot be had.

    It says that it speaks TCP, by which asyncio knows to send small packets at once: what `socket.create_server` makes
    does not, and each answer, whose head and body are two packets, would wait 40 ms for an acknowledgement.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, where = found[0]
        door = socket.socket(family, kind, protocol)
        with ExitStack() as undo:
            undo.callback(door.close)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(where)
            door.listen(BACKLOG)
            undo.pop_all()
    except OSError as error:
        raise PawprintError(f"--host {host} --port {port}: cannot listen there: {error.strerror or error}") from error
    return door


def return_freed_memory() -> None:
    """Have glibc give large blocks back when they are freed; elsewhere nothing is done.

    It raises the size from which it does so to that of the blocks it sees, and after a few large pictures, decoded in
    several threads, the process would keep as much as they took: 800 MB and not 4 (48 megapixels, two decoders).
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, 1 << 20)


def leave_alone_what_is_there() -> None:
    """Have Python's garbage collector look at no object that exists by now.

    The libraries' own stay until the end. Each full collection would look at all of them, and hold up every answer for
    a quarter of a second, once in some thousand requests.
    """
    gc.collect()
    gc.freeze()


def serve(service: Service, door: socket.socket, ready: Callable[[], None]) -> None:
    """Answer what comes through `door`, until SIGINT or SIGTERM; `ready` is called when it begins."""
    config = uvicorn.Config(
        application(service),
        http=partial(Punctual, head_seconds=service.limits.read_seconds),  # type: ignore[arg-type]  # makes one
        ws="none", lifespan="on", log_level="warning", access_log=False, server_header=False, loop="asyncio",
        backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=CLOSING_SECONDS,
    )  # fmt: skip
    Server(config, service, ready).run(sockets=[door])


def address(door: socket.socket) -> str:
    """Where the page is, for a browser on this machine or one that reaches it."""
    host, port = door.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
