"""What one person pushes, another pulls in a clone elsewhere; what fails, fails clearly and leaves nothing damaged.

Real DVC, real servers on loopback, set up by the very lines of README's "Share models". Every clone has a home and a
cache of its own, as on another machine.
"""

import hashlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from tests.clone import ROOT, clone, edit, ran
from tests.guarantees.row import Row
from tests.guarantees.servers import FolderObjects, NoServer, Relay, Remote, bucket_remote, ssh_remote, web_remote
from tests.in_process import pawprint

KINDS = ("folder", "HTTP", "S3", "SSH")
LONGEST_SECONDS = 150.0  # that a command may take: S3's client tries an address that is away for a minute
INTERRUPT_SECONDS = 20.0  # from Ctrl-C to the end
PATIENCE_SECONDS = 5.0  # until a person presses it again
RUN_ALL = (
    "import json, sys; from dvc.cli import main; sys.exit(max(main(line[1:]) for line in json.loads(sys.argv[1])))"
)
SETTINGS = {
    "mlp_widths": [256], "batch_size": 4, "epochs": 2, "checks": {}, "probes": {"brightness": {"factors": [0.5, 1.0]}},
    "probed": ["baseline"], "questions": {}, "variants": {"baseline": {}, "lr_1e-2": {"lr": 0.01}},
}  # fmt: skip
STAGES = (
    "fetch", "resolve", "prepare", "pretrain", "start", "check", "train baseline", "train lr_1e-2", "test baseline",
    "test lr_1e-2", "probe baseline", "compare", "report",
)  # fmt: skip
LISTS = ("models", "plots/train", "plots/test", "data")  # folders whose files DVC brings

SHARED = "What is pushed is pulled in a clone elsewhere: one stage, one path, everything"
REFUSED = "Wrong credentials, a server that is away or never answers: an error, and nothing is there"
CUT = "A server that dies in the middle of a pull: an error, no cut file, and the next pull completes"
DAMAGED = "A bit flipped in the store: no damaged file is used, and the next pull from a mended store completes"


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    text: str  # stdout and stderr
    seconds: float


