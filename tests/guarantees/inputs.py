"""Settings and options nobody thought of: each is refused in one message that leaves nothing behind, or it works."""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from pawprint.params import read_resolved, read_study
from tests.guarantees.damaged_yaml import CANARY, Damaged, damaged
from tests.guarantees.row import Row
from tests.in_process import Done, pawprint

ROOT = Path(__file__).parents[2]
NESTED = """
study: nested
data:
  source: digits
  image_size: 8
model: mlp
mlp_widths: [8]
epochs: 1
seeds: [0]
variants:
  baseline: {}
  wide: {mlp_widths: [16], against: baseline}
  rates:
    against: wide
    runs:
      slow: {lr: 0.0001, seeds: [3]}
      fast: {lr: 0.1, optimizer: sgd, momentum: 0.9}
pretrained_source: none
pretrain: {epochs: 2, data: {n_per_class: 6}}
questions: {rate: [baseline, rates]}
checks: {output_shape: {level: stop, n_examples: 3}, learning_rate: {level: warn}}
probed: [baseline]
probes: {rotation: {angles: [0.0, 90.0]}, calibration: {max_ece: 0.1}}
trackers: []
save_every_seconds: 30
"""
STUDIES = {
    "root": (ROOT / "params.yaml").read_text(encoding="utf-8"),
    "digits": (ROOT / "studies/digits/params.yaml").read_text(encoding="utf-8"),
    "nested": NESTED,
}
READERS = ("fetch", "prepare", "check", "train", "compare", "pretrain", "start", "probe")  # beside `resolve`
OF_A_VARIANT = ("train", "test", "probe")
LARGE_BYTES = 10_000_000  # of a file that is known by its size
LONGEST_MESSAGE = 20_000  # characters: 50 faults that list the valid names
NOT_PREPARED = "no data.json; run `dvc repro prepare` first"  # where sound settings end in a folder without data
OPTIONS = [
    "--lr", "--batch-size", "--epochs", "--betas", "--optimizer", "--mlp-widths", "--seed", "--variant", "--out",
    "--model", "--threads", "--pretrained", "--lrr", "--", "-x", "--lr=", "--json", "--only", "--quiet", "--help",
]  # fmt: skip
COMMANDS = ["train", "init-data", "audit", "tain", "", "--version", "--nothing"]
WORDS = [
    "1e-2", "64", "0", "-1", "nan", ".nan", ".inf", "1e400", "9" * 5000, "[", "{", "[0.9]", "[0.9, 0.999]", "*a",
    "!!python/object/apply:os.system [touch canary]", "&a [*a]", "null", "", " ", "sgd", "basline", "baseline",
    "models/x", ".", "params.yaml/x", "x" * 300, "/proc/nothing", "\udcff", "🐾", "a: b: c", "-5", "x.py", "x.json",
    "--lr", "true",
]  # fmt: skip
WORD = st.sampled_from([*COMMANDS, *OPTIONS, *WORDS]) | st.text(st.characters(exclude_characters="\0"))


class Folder:
    """A study's folder in which commands run, resolved, and what stands in it."""

    def __init__(self, path: Path, settings: str = NESTED) -> None:
        self.path = path
        path.mkdir(parents=True)
        (path / "params.yaml").write_text(settings, encoding="utf-8")
        done = self.stage("resolve")
        assert done.returncode == 0, done.stderr

    def stage(self, name: str, *arguments: str) -> Done:
        return pawprint(self.path, *arguments, module=f"pawprint.stages.{name}")

    def listing(self) -> dict[str, str]:
        """Every file, folder and link below, with its content's hash."""
        return {str(place.relative_to(self.path)): _hash(place) for place in sorted(self.path.rglob("*"))}


Verdict = str | None  # why an input is not answered as it should be; None: it is


@dataclass(frozen=True)
class Trial:
    """What is promised of inputs, and how it is tried."""

    guarantee: str
    how: str
    drawn: st.SearchStrategy
    judge: Callable[..., Verdict]


def refused(done: Done, before: dict[str, str], folder: Folder, named: str, names: tuple[str, ...] = ()) -> Verdict:
    """Whether a command ended with 2, one message that names the file and the setting, and nothing written."""
    lines = done.stderr.splitlines()
    if done.returncode != 2:
        return f"exit {done.returncode}: {done.stderr[-500:]}"
    if not lines or len(done.stderr) > LONGEST_MESSAGE or "Traceback" in done.stderr:
        return f"no message, a long one or a traceback: {done.stderr[:500]}"
    if not all(named in line or line.startswith("… and") for line in lines):
        return f"a line that does not name {named}: {done.stderr[:500]}"
    said = (word[:20] in done.stderr or repr(word)[1:15] in done.stderr for word in names)
    if names and not any(said) and "line " not in done.stderr:
        return f"names none of {names}: {done.stderr[:500]}"
    return _changed(before, folder)


def judged_settings(folder: Folder, drawn: Damaged, other: str) -> Verdict:
    """`resolve` and one `other` stage on drawn settings: both refuse them, or `resolve` spells out what it reads."""
    (folder.path / "params.yaml").write_bytes(drawn.content)
    before = folder.listing()
    done = folder.stage("resolve")
    if done.returncode == 0:
        return _spelled_out(folder)
    arguments = ("baseline",) if other in OF_A_VARIANT else ()
    again = folder.stage(other, *arguments)
    return refused(done, before, folder, "params.yaml", drawn.names) or refused(again, before, folder, "params.yaml")


