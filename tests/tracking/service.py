"""A stand-in for W&B's service on loopback, that W&B's own client speaks to: sound, or faulty in one way."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SOUND_ANSWERS = 5  # before a fault that comes later: enough for the client to have begun a run
SLOW_SECONDS = 10.0
FAULTS = (
    "unreachable",  # nothing listens
    "black hole",  # takes connections, and never answers
    "slow",  # 10 s an answer
    "500",
    "500 after the first answers",
    "dies in the middle",
    "hangs at the last call",
    "refuses the rows",  # 403: the client gives up at once, and ends as if all were well
    "refuses the key",
)


@dataclass
class Service:
    """What has arrived, and how it answers; `fault` is one of FAULTS, or empty."""

    fault: str = ""
    url: str = ""
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # run id → rows
    summary: dict[str, str] = field(default_factory=dict)
    config: dict[str, dict[str, Any]] = field(default_factory=dict)
    opened: dict[str, dict[str, Any]] = field(default_factory=dict)  # run id → what it was first created with
    n_requests: int = 0
    unknown: list[str] = field(default_factory=list)  # what the client asked that no answer is known to
    dead: bool = False
    over: threading.Event = field(default_factory=threading.Event)  # lets hanging answers end with the test

    def environment(self, mode: str = "online") -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "a" * 40, "WANDB_MODE": mode}

    def answer(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        if path == "/graphql":
            name = re.search(r"(?:query|mutation)\s+(\w+)", content["query"])
            assert name is not None
            return {"data": self.graphql(name[1], content.get("variables") or {})}
        if path.endswith("/file_stream"):
            self.take(path.split("/")[-2], content.get("files", {}))
        return {}

    def take(self, run: str, files: dict[str, Any]) -> None:
        if "wandb-history.jsonl" in files:
            chunk = files["wandb-history.jsonl"]
            self.history[run][chunk["offset"] :] = [json.loads(line) for line in chunk["content"]]
        if "wandb-summary.json" in files:
            self.summary[run] = files["wandb-summary.json"]["content"][-1]

    def graphql(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        run = str(given.get("name"))
        project = {"id": "p", "name": "pawprint", "entity": {"id": "e", "name": "me"}}
        if operation in ("Viewer", "GetDefaultEntity"):
            viewer = {"id": "v", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
            return {"viewer": viewer}
        if operation == "RunResumeStatus":
            return {"model": {**project, "bucket": self.run(run)}}
        if operation == "UpsertBucket":
            self.opened.setdefault(run, given)
            self.history.setdefault(run, [])
            self.config[run] = json.loads(given["config"] or "{}")
            bucket = {**self.run(run), "description": "", "sweepName": None, "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/storage/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        if operation == "Run":
            return {"project": {"internalId": "1", "run": self.run(run)}}
        self.unknown.append(operation)
        return {}

    def run(self, run: str) -> dict[str, Any] | None:
        if run not in self.history:
            return None
        rows = self.history[run]
        return {
            "id": "r", "name": run, "displayName": self.opened[run]["displayName"], "state": "running", "tags": [],
            "notes": None, "config": json.dumps(self.config[run]), "wandbConfig": json.dumps({"t": {}}),
            "summaryMetrics": self.summary.get(run, "{}"), "historyLineCount": len(rows), "eventsLineCount": 0,
            "logLineCount": 0, "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]), "eventsTail": "[]",
            "projectId": "1", "user": {"name": "me", "username": "me"},
        }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service
    server: "Server"

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"] or 0))
        service, fault = self.service, self.service.fault
        service.n_requests += 1
        late, rows = service.n_requests > SOUND_ANSWERS, self.path.endswith("/file_stream")
        if fault == "black hole" or (fault == "hangs at the last call" and b'"complete":true' in content):
            service.over.wait()
        if fault == "slow":
            service.over.wait(SLOW_SECONDS)
        if fault == "dies in the middle" and late and not service.dead:
            service.dead = True
            threading.Thread(target=self.server.end).start()
        if service.dead or service.over.is_set():
            self.close_connection = True
        elif fault == "500" or (fault == "500 after the first answers" and late):
            self.reply(500, {})
        elif fault == "refuses the key" or (fault == "refuses the rows" and rows):
            self.reply(401 if fault == "refuses the key" else 403, {"errors": [{"message": "not for you"}]})
        else:
            self.reply(200, service.answer(self.path, json.loads(content)))

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.reply(200, {})

    def reply(self, status: int, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def end(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """A client that was killed: told by what has arrived."""


@contextmanager
def serve(fault: str = "") -> Iterator[Service]:
    """A service with one of FAULTS, or a sound one."""
    service = Service(fault)
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"service": service}))
    service.url = f"http://127.0.0.1:{server.server_port}"
    if fault == "unreachable":
        server.server_close()
        yield service
        return
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield service
    finally:
        service.over.set()
        if not service.dead:
            server.end()