class Clone:
    """A clone with a home of its own, in which commands run as a person's would; nothing of the caller's is seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        home = folder.with_name(f"{folder.name}-home")
        home.mkdir(exist_ok=True)
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home), "DVC_SITE_CACHE_DIR": str(home / "dvc"), "LANG": "C.UTF-8", "NO_COLOR": "1",
            "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1", "AWS_EC2_METADATA_DISABLED": "true",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
        }  # fmt: skip

    def tried(self, *command: str, then: Callable[[subprocess.Popen[bytes]], None] | None = None) -> Said:
        """Run it to its end, whatever that is; `then` is called once it runs."""
        started, log = time.monotonic(), self.folder.with_name(f"{self.folder.name}.log")
        with log.open("wb") as output, hearing_interrupts():
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            if then:
                then(process)
            code = process.wait(LONGEST_SECONDS)
        finally:
            with_group_gone(process)
        return Said(code, log.read_text(errors="replace"), time.monotonic() - started)

    def run(self, *command: str) -> str:
        said = self.tried(*command)
        assert said.code == 0, f"{shlex.join(command)}: exit {said.code} after {said.seconds:.0f} s\n{said.text}"
        return said.text

    def run_dvc(self, lines: list[list[str]]) -> None:
        """Several `dvc …` in one process: most of such a line's time is DVC's start."""
        if lines:
            self.run(sys.executable, "-c", RUN_ALL, json.dumps(lines))

    def files(self, *places: str) -> dict[str, bytes]:
        """What DVC brought, by name."""
        found = [path for place in places or LISTS for path in (self.folder / place).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def damaged_objects(self) -> list[str]:
        """Objects of the cache that are not what their name says."""
        objects = [path for path in (self.folder / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
        named = {path: (path.parent.name + path.name).removesuffix(".dir") for path in objects}
        return [str(path) for path in objects if hashlib.md5(path.read_bytes()).hexdigest() != named[path]]


@contextmanager
def hearing_interrupts() -> Iterator[None]:
    """What is started inside hears Ctrl-C, even if this process was started in the background and does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def with_group_gone(process: subprocess.Popen[bytes]) -> None:
    """Nothing that a command started outlives it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass
class Study:
    """A study that was run, and what its models say of a picture."""

    scratch: Path
    original: Clone
    picture: Path
    answer: str
    n_clones: int = 0

    def cloned(self, remote: Remote, credentials: dict[str, str] | None = None) -> Clone:
        """Elsewhere: without data, models and cache; the address comes with git, the credentials do not."""
        self.n_clones += 1
        other = Clone(self.scratch / f"clone{self.n_clones}")
        self.original.run("git", "clone", "-q", str(self.original.folder), str(other.folder))
        other.run_dvc(credential_lines(remote.credentials if credentials is None else credentials))
        return other


@dataclass
class Tally:
    """What was tried of each guarantee, and what did not hold."""

    tried: dict[str, list[Said | None]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    notes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (guarantee, what else was seen) → how often
    missing: list[str] = field(default_factory=list)  # servers that could not be had

    @contextmanager
    def trial(self, guarantee: str, what: str) -> Iterator[list[Said]]:
        """An AssertionError inside is a promise that was not held; what is put into the list is timed."""
        said: list[Said] = []
        try:
            yield said
        except (AssertionError, subprocess.TimeoutExpired) as error:
            self.broken.append(f"{guarantee}: {what}: {error}")
        self.tried.setdefault(guarantee, []).append(max(said, key=lambda one: one.seconds, default=None))

    def row(self, guarantee: str, how: str) -> Row:
        tried = self.tried.get(guarantee, [])
        broken = [fault.removeprefix(f"{guarantee}: ") for fault in self.broken if fault.startswith(guarantee)]
        seconds = [said.seconds for said in tried if said]
        parts = [how, *([f"an error within {max(seconds):.0f} s"] if seconds else [])]
        parts += [f"{n} of them: {what}" for (of, what), n in self.notes.items() if of == guarantee]
        parts += [f"not tried: {reason}" for reason in self.missing] + [f"NOT HELD: {fault}" for fault in broken]
        return Row(guarantee, len(tried), len(tried) - len(broken), "; ".join(parts))


def remotes(scratch: Path, n_faults: int, seed: int, kinds: Sequence[str] = KINDS) -> list[Row]:
    """Each kind of remote: shared once, refused in every way, cut `n_faults` times, and as many bits flipped."""
    study, tally = trained_study(scratch), Tally()
    for kind in kinds:
        try:
            with served(kind, scratch) as remote:
                try_out(study, remote, tally, n_faults, random.Random(f"{seed} {kind}"))
        except NoServer as error:
            tally.missing.append(f"{kind}: {error}")
    among = f"by {', '.join(kinds)}"
    return [
        tally.row(SHARED, f"{among}: then `dvc repro` ran nothing, and `pawprint predict` said the same"),
        tally.row(REFUSED, f"{among}, each that can happen there (HTTP: as missing files); then all was right"),
        tally.row(CUT, "10 to 90 % of the bytes had passed; cache and workspace were looked through"),
        tally.row(DAMAGED, f"{among}: a random bit of a random object of a model"),
    ]


def try_out(study: Study, remote: Remote, tally: Tally, n_faults: int, chance: random.Random) -> None:
    configure(study.original, remote)
    n_bytes = share(study, remote, tally)
    if n_bytes is None:
        return
    refuse(study, remote, tally)
    for number in range(n_faults):
        if remote.relay:
            cut(study, remote, tally, round(n_bytes * chance.uniform(0.1, 0.9)))
        damage(study, remote, tally, chance, of_the_list=number == 0)


def trained_study(scratch: Path) -> Study:
    """A small study, run in this process (its imports are paid once) and taken over by DVC."""
    folder = scratch / "original"
    draw(scratch / "pictures")
    clone(folder, **SETTINGS)
    edit(folder / "params.yaml", {}, {"source": "folder", "path": "../pictures"})
    with mock.patch.dict(os.environ, {"PAWPRINT_RUNS": str(scratch / "runs"), "PAWPRINT_PROGRESS": "quiet"}):
        for stage in STAGES:
            name, *arguments = stage.split()
            done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
            assert done.returncode == 0, done.stderr
    original = Clone(folder)
    original.run("git", "rm", "-rqf", "studies")
    original.run("dvc", "commit", "--force", "--quiet")
    original.run("git", "add", "-A")
    original.run("git", "commit", "-qm", "results")
    original.run("git", "branch", "results")
    picture = scratch / "pictures/cat/0.png"
    return Study(scratch, original, picture, answer(original, picture))


def draw(folder: Path) -> None:
    """Eight pictures of each of two classes, told apart by their brightness."""
    noise = np.random.default_rng(0)
    for number, label in enumerate(("cat", "dog")):
        (folder / label).mkdir(parents=True)
        for name in range(8):
            pixels = noise.integers(0, 120, (24, 24, 3)) + 100 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{name}.png")


def answer(place: Clone, picture: Path) -> str:
    """What `pawprint predict` says there, asked in this process."""
    done = pawprint(place.folder, "predict", str(picture), "--json")
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def served(kind: str, scratch: Path) -> Iterator[Remote]:
    """The remote of a kind; the web server serves the folder that the default remote is."""
    beside = scratch / "pawprint-remote"
    if kind == "folder":
        yield Remote("folder", FolderObjects(beside))
    else:
        make = {"HTTP": lambda: web_remote(beside), "S3": lambda: bucket_remote(scratch), "SSH": ssh_remote}[kind]
        with make() as remote:
            yield remote


def configure(original: Clone, remote: Remote) -> None:
    """The team's lines of README, with this server's addresses in them, committed; and its pusher's credentials."""
    original.run("git", "switch", "--quiet", "--force-create", remote.kind, "results")
    (original.folder / ".dvc/config.local").unlink(missing_ok=True)
    original.run_dvc(team_lines(remote))
    original.run("git", "commit", "-q", "--allow-empty", "-am", f"remote: {remote.kind}")
    if remote.environment:
        original.environment |= remote.environment
    else:
        original.run_dvc(credential_lines(remote.credentials))