def judged_resolved(folder: Folder, drawn: Damaged, stage: str) -> Verdict:
    """A stage on a drawn params/baseline.yaml: refused, or read and found without data."""
    (folder.path / "params/baseline.yaml").write_bytes(drawn.content)
    before = folder.listing()
    done = folder.stage(stage, *(("baseline",) if stage in OF_A_VARIANT else ()))
    if stage == "start" and done.returncode == 0:
        shutil.rmtree(folder.path / "models")
        return _changed(before, folder)
    return _read_or_refused(done, before, folder, "params/baseline.yaml")


def judged_options(folder: Folder, arguments: list[str]) -> Verdict:
    """The command line: help, refused, or read and found without data."""
    before = folder.listing()
    done = pawprint(folder.path, *arguments)
    is_help = done.returncode == 0 and "Usage" in done.stdout
    is_no_data = done.returncode == 1 and arguments[:1] == ["init-data"] and done.stderr.startswith("pawprint: ")
    if is_help or is_no_data:
        return _changed(before, folder)
    return _read_or_refused(done, before, folder, "")


def bad_settings(
    scratch: Path, n_inputs: int, number: int, failures: list[str] | None = None, n_options: int | None = None
) -> list[Row]:
    """Rows on params.yaml, on params/<variant>.yaml and on the command line; `failures` is filled."""
    failures = [] if failures is None else failures
    set_hypothesis_home_dir(scratch / "hypothesis")
    rows = []
    with mock.patch.dict(os.environ, {"PAWPRINT_RUNS": str(scratch / "runs")}):
        for trial in _trials(Folder(scratch / "settings"), Folder(scratch / "resolved")):
            n = n_inputs if not rows else n_options or n_inputs // 4
            tried, told = _told(trial.drawn, trial.judge, n, number)
            failures += told
            rows.append(Row(trial.guarantee, tried, tried - len(told), trial.how))
    return rows


def _trials(whole: Folder, part: Folder) -> list[Trial]:
    resolved = {"baseline": (part.path / "params/baseline.yaml").read_text(encoding="utf-8")}
    return [
        Trial(
            "`params.yaml` is refused in one message, or it works",
            "drawn by hypothesis; exit 2, the file, the setting or the line in the message, and nothing written, by "
            "`resolve` and one other stage; or exit 0, and what is resolved is what was read",
            st.tuples(damaged(STUDIES), st.sampled_from(READERS)),
            lambda drawn: judged_settings(whole, *drawn),
        ),
        Trial(
            "`params/<variant>.yaml` is refused in one message, or it is read",
            "as above, by every stage that reads it",
            st.tuples(damaged(resolved), st.sampled_from([*OF_A_VARIANT, "check", "start"])),
            lambda drawn: judged_resolved(part, *drawn),
        ),
        Trial(
            "the command line is refused in one message, or it is understood",
            "as above, of commands, options and values",
            st.lists(WORD, max_size=6) | commands(),
            lambda arguments: judged_options(part, arguments),
        ),
    ]


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """A command with an argument, options and values, most of which it knows."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(OPTIONS), st.sampled_from(WORDS)), max_size=4))
    alone = draw(st.lists(st.sampled_from(WORDS), max_size=1))
    return [draw(st.sampled_from(COMMANDS)), *alone, *(word for pair in pairs for word in pair)]


def _told(strategy: st.SearchStrategy, judge: Callable[..., Verdict], n: int, number: int) -> tuple[int, list[str]]:
    """How many inputs were tried, and what is wrong with the answers to some."""
    tried, failures = 0, []

    @seed(number)
    @settings(max_examples=n, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def run(drawn: object) -> None:
        nonlocal tried
        tried += 1
        try:
            verdict = judge(drawn)
        except Exception as error:  # noqa: BLE001 a traceback is what must not be, whatever it is of
            verdict = f"{type(error).__name__}: {error}"
        if verdict:
            failures.append(f"{verdict}\n<- {drawn}")

    run()
    return tried, failures


def _read_or_refused(done: Done, before: dict[str, str], folder: Folder, named: str) -> Verdict:
    if done.returncode == 1 and NOT_PREPARED in done.stderr:
        return _changed(before, folder)
    return refused(done, before, folder, named)


def _changed(before: dict[str, str], folder: Folder) -> Verdict:
    after = folder.listing()
    return None if after == before else f"written: {sorted(set(after.items()) ^ set(before.items()))[:5]}"


def _spelled_out(folder: Folder) -> Verdict:
    """Whether params/ holds what params.yaml says, no more and no less."""
    study, specs = read_study(folder.path / "params.yaml")
    written = {file.stem: read_resolved(file) for file in (folder.path / "params").iterdir()}
    expected = {variant: [spec for spec in specs if spec.variant == variant] for variant in study.variants}
    if written != expected:
        return f"params/ holds {written}, expected {expected}"
    return "a tag ran" if (folder.path / CANARY).exists() else None


def _hash(place: Path) -> str:
    if not place.is_file():
        return "no file"
    size = place.stat().st_size
    return hashlib.sha256(place.read_bytes()).hexdigest() if size < LARGE_BYTES else f"{size} bytes"
