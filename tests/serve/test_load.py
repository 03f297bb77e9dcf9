"""Full, slow, stopping: who is let in is answered, and who is not is told so at once."""

import asyncio
import base64
import http.client
import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

from pawprint.serve.batching import Batcher, ModelFailed
from pawprint.serve.refusals import Refused
from pawprint.serve.service import CALM_SECONDS, Places
from tests.data.bad_files import encoded, noise
from tests.serve.conftest import Running, Start
from tests.serve.test_bad_input import refusal

SLOW = encoded("PNG", noise(8, 8).resize((7000, 7000)))  # a picture that takes a second to decode
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"


def taken(server: Running, what: str) -> int:
    with server.client() as client:
        return client.get("/health").json()[what]


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def test_a_full_queue_refuses_at_once_and_answers_again(start: Start, pictures: list[Path]) -> None:
    server, content = start("--queue", "2", "--decoders", "1"), pictures[0].read_bytes()
    with ThreadPoolExecutor(2) as clients:
        slow = [clients.submit(server.predict, SLOW) for _ in range(2)]
        wait_for(lambda: taken(server, "pictures") == 2 or all(map(Future.done, slow)))
        refused = server.predict(content)
        still_full = taken(server, "pictures") == 2
        assert [one.result().status_code for one in slow] == [200, 200]
    assert still_full, "the refusal did not wait for a place"
    assert refusal(refused) == (503, "busy")
    assert refused.headers["retry-after"] == "1"
    assert taken(server, "pictures") == 0
    assert server.predict(content).status_code == 200


def test_places_are_fewer_while_it_is_overloaded() -> None:
    """A burst may take all; after a refusal there are fewer, until there was none for a while."""
    places = Places("pictures", n_places=3, n_overloaded=1)

    def taken_of(n_asked: int) -> int:
        with ExitStack() as held:
            for _ in range(n_asked):
                with suppress(Refused):
                    held.enter_context(places.one())
            return places.taken

    assert [taken_of(3), taken_of(3)] == [3, 3], "nobody was refused"
    assert [taken_of(4), taken_of(1), taken_of(4)] == [3, 1, 1]
    time.sleep(CALM_SECONDS)
    assert taken_of(3) == 3
    assert places.taken == 0


@pytest.mark.parametrize("kind", ["leaves", "stays"])
def test_who_hangs_up_holds_no_place_and_asks_the_model_nothing(kind: str, start: Start, pictures: list[Path]) -> None:
    server, content = start("--decoders", "1", "--answer-seconds", "60"), pictures[0].read_bytes()
    request = HEAD.replace(b"1000", str(len(content)).encode()) + content
    with ThreadPoolExecutor(3) as clients:
        slow = [clients.submit(server.predict, SLOW) for _ in range(3)]  # before it, nothing else is decoded
        wait_for(lambda: taken(server, "pictures") == 3)
        others = [server.connect() for _ in range(5)]
        for connection in others:
            connection.sendall(request)
        wait_for(lambda: taken(server, "pictures") >= 7)
        if kind == "leaves":
            for connection in others:
                connection.close()
            wait_for(lambda: taken(server, "pictures") <= 3)
            assert not slow[-1].done(), "they went because they left, not because they were answered"
        else:
            assert all(connection.recv(12) == b"HTTP/1.1 200" for connection in others)
        assert [one.result().status_code for one in slow] == [200] * 3
    assert server.stop() == 0
    assert "Traceback" not in server.said.read_text()


def test_who_hangs_up_in_the_middle_of_a_body_is_forgotten(start: Start) -> None:
    server = start()
    with server.connect() as connection:
        connection.sendall(HEAD + b"x")
        wait_for(lambda: taken(server, "uploads") == 1)
    wait_for(lambda: taken(server, "uploads") == 0)
    assert server.stop() == 0
    assert server.said.read_text().count("\n") == 1, "the line that it answers, and no traceback"


def test_a_refused_connection_can_be_used_again(start: Start, pictures: list[Path]) -> None:
    server, content = start("--queue", "1", "--decoders", "1"), pictures[0].read_bytes()
    with ThreadPoolExecutor(1) as background, server.connect() as connection:
        slow = background.submit(server.predict, SLOW)
        wait_for(lambda: taken(server, "pictures") == 1 or slow.done())
        answers = http.client.HTTPConnection("127.0.0.1")
        answers.sock = connection
        headers = {"Content-Type": "image/png"}
        answers.request("POST", "/predict", content, headers)
        refused = answers.getresponse()
        assert (refused.status, json.load(refused)["error"]["code"]) == (503, "busy")
        assert slow.result().status_code == 200
        answers.request("POST", "/predict", content, headers)
        assert answers.getresponse().status == 200


def test_slow_uploads_are_told_so_and_hold_no_place_for_longer(start: Start, pictures: list[Path]) -> None:
    server, content = start("--uploads", "2", "--read-seconds", "2"), pictures[0].read_bytes()
    slow = [server.connect() for _ in range(2)]
    for connection in slow:
        connection.sendall(HEAD + b"x")
    wait_for(lambda: taken(server, "uploads") == 2)
    assert refusal(server.predict(content)) == (503, "busy")
    for connection in slow:
        answer = b""
        while b"}}" not in answer:  # head and body may come one by one
            piece = connection.recv(10_000)
            assert piece, answer
            answer += piece
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"too_slow"' in answer
    assert taken(server, "uploads") == 0
    assert server.predict(content).status_code == 200
    for connection in slow:  # nothing came of them, and so they are closed
        with connection:
            assert connection.makefile("rb").read() == b""