def team_lines(remote: Remote) -> list[list[str]]:
    """README's three lines for a kind of remote; none for the folder, which is there already."""
    if remote.kind == "folder":
        return []
    scheme = {"HTTP": "https"}.get(remote.kind, remote.kind.lower())
    (block,) = [block for block in shell_blocks() if block.startswith(f"dvc remote add --default team {scheme}://")]
    for example, real in remote.readme.items():
        assert example in block, f"README: {example}"
        block = block.replace(example, real)
    return [shlex.split(line, comments=True) for line in block.splitlines()]


def credential_lines(credentials: dict[str, str]) -> list[list[str]]:
    """README's line for each, with another value."""
    (block,) = [block for block in shell_blocks() if block.startswith("dvc remote modify --local")]
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    by_option = {line[-2]: line[:-1] for line in lines}
    return [[*by_option[option], value] for option, value in credentials.items()]


def shell_blocks() -> list[str]:
    """Of the README's section on sharing."""
    _, _, after = (ROOT / "README.md").read_text().partition("\n## Share models\n")
    return re.findall(r"```sh\n(.*?)```", after.partition("\n## ")[0], re.DOTALL)


def share(study: Study, remote: Remote, tally: Tally) -> int | None:
    """Push; pull a stage, a path and everything elsewhere. Returns how many bytes the stage took; None: it failed."""
    original = study.original
    with tally.trial(SHARED, remote.kind):
        original.run("dvc", "push", *([] if remote.can_push else ["--remote", "beside"]))
        other = study.cloned(remote)
        n_bytes = pull_stage(study, other, remote)
        other.run("dvc", "pull", "models/train/lr_1e-2")
        assert other.files("models") == original.files("models/train")
        pull_everything(study, other)
        return n_bytes
    return None


def pull_stage(study: Study, other: Clone, remote: Remote) -> int:
    """A model and its curves, and no more: it answers. Returns how many bytes came through the relay."""
    before = remote.relay.n_passed if remote.relay else 0
    other.run("dvc", "pull", "train@baseline")
    n_bytes = (remote.relay.n_passed if remote.relay else 0) - before
    of_the_stage = study.original.files("models/train/baseline", "plots/train/baseline")
    assert len(of_the_stage) == 4
    assert other.files() == of_the_stage, "pulled more or less than the stage"
    assert other.run("pawprint", "predict", str(study.picture), "--json") == study.answer
    return n_bytes


def pull_everything(study: Study, other: Clone) -> None:
    """After it there is nothing left to run."""
    other.run("dvc", "pull")
    assert other.files() == study.original.files()
    assert ran(other.run("dvc", "repro")) == set()
    assert other.run("git", "status", "--short") == ""
    assert other.damaged_objects() == []


def refuse(study: Study, remote: Remote, tally: Tally) -> None:
    """Everything that keeps a server from giving, one after the other; then all is right, and the pull completes."""
    other = study.cloned(remote, remote.wrong_credentials)
    if remote.wrong_credentials:
        with tally.trial(REFUSED, f"{remote.kind}: wrong credentials") as said:
            said.append(refused(other, "dvc", "pull", "train@baseline"))
            assert other.files() == {}
        other.run_dvc(credential_lines(remote.credentials))
    with tally.trial(REFUSED, f"{remote.kind}: away") as said, away(remote):
        said.append(refused(other, "dvc", "pull", "train@baseline"))
        assert other.files() == {}
    if remote.relay:
        with tally.trial(REFUSED, f"{remote.kind}: never answers"):
            interrupt_silence(other, remote.relay)
            assert other.files() == {}
    with tally.trial(REFUSED, f"{remote.kind}: all is right"):
        completes(study, other)


