"""What no request may do: fail the server, fill its memory, or take an answer from its neighbors."""

import base64
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pawprint.data.decode import MAX_MEGAPIXELS
from pawprint.serve.bodies import EXAMPLE
from pawprint.serve.limits import Limits
from pawprint.serve.refusals import STATUS
from tests.data.bad_files import bad_pictures, encoded, huge_png, noise
from tests.serve.conftest import ONNX, Running, Start
from tests.serve.test_answers import CLOSE, found

MB = 1_000_000
FLAT_MB = 150  # that memory may vary by: two pictures that are decoded at the same time, and the allocator


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code, in the form in which each refusal comes."""
    assert answer.headers["content-type"] == "application/json", answer.text
    content = answer.json()
    assert content.keys() == {"error"}
    assert content["error"].keys() == {"code", "reason"}
    assert answer.status_code == STATUS[content["error"]["code"]]
    assert content["error"]["reason"]
    return answer.status_code, content["error"]["code"]


@pytest.mark.parametrize("kind", bad_pictures())
def test_a_file_that_is_no_usable_picture_is_refused_with_the_reason(kind: str, server: Running) -> None:
    content, reason = bad_pictures()[kind]
    refused = refusal(server.predict(content))
    if content:
        assert refused == (422, "unusable_picture")
        assert reason.split(":")[0] in server.predict(content).json()["error"]["reason"]
    else:
        assert refused == (400, "bad_request")


FORM = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="image"%s\r\n\r\n%s\r\n--b--\r\n'
BAD_REQUESTS: dict[str, tuple[str, bytes, tuple[int, str]]] = {
    "no type": ("", b"x", (415, "unsupported_type")),
    "text": ("text/plain", b"x", (415, "unsupported_type")),
    "a web form": ("application/x-www-form-urlencoded", b"image=x", (415, "unsupported_type")),
    "empty": ("image/png", b"", (400, "bad_request")),
    "a form without a boundary": ("multipart/form-data", b"--b--", (400, "bad_request")),
    "an empty form": (FORM, b"", (400, "bad_request")),
    "a form that is none": (FORM, b"hello", (400, "bad_request")),
    "a form without the file": (
        FORM,
        PART.replace(b"image", b"other") % (b'; filename="a"', b"x"),
        (400, "bad_request"),
    ),
    "a field that is no file": (FORM, PART % (b"", b"x"), (400, "bad_request")),
    "an empty file": (FORM, PART % (b'; filename="a"', b""), (400, "bad_request")),
    "two files": (
        FORM,
        (PART % (b'; filename="a"', b"x"))[:-7] + PART % (b'; filename="b"', b"y"),
        (400, "bad_request"),
    ),
    "a file that is no picture": (FORM, PART % (b'; filename="a"', b"x"), (422, "unusable_picture")),
    "no JSON": ("application/json", b"{", (400, "bad_request")),
    "JSON of no text": ("application/json", b"\xff\xfe", (400, "bad_request")),
    "deep JSON": ("application/json", b"[" * 100_000, (400, "bad_request")),
    "JSON of another kind": ("application/json", b"[1, 2]", (400, "bad_request")),
    "JSON without a picture": ("application/json", b"{}", (400, "bad_request")),
    "JSON with more": ("application/json", b'{"image": "aGk=", "more": 1}', (400, "bad_request")),
    "JSON with a number": ("application/json", b'{"image": 12}', (400, "bad_request")),
    "no base64": ("application/json", b'{"image": "a!"}', (400, "bad_request")),
    "base64 beyond ASCII": ("application/json", '{"image": "ä"}'.encode(), (400, "bad_request")),
    "an empty picture in JSON": ("application/json", b'{"image": ""}', (400, "bad_request")),
    "base64 of no picture": ("application/json", b'{"image": "aGk="}', (422, "unusable_picture")),
}


@pytest.mark.parametrize("kind", BAD_REQUESTS)
def test_a_bad_request_is_refused(kind: str, server: Running) -> None:
    content_type, body, expected = BAD_REQUESTS[kind]
    headers = {"Content-Type": content_type} if content_type else {}
    with server.client() as client:
        assert refusal(client.post("/predict", content=body, headers=headers)) == expected


def test_the_example_in_the_description_is_answered(server: Running) -> None:
    with server.client() as client:
        assert client.post("/predict", json={"image": EXAMPLE}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("GET", "/nowhere", (404, "not_found")), ("GET", "/predict", (405, "method_not_allowed")),
     ("DELETE", "/", (405, "method_not_allowed")), ("GET", "/predict/", (404, "not_found"))],
)  # fmt: skip
def test_what_there_is_not_is_told_in_the_same_form(
    method: str, path: str, expected: tuple[int, str], server: Running
) -> None:
    with server.client() as client:
        assert refusal(client.request(method, path)) == expected


def test_what_is_no_http_is_told_in_the_same_form(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'{"error":{"code":"bad_request"' in answer


def test_an_announced_body_is_refused_before_it_is_sent(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 999999999\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_grows_is_refused_and_memory_stays_flat(server: Running) -> None:
    """400 MB in pieces, none of which says how many follow."""
    with server.client() as client:
        before = server.megabytes()
        for _ in range(4):
            pieces = (bytes(MB) for _ in range(100))
            assert refusal(client.post("/predict", content=pieces, headers={"Content-Type": "image/png"})) == (
                413,
                "too_large",
            )
        assert server.megabytes() - before < FLAT_MB


def test_bombs_leave_memory_flat(server: Running) -> None:
    """A half-megabyte file of 179 megapixels would be 540 MB; one of 48 is decoded, and forgotten."""
    largest = encoded("PNG", noise(8, 8).resize((8000, 6000)))
    server.predict(largest)
    before = server.megabytes()
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(server.predict, [huge_png()] * 24 + [largest] * 4))
    assert [refusal(answer) for answer in answers[:24]] == [(422, "unusable_picture")] * 24
    assert [answer.status_code for answer in answers[24:]] == [200] * 4
    assert server.megabytes() - before < FLAT_MB


def test_fewer_megapixels_can_be_asked_for(start: Start) -> None:
    assert Limits().max_megapixels == MAX_MEGAPIXELS
    server = start("--max-megapixels", "0.01", "--max-megabytes", "0.02")
    assert server.predict(encoded("JPEG", noise(100, 100).resize((100, 100)))).status_code == 200
    refused = server.predict(encoded("PNG", noise(8, 8).resize((101, 100))))
    assert refusal(refused) == (422, "unusable_picture")
    assert refused.json()["error"]["reason"] == "too large: 0.0101 megapixels; expected at most 0.01"
    assert refusal(server.predict(bytes(20_001))) == (413, "too_large")
    assert refusal(server.predict(bytes(20_000))) == (422, "unusable_picture")


def fails_at_black(model: Path, target: Path) -> None:
    """An ONNX file whose answers to a batch with an all-black picture are an error of ONNX Runtime.

    Of each picture's brightest value it makes an index into a table whose entry for black is not there.
    """
    poisoned = onnx.load(model)
    graph = poisoned.graph
    logits = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["healthy" if name == logits else name for name in node.output]
    constants = {
        "axes": np.array([1, 2, 3]), "table": np.zeros(1, np.float32), "black": np.float32(0), "far": np.int64(9),
        "near": np.int64(0),
    }  # fmt: skip
    for name, value in constants.items():
        kind = TensorProto.FLOAT if np.asarray(value).dtype == np.float32 else TensorProto.INT64
        array = np.asarray(value)
        graph.initializer.append(helper.make_tensor(name, kind, array.shape, array.flatten().tolist()))
    graph.node.extend(
        [
            helper.make_node("ReduceMax", [graph.input[0].name, "axes"], ["brightest"], keepdims=0),
            helper.make_node("Equal", ["brightest", "black"], ["is_black"]),
            helper.make_node("Where", ["is_black", "far", "near"], ["index"]),
            helper.make_node("Gather", ["table", "index"], ["nothing"]),
            helper.make_node("Unsqueeze", ["nothing", "one"], ["column"]),
            helper.make_node("Add", ["healthy", "column"], [logits]),
        ]
    )
    graph.initializer.append(helper.make_tensor("one", TensorProto.INT64, (1,), [1]))
    onnx.save(poisoned, target)


def poisoned_among_neighbors(server: Running, pictures: list[Path], n_requests: int) -> None:
    contents = [picture.read_bytes() for picture in pictures]
    alone = [found(server.predict(content).json()) for content in contents]
    bad = [content for content, _ in bad_pictures().values() if content]
    black = encoded("PNG", noise().point(lambda value: 0))
    draws = random.Random(0)
    kinds = [draws.choice(["good", "good", "bad", "black"]) for _ in range(n_requests)]

    def ask(place: int) -> None:
        if kinds[place] == "good":
            number = place % len(contents)
            answer = server.predict(contents[number])
            assert answer.status_code == 200, answer.text
            assert found(answer.json()) == pytest.approx(alone[number], abs=CLOSE)
        elif kinds[place] == "bad":
            assert refusal(server.predict(bad[place % len(bad)])) == (422, "unusable_picture")
        else:
            assert refusal(server.predict(black)) == (500, "model_failed")

    with ThreadPoolExecutor(24) as clients:
        list(clients.map(ask, range(n_requests)))
    assert {"good", "bad", "black"} == set(kinds)


@pytest.fixture
def poisonable(exported: Path, tmp_path: Path, start: Start) -> Running:
    fails_at_black(exported / ONNX, tmp_path / "model.onnx")
    return start("--wait-ms", "20", model=tmp_path / "model.onnx")


def test_a_poisoned_request_harms_none_of_its_neighbors(poisonable: Running, pictures: list[Path]) -> None:
    poisoned_among_neighbors(poisonable, pictures, 50)


@pytest.mark.long
def test_a_thousand_requests_with_poisoned_ones_among_them(poisonable: Running, pictures: list[Path]) -> None:
    poisoned_among_neighbors(poisonable, pictures, 1000)


def fuzzed(server: Running, folder: Path, n_examples: int) -> str:
    """What schemathesis says of so many examples of each request, beside those at the limits of what is described.

    Not of `positive_data_acceptance`: no schema says which bytes are a picture.
    """
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--no-color"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(n_examples), "--generation-deterministic"),
        *("--exclude-checks", "positive_data_acceptance"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return done.stdout


def n_generated(said: str) -> int:
    return int(said.partition(" generated, ")[0].rsplit(maxsplit=1)[-1].replace(",", ""))


def test_no_generated_request_breaks_what_is_described(server: Running, tmp_path: Path) -> None:
    assert n_generated(fuzzed(server, tmp_path, 10)) > 30


@pytest.mark.long
def test_no_thousand_generated_requests_break_what_is_described(server: Running, tmp_path: Path) -> None:
    assert n_generated(fuzzed(server, tmp_path, 1000)) > 1000


def test_neighbors_are_answered_while_others_send_what_they_like(server: Running, pictures: list[Path]) -> None:
    """Random bytes, cut pictures and altered ones, for as long as it takes to answer a hundred."""
    content, draws, over = pictures[0].read_bytes(), random.Random(1), threading.Event()
    expected = server.predict(content).json()

    def disturb() -> None:
        while not over.is_set():
            altered = bytearray(content)
            for _ in range(draws.randrange(1, 20)):
                altered[draws.randrange(len(altered))] = draws.randrange(256)
            kinds = (draws.randbytes(1000), bytes(altered), content[: draws.randrange(1, len(content))])
            answer = server.predict(draws.choice(kinds))
            assert answer.status_code == 200 or refusal(answer)[0] == 422

    with ThreadPoolExecutor(4) as others:
        disturbing = [others.submit(disturb) for _ in range(4)]
        try:
            for _ in range(100):
                answer = server.predict(content)
                assert found(answer.json()) == pytest.approx(found(expected), abs=CLOSE)
        finally:
            over.set()
        for one in disturbing:
            one.result()


def test_base64_of_a_picture_is_the_picture(server: Running, pictures: list[Path]) -> None:
    content = pictures[0].read_bytes()
    with server.client() as client:
        text = base64.b64encode(content).decode()
        assert client.post("/predict", json={"image": text}).json() == server.predict(content).json()
        assert refusal(client.post("/predict", json={"image": text[:-5]}))[0] in (400, 422)
