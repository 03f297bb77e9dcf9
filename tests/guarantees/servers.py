"""Real servers on loopback for DVC's remotes: a web server, moto's S3, OpenSSH's sshd; and a relay that can fail.

Each server keeps its objects where a test can damage them, and is reached through a `Relay`: to the client, a relay
that dies or falls silent in the middle of a transfer is a server that does.
"""

import base64
import getpass
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol
from unittest import mock

HERE = "127.0.0.1"
START_SECONDS = 30.0  # within which a server must answer
BLOCK = 16_384  # bytes that the relay passes on at once
SSHD_PLACES = ("/usr/sbin", "/usr/local/sbin")
SSHD_PACKAGES = ("openssh-server", "libwrap0")


class NoServer(Exception):
    """A server cannot be had on this machine; the message says how to get it."""


class Objects(Protocol):
    """What a remote holds, seen from the server's side."""

    def keys(self) -> list[str]: ...

    def read(self, key: str) -> bytes: ...

    def write(self, key: str, content: bytes) -> None: ...


@dataclass(frozen=True)
class FolderObjects:
    folder: Path

    def keys(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def read(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        (self.folder / key).chmod(0o644)
        (self.folder / key).write_bytes(content)


@dataclass
class BucketObjects:
    client: object
    bucket: str

    def keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)


@dataclass
class Remote:
    """A server as a person meets it."""

    kind: str
    objects: Objects
    relay: "Relay | None" = None  # None: a folder, which no server stands before
    readme: dict[str, str] = field(default_factory=dict)  # an address in README's lines → this server's
    credentials: dict[str, str] = field(default_factory=dict)  # for `dvc remote modify --local`
    wrong_credentials: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)  # the same credentials, where they may stand there
    can_push: bool = True