@contextmanager
def away(remote: Remote) -> Iterator[None]:
    """The server is switched off, or the folder's disk is not there."""
    if remote.relay:
        remote.relay.die()
        yield
        remote.relay.heal()
    else:
        folder = remote.objects.folder
        folder.rename(folder.with_name("elsewhere"))
        yield
        folder.with_name("elsewhere").rename(folder)


def interrupt_silence(other: Clone, relay: Relay) -> None:
    """Ctrl-C at a server that takes everything and says nothing: DVC would ask it for hours."""

    def interrupt(process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + LONGEST_SECONDS
        while relay.n_swallowed == before:
            assert process.poll() is None, "it did not ask the server"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1)
        deadline = time.monotonic() + INTERRUPT_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_SECONDS)
        assert process.poll() is not None, "Ctrl-C does not end it"

    before = relay.n_swallowed
    relay.fall_silent()
    try:
        said = other.tried("dvc", "pull", "train@baseline", then=interrupt)
    finally:
        relay.heal()
    assert said.code != 0
    assert "Traceback" not in said.text, said.text


def cut(study: Study, remote: Remote, tally: Tally, n_bytes: int) -> None:
    """The server dies when so much of a pull has passed, and comes back."""
    with tally.trial(CUT, f"{remote.kind}: after {n_bytes} bytes") as said:
        other = study.cloned(remote)
        remote.relay.die_after(n_bytes)
        try:
            said.append(refused(other, "dvc", "pull", "train@baseline"))
            assert remote.relay.is_dead
        finally:
            remote.relay.heal()
        assert_sound(study, other)
        completes(study, other)


def damage(study: Study, remote: Remote, tally: Tally, chance: random.Random, of_the_list: bool) -> None:
    """Flip a bit of one object of a model in the store, or of the list of its files; then mend it."""
    objects = model_objects(study, remote)
    key = chance.choice([key for key in objects if key.endswith(".dir") or not of_the_list])
    whole = remote.objects.read(key)
    damaged, place, bit = bytearray(whole), chance.randrange(len(whole)), chance.randrange(8)
    damaged[place] ^= 1 << bit
    with tally.trial(DAMAGED, f"{remote.kind}: {key}, bit {bit} of byte {place}"):
        other = study.cloned(remote)
        remote.objects.write(key, bytes(damaged))
        try:
            said = other.tried("dvc", "pull", "models/train/baseline")
        finally:
            remote.objects.write(key, whole)
        if said.code == 0:
            assert key.endswith(".dir"), "pulled a damaged file"
            tally.notes[DAMAGED, "`dvc pull` took a damaged list of files, `pawprint predict` did not"] += 1
            refused(other, "pawprint", "predict", str(study.picture))
        else:
            assert_sound(study, other)
        if other.tried("dvc", "pull", "models/train/baseline").code != 0:
            tally.notes[DAMAGED, "DVC remembered the damaged list, and a second pull was needed"] += 1
            other.run("dvc", "pull", "models/train/baseline")
        assert_whole(study, other)


def model_objects(study: Study, remote: Remote) -> list[str]:
    """The keys, in the store, of a model's files and of their list."""
    files = study.original.files("models/train/baseline").values()
    names = [hashlib.md5(content).hexdigest() for content in files]
    lock = (study.original.folder / "dvc.lock").read_text()
    names += re.findall(r"path: models/train/baseline\n +hash: md5\n +md5: (\S+)", lock)[:1]
    endings = [f"{name[:2]}/{name[2:]}" for name in names]
    keys = [key for key in remote.objects.keys() if key.endswith(tuple(endings))]  # noqa: SIM118
    assert len(keys) == len(endings) == 3
    return keys


def refused(other: Clone, *command: str) -> Said:
    """It fails, in time, with an error and no traceback."""
    said = other.tried(*command)
    assert said.code not in (0, None), f"{shlex.join(command)} ended well:\n{said.text}"
    assert re.search(r"ERROR: |pawprint: ", said.text), said.text
    assert "Traceback" not in said.text, said.text
    return said


def assert_sound(study: Study, other: Clone) -> None:
    """Whatever is there is what was pushed."""
    whole = study.original.files()
    strange = [name for name, content in other.files().items() if whole.get(name) != content]
    assert strange == [], "files that were never pushed"
    assert other.damaged_objects() == []


def assert_whole(study: Study, other: Clone) -> None:
    """The model is there and answers, and nothing else than what was pushed."""
    assert other.files("models/train/baseline") == study.original.files("models/train/baseline")
    assert_sound(study, other)
    assert answer(other, study.picture) == study.answer


def completes(study: Study, other: Clone) -> None:
    other.run("dvc", "pull", "train@baseline")
    assert_whole(study, other)