@pytest.mark.parametrize("sent", [b"", b"G", b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-"])
def test_a_head_that_does_not_come_is_told_so(sent: bytes, start: Start) -> None:
    server = start("--read-seconds", "1")
    with server.connect() as connection:
        connection.sendall(sent)
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":{"code":"too_slow"' in answer


def test_a_head_that_trickles_has_no_more_time_than_one_that_stands_still(start: Start) -> None:
    server = start("--read-seconds", "2")
    with server.connect() as connection, ThreadPoolExecutor(1) as background:
        answer = background.submit(connection.makefile("rb").read)
        for letter in HEAD[:-2] * 3:
            if answer.done():
                break
            try:
                connection.sendall(bytes([letter]))
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.1)
        assert answer.result().startswith(b"HTTP/1.1 408 ")


def test_a_second_request_on_a_connection_has_its_own_time(start: Start, pictures: list[Path]) -> None:
    server = start("--read-seconds", "1")
    with server.client() as client:
        for _ in range(4):
            answer = client.post("/predict", content=pictures[0].read_bytes(), headers={"Content-Type": "image/png"})
            assert answer.status_code == 200
            time.sleep(0.6)


def test_an_answer_that_takes_too_long_is_given_up(start: Start, pictures: list[Path]) -> None:
    server = start("--answer-seconds", "0.2", "--decoders", "1")
    with ThreadPoolExecutor(3) as clients:
        answers = list(clients.map(server.predict, [SLOW] * 3))
    assert (503, "timed_out") in [refusal(answer) for answer in answers if answer.status_code != 200]
    wait_for(lambda: server.predict(pictures[0].read_bytes()).status_code == 200)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_answers_what_it_accepted_and_refuses_the_rest(
    by: signal.Signals, start: Start, pictures: list[Path]
) -> None:
    server = start("--decoders", "1", "--answer-seconds", "60")
    with ThreadPoolExecutor(4) as clients, server.client() as client:
        slow = [clients.submit(server.predict, SLOW) for _ in range(4)]
        wait_for(lambda: taken(server, "pictures") == 4 or all(map(Future.done, slow)))
        server.process.send_signal(by)
        wait_for(lambda: client.get("/health").status_code == 503)
        late = server.predict(pictures[0].read_bytes())
        assert refusal(late) == (503, "stopping")
        assert [one.result().status_code for one in slow] == [200] * 4
    assert server.process.wait(60) == 0
    assert "Traceback" not in server.said.read_text()


def test_an_upload_that_never_ends_does_not_keep_it_from_stopping(start: Start) -> None:
    server = start("--grace-seconds", "1", "--read-seconds", "60")
    with server.connect() as connection:
        connection.sendall(HEAD + b"x")
        wait_for(lambda: taken(server, "uploads") == 1)
        assert server.stop() == 0


def test_without_anything_to_do_it_stops_at_once(start: Start) -> None:
    server = start()
    with server.connect():  # idle
        assert server.stop() == 0


class Recorded:
    """A model whose answer is a picture's first value, and which tells how many it was asked about in each call."""

    def __init__(self, fails_at: int = -1) -> None:
        self.sizes: list[int] = []
        self.fails_at = fails_at

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        self.sizes.append(len(pictures))
        time.sleep(0.05)
        first = pictures[:, 0, 0, 0]
        if self.fails_at in first:
            raise RuntimeError("no answer to this")
        return np.stack([first, first], axis=1)


def asked(model: Recorded, n_pictures: int, batch: int, given_up: int = 0, wait_ms: float = 50) -> list[object]:
    """What becomes of pictures 0, 1, … that are asked about together; of the first `given_up` nobody waits."""

    async def ask() -> list[object]:
        batcher = Batcher(model, batch, wait_ms, lambda: n_pictures)
        running = asyncio.create_task(batcher.run())
        pictures = [np.full((2, 2, 3), number, np.uint8) for number in range(n_pictures)]
        tasks = [asyncio.create_task(batcher.ask(picture)) for picture in pictures]
        await asyncio.sleep(0)
        for task in tasks[:given_up]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        running.cancel()
        return [answer if isinstance(answer, BaseException) else answer.tolist() for answer in answers]

    return asyncio.run(ask())


def test_pictures_are_answered_in_batches_each_its_own() -> None:
    model = Recorded()
    assert asked(model, 10, batch=4) == [[number, number] for number in range(10)]
    assert model.sizes == [4, 4, 2]


def test_a_batch_does_not_wait_for_ever_for_what_is_on_its_way() -> None:
    """It is told of more pictures than come."""
    model = Recorded()
    assert asked(model, 3, batch=32, wait_ms=1) == [[0, 0], [1, 1], [2, 2]]
    assert sum(model.sizes) == 3


def test_a_call_that_fails_is_made_for_each_picture_alone() -> None:
    model = Recorded(fails_at=2)
    answers = asked(model, 4, batch=4)
    assert isinstance(answers[2], ModelFailed)
    assert "no answer to this" in str(answers[2])
    assert [answer for number, answer in enumerate(answers) if number != 2] == [[0, 0], [1, 1], [3, 3]]
    assert model.sizes == [4, 1, 1, 1, 1]


def test_who_has_gone_costs_the_model_nothing() -> None:
    model = Recorded()
    answers = asked(model, 6, batch=32, given_up=4)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True] * 4 + [False] * 2
    assert model.sizes == [2]


def test_the_largest_body_that_is_taken_can_be_json(start: Start) -> None:
    server = start("--max-megabytes", "0.1")
    picture = encoded("JPEG", noise(150, 150))
    with server.client() as client:
        assert client.post("/predict", json={"image": base64.b64encode(picture).decode()}).status_code == 200