class Relay:
    """A port that passes everything on to a server's, until it is told to fail as the server would.

    `n_passed` counts the bytes that went from the server to its clients, `n_swallowed` what clients sent in vain.
    """

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.n_passed = self.n_swallowed = 0
        self._limit: int | None = None
        self._silent = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.heal()

    def heal(self) -> None:
        """Listen, and pass everything on."""
        self.die()
        self._limit = None
        self._silent.clear()
        self._listener = socket.create_server((HERE, self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def die(self) -> None:
        """Close every connection and the port, as the kernel does for a process that is killed."""
        listener = getattr(self, "_listener", None)
        with self._lock:
            sockets, self._connections = [*self._connections, *([listener] if listener else [])], set()
        for end in sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._listener = None

    @property
    def is_dead(self) -> bool:
        return self._listener is None

    def die_after(self, n_bytes: int) -> None:
        """Die when so many more bytes have come from the server."""
        self._limit = self.n_passed + n_bytes

    def fall_silent(self) -> None:
        """Take connections and what is sent, and never answer."""
        self._silent.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection((HERE, self.target))
            except OSError:
                return
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small answers at once
            with self._lock:
                self._connections |= {client, server}
            for source, sink, counted in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, counted), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while block := source.recv(BLOCK):
                if self._silent.is_set():
                    self.n_swallowed += len(block)
                    continue
                if counted and not self._may_pass(len(block)):
                    self.die()
                    return
                sink.sendall(block)
        except OSError:
            pass
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _may_pass(self, n_bytes: int) -> bool:
        with self._lock:
            self.n_passed += n_bytes
            return self._limit is None or self.n_passed <= self._limit


def free_port() -> int:
    with socket.create_server((HERE, 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def web_remote(folder: Path) -> Iterator[Remote]:
    """`folder` over HTTP, read-only, for one user with a password."""
    server = _WebServer((HERE, 0), partial(_PasswordedFolder, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    relay = Relay(server.server_address[1])
    good = {"user": USER, "password": PASSWORD}
    try:
        yield Remote(
            kind="HTTP", objects=FolderObjects(folder), relay=relay,
            readme={"https://models.example.org/pawprint": f"http://{HERE}:{relay.port}"},
            credentials=good, wrong_credentials=good | {"password": "guessed"}, can_push=False,
        )  # fmt: skip
    finally:
        relay.die()
        server.shutdown()
        server.server_close()


USER, PASSWORD = "ada", "correct horse"


class _WebServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that is gone


class _PasswordedFolder(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send_head(self):  # type: ignore[no-untyped-def]  # of GET and HEAD
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self.send_error(401)
            return None
        return super().send_head()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


@contextmanager
def bucket_remote(scratch: Path) -> Iterator[Remote]:
    """A bucket on moto's S3, which knows one user and no anonymous one."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", HERE, "--port", str(port)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(scratch), "AWS_EC2_METADATA_DISABLED": "true"}
    with _process(command, environment, scratch / "moto.log", port):
        with _nothing_from_outside():
            key, secret = _only_user(f"http://{HERE}:{port}")
            client = _aws("s3", f"http://{HERE}:{port}", key, secret)
            client.create_bucket(Bucket="our-bucket")
        relay = Relay(port)
        good = {"access_key_id": key, "secret_access_key": secret}
        yield Remote(
            kind="S3", objects=BucketObjects(client, "our-bucket"), relay=relay,
            readme={"https://s3.example.org": f"http://{HERE}:{relay.port}"},
            credentials=good, wrong_credentials=good | {"secret_access_key": "guessed"},
            environment={"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret},
        )  # fmt: skip
        relay.die()


@contextmanager
def _nothing_from_outside() -> Iterator[None]:
    """No proxy, profile or key of the caller's."""
    foreign = [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]
    with mock.patch.dict(os.environ):
        for name in foreign:
            del os.environ[name]
        yield


def _aws(service: str, endpoint: str, key: str, secret: str):  # type: ignore[no-untyped-def]
    import boto3

    session = boto3.session.Session(key, secret, region_name="us-east-1")
    return session.client(service, endpoint_url=endpoint)


def _only_user(endpoint: str) -> tuple[str, str]:
    """A user who may do everything; from then on, nobody else may do anything."""
    iam = _aws("iam", endpoint, "anybody", "anything")
    iam.create_user(UserName=USER)
    anything = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    iam.put_user_policy(UserName=USER, PolicyName="everything", PolicyDocument=anything)
    made = iam.create_access_key(UserName=USER)["AccessKey"]
    plain = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset-auth", b"0", plain)).close()
    return made["AccessKeyId"], made["SecretAccessKey"]


@contextmanager
def ssh_remote() -> Iterator[Remote]:
    """A folder behind OpenSSH's sshd, for one key."""
    with tempfile.TemporaryDirectory(prefix="pawprint-sshd-") as name:
        folder = Path(name)
        sshd, libraries = find_sshd(folder)
        user = _who_serves()
        store = folder / "store"
        store.mkdir()
        for key in ("host", "right", "wrong"):
            _ssh_key(folder / key)
        shutil.copy(folder / "right.pub", folder / "authorized_keys")
        port = free_port()
        (folder / "sshd_config").write_text(_sshd_config(folder, port))
        _hand_over(folder, user)
        command = [str(sshd), "-D", "-e", "-f", str(folder / "sshd_config")]
        environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": libraries}
        with _process(command, environment, folder / "sshd.log", port, user):
            relay = Relay(port)
            yield Remote(
                kind="SSH", objects=FolderObjects(store), relay=relay,
                readme={"models.example.org/srv/pawprint": f"{HERE}:{relay.port}{store}"},
                credentials={"user": user.pw_name, "keyfile": str(folder / "right")},
                wrong_credentials={"user": user.pw_name, "keyfile": str(folder / "wrong")},
            )  # fmt: skip
            relay.die()


def find_sshd(scratch: Path) -> tuple[Path, str]:
    """sshd and the folder of its libraries: installed, or else unpacked from Debian's packages; or NoServer."""
    found = shutil.which("sshd", path=os.pathsep.join([os.environ["PATH"], *SSHD_PLACES]))
    if found:
        return Path(found).resolve(), ""
    unpacked = scratch / "packages"
    unpacked.mkdir()
    try:
        for command in (["apt-get", "download", *SSHD_PACKAGES], ["sh", "-c", "for f in *.deb; do dpkg -x $f .; done"]):
            subprocess.run(command, cwd=unpacked, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError):
        raise NoServer("no sshd here, and apt-get cannot download one: install OpenSSH's server") from None
    (library,) = unpacked.rglob("libwrap.so.0")
    return unpacked / "usr/sbin/sshd", str(library.parent)


def _who_serves() -> pwd.struct_passwd:
    """An sshd of root's wants a user of its own on the system; any other user's serves that user alone: enough here.

    Not `nobody`, which systemd calls locked.
    """
    return pwd.getpwnam("daemon" if os.getuid() == 0 else getpass.getuser())


def _hand_over(folder: Path, user: pwd.struct_passwd) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    folder.chmod(0o755)


def _ssh_key(path: Path) -> None:
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(path)
    path.chmod(0o600)
    key.write_public_key(path.with_suffix(".pub"))


def _sshd_config(folder: Path, port: int) -> str:
    return f"""
ListenAddress {HERE}
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
Subsystem sftp internal-sftp
"""


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], log: Path, port: int, user: pwd.struct_passwd | None = None
) -> Iterator[None]:
    """A server's process in a session of its own, from its first answer to the end of the block."""
    as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user and os.getuid() == 0 else {}
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=environment, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, **as_user,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not serve: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(timeout=START_SECONDS)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HERE, port), timeout=1):
        return True
    return False
