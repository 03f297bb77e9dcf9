"""A server answers what `pawprint predict` answers, alone and in company, in each way a picture can be sent."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.in_process import pawprint
from tests.serve.conftest import ONNX, Running, Start

CHECKPOINT = "models/train/baseline/baseline-s0"
CLOSE = 1e-6


def expected(exported: Path, pictures: list[Path], model: str) -> list[dict[str, float]]:
    done = pawprint(exported, "predict", *map(str, pictures), "--model", model, "--top", "9", "--json")
    assert done.returncode == 0, done.stderr
    return [
        {likely["class"]: likely["probability"] for likely in picture["classes"]}
        for picture in json.loads(done.stdout)["pictures"]
    ]


def found(answer: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    return {likely["class"]: likely["probability"] for likely in answer["classes"]}


@pytest.mark.parametrize("model", [ONNX, CHECKPOINT])
def test_answers_are_those_of_predict_alone_and_in_batches(
    model: str, exported: Path, pictures: list[Path], start: Start
) -> None:
    server, alone = start("--wait-ms", "50", model=model), expected(exported, pictures, model)
    contents = [picture.read_bytes() for picture in pictures]
    with ThreadPoolExecutor(24) as clients:
        together = list(clients.map(server.predict, contents * 6))
    for answers in ([server.predict(content) for content in contents], together):
        for number, answer in enumerate(answers):
            assert answer.status_code == 200, answer.text
            assert found(answer.json()) == pytest.approx(alone[number % len(alone)], abs=CLOSE)
            shares = [likely["probability"] for likely in answer.json()["classes"]]
            assert shares == sorted(shares, reverse=True)
    assert len({tuple(answer.items()) for answer in alone}) > 1, "else pictures could be mixed up unseen"


def test_each_way_to_send_a_picture_has_the_same_answer(server: Running, pictures: list[Path]) -> None:
    content = pictures[0].read_bytes()
    with server.client() as client:
        answers = [
            client.post("/predict", files={"image": ("any name", content)}),
            client.post("/predict", files={"image": content}, data={"more": "that is not read"}),
            client.post("/predict", content=content, headers={"Content-Type": "image/png"}),
            client.post("/predict", content=content, headers={"Content-Type": "Application/Octet-Stream; x=y"}),
            client.post("/predict", content=iter([content[:9], content[9:]]), headers={"Content-Type": "image/x"}),
            client.post("/predict", json={"image": base64.b64encode(content).decode()}),
        ]
    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
    assert all(answer.json() == answers[0].json() for answer in answers)


def test_as_many_classes_as_are_asked_for(server: Running, pictures: list[Path]) -> None:
    for top, n_classes in ((1, 1), (2, 2), (1000, 2)):
        answer = server.predict(pictures[0].read_bytes(), params={"top": top})
        assert len(answer.json()["classes"]) == n_classes
    for wrong in ("0", "-1", "many", "1001", ""):
        refused = server.predict(pictures[0].read_bytes(), params={"top": wrong})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")


def test_health_says_what_it_is(server: Running) -> None:
    with server.client() as client:
        answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert answer.json()["n_classes"] == 2


def test_it_listens_to_this_machine_alone_and_says_where_it_does(server: Running) -> None:
    assert server.place[0] == "127.0.0.1"


def test_what_cannot_begin_is_told_in_a_line(server: Running, exported: Path) -> None:
    for options, said in (
        (("--port", str(server.place[1])), "cannot listen there: Address already in use"),
        (("--host", "no.such.host.invalid", "--port", "0"), "--host no.such.host.invalid --port 0: cannot listen"),
        (("--model", "nowhere.onnx"), "--model nowhere.onnx: no such file"),
    ):
        done = pawprint(exported, "serve", "--model", ONNX, *options)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
