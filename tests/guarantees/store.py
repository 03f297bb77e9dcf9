"""Bits that flip in the store: in DVC's cache, and in a remote before a pull. No stage uses a damaged byte.

A random bit of a random object that some stage reads is flipped; DVC checks the output out, or pulls it, and the stage
is asked to run, by the `run_stage` that DVC would start, with the environment DVC gives. Held is: exit code 1, a
message that names a file of the output, and none of the stage's outputs written; or DVC itself refuses to hand it out.
(DVC does not verify the listing of a folder that it pulls, `verify = true` or not: a damaged name goes through.)
"""

import contextlib
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from dvc.repo import Repo, lock_repo

from pawprint.graph import Output, Stage, read_graph, recorded_outputs
from pawprint.integrity import digest, hash_file, list_files, read_listing, verify
from tests.clone import Repository
from tests.guarantees.row import Row
from tests.in_process import Done, pawprint
from tests.small_study import flip_bit, small_study

COST_BYTES = 2**28
DVC, STAGE, HARMLESS, NOBODY = "dvc", "stage", "harmless", "nobody"  # who noticed a flipped bit


@dataclass(frozen=True)
class Case:
    """One object of the cache, the output that it is of, and a stage that reads that."""

    name: str
    output: Output
    reader: str


class Store:
    """The small study, its graph, and one DVC for all the cases."""

    def __init__(self, repository: Repository, repo: Repo) -> None:
        self.folder, self.repo = repository.folder, repo
        self.graph = read_graph()
        self.by_dvc = {stage.addressing: stage for stage in repo.index.stages}
        self.edges = [
            (output, name)
            for output in recorded_outputs(self.graph)
            for name, stage in self.graph.items()
            if name != output.stage and _reads(stage, output)
        ]
        self.cases = list(self._cases())
        self.whole = {output: contents(output.path) for output, _ in self.edges}

    def _cases(self) -> Iterator[Case]:
        """Every object of the cache that a stage reads; of git's files (metrics, settings) there is none."""
        checked_out = {Path(out.fs_path) for stage in self.by_dvc.values() for out in stage.outs if out.use_cache}
        for output, reader in self.edges:
            if output.path.absolute() in checked_out:
                listing = read_listing(self.cached(output.md5), output.md5) or {} if output.path.is_dir() else {}
                yield from (Case(name, output, reader) for name in sorted({output.md5, *listing.values()}))

    def cached(self, name: str) -> Path:
        return Path(self.repo.cache.local.oid_to_path(name))

    def run(self, stage: str) -> tuple[Done, list[Path]]:
        """As DVC does: the stage's outputs are gone, its process is told its name. Returns what it wrote, too."""
        name, _, variant = stage.partition("@")
        outputs = [Path(path) for path in self.graph[stage].outputs]
        with put_aside(outputs, self.folder.parent / "aside"), mock.patch.dict(os.environ, {"DVC_STAGE": stage}):
            done = pawprint(self.folder, *([variant] if variant else []), module=f"pawprint.stages.{name}")
            return done, [path for path in outputs if path.exists()]

    def check_out(self, output: Output) -> bool:
        """DVC's own checkout of the output; False if it refuses."""
        remove(output.path)
        try:
            with lock_repo(self.repo):
                stats = self.by_dvc[output.stage].checkout(force=True)
        except Exception:  # noqa: BLE001 whatever DVC stumbles over in a listing, it hands out nothing
            return False
        return "failed" not in stats and output.path.exists()

    def pull(self, output: Output) -> bool:
        """`dvc pull`; False if it refuses."""
        remove(output.path)
        try:
            self.repo.pull([str(output.path)], force=True)
        except Exception:  # noqa: BLE001 as above
            return False
        return output.path.exists()

    def catch(self, case: Case, handed_out: bool) -> str:
        """Who noticed the damage."""
        if not handed_out:
            return DVC
        if contents(case.output.path) == self.whole[case.output]:
            return HARMLESS
        return STAGE if self.refuses(case.output, case.reader) else NOBODY

    def refuses(self, output: Output, reader: str) -> bool:
        """Is the damage told, and nothing written?"""
        done, written = self.run(reader)
        return done.returncode == 1 and str(output.path) in done.stderr and not written


def contents(path: Path) -> dict[str, bytes]:
    """Every byte of an output."""
    files = path.rglob("*") if path.is_dir() else [path]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


def _reads(stage: Stage, output: Output) -> bool:
    places = [Path(path) for path in stage.inputs]
    return any(output.path.is_relative_to(place) or place.is_relative_to(output.path) for place in places)


@contextlib.contextmanager
def put_aside(paths: list[Path], folder: Path) -> Iterator[None]:
    """The paths are not there for a while; what comes in their place is thrown away."""
    folder.mkdir()
    kept = [path for path in paths if path.exists()]
    for number, path in enumerate(kept):
        path.rename(folder / str(number))
    try:
        yield
    finally:
        for path in paths:
            remove(path)
        for number, path in enumerate(kept):
            path.parent.mkdir(parents=True, exist_ok=True)
            (folder / str(number)).rename(path)
        folder.rmdir()


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(repository: Repository) -> Iterator[Store]:
    with contextlib.chdir(repository.folder), Repo() as repo:
        yield Store(repository, repo)


@contextlib.contextmanager
def damaged(path: Path, draws: random.Random) -> Iterator[None]:
    """One bit of the file is wrong for a while."""
    whole, mode = path.read_bytes(), path.stat().st_mode
    flip_bit(path, draws.randrange(len(whole)), draws.randrange(8))
    try:
        yield
    finally:
        path.parent.mkdir(exist_ok=True)
        remove(path)
        path.write_bytes(whole)
        path.chmod(mode)


def bits_in_the_cache(store: Store, n: int, seed: int) -> Row:
    """Flip, check out, run the stage that reads it: refused."""
    draws, caught = random.Random(seed), Counter[str]()
    while effective(caught) < n:
        case = draws.choice(store.cases)
        with damaged(store.cached(case.name), draws):
            caught[store.catch(case, store.check_out(case.output))] += 1
        assert store.check_out(case.output), case
    return Row(
        "a bit flipped in DVC's cache is refused by the stage that reads the output", n, n - caught[NOBODY],
        f"one random bit of a random object of {len({case.name for case in store.cases})}, `dvc checkout`, the stage "
        f"run: exit 1, the output named, nothing written; {told(caught)}",
    )  # fmt: skip


def effective(caught: Counter[str]) -> int:
    return caught.total() - caught[HARMLESS]


def told(caught: Counter[str]) -> str:
    """Who refused."""
    return (
        f"{caught[STAGE]} refused by the stage, {caught[DVC]} by DVC itself; {caught[HARMLESS]} more flips hit a word "
        "of a listing that DVC does not read, and every file came out whole"
    )


def bits_on_the_disk(store: Store, n: int, seed: int) -> Row:
    """Flip in the workspace, git's files among them, without a trace in the file's times."""
    draws, held = random.Random(seed), 0
    edges = [(output, reader) for output, reader in store.edges if any(_bytes(output))]
    for _ in range(n):
        output, reader = draws.choice(edges)
        with damaged(draws.choice(_bytes(output)), draws):
            held += store.refuses(output, reader)
    return Row("a bit flipped in a file of the workspace is refused by the stage that reads it", n, held,
               "one random bit of a random file, metrics and settings among them, size and times as before; the "
               "stage run: exit 1, the output named, nothing written")  # fmt: skip


def _bytes(output: Output) -> list[Path]:
    """Its files that have any."""
    files = sorted(output.path.rglob("*")) if output.path.is_dir() else [output.path]
    return [file for file in files if file.is_file() and file.stat().st_size]


def bits_in_the_remote(store: Store, n: int, seed: int, verify_pulls: bool = True) -> Row:
    """Flip in the remote, lose it here, pull: refused by DVC with `verify = true`, else by the stage."""
    draws, caught = random.Random(seed), Counter[str]()
    remote = store.repo.cloud.get_remote("beside")
    store.repo.push()
    assert remote.config["verify"] is verify_pulls
    while effective(caught) < n:
        case = draws.choice(store.cases)
        here = store.cached(case.name)
        whole = here.read_bytes()
        with damaged(Path(remote.odb.oid_to_path(case.name)), draws):
            remove(here)
            caught[store.catch(case, store.pull(case.output))] += 1
        remove(here)
        here.parent.mkdir(exist_ok=True)
        here.write_bytes(whole)
        assert store.check_out(case.output), case
    setting = f"`verify = {str(verify_pulls).lower()}`"
    return Row(
        f"a bit flipped in a remote is refused by `dvc pull` or by the stage that reads the output, {setting}", n,
        n - caught[NOBODY], "one random bit of a random object in a folder remote, none in the cache, `dvc pull`, the "
        f"stage run; {told(caught)}",
    )  # fmt: skip


def healthy_twins(store: Store, n: int, seed: int) -> Row:
    """No false alarm: the same, without a flip."""
    draws, held = random.Random(seed), 0
    readers = sorted({case.reader for case in store.cases})
    n = max(n, len(readers))
    for number in range(n):
        reader = readers[number % len(readers)]
        case = draws.choice([case for case in store.cases if case.reader == reader])
        assert store.check_out(case.output)
        held += store.run(reader)[0].returncode == 0
    return Row("undamaged inputs are let through", n, held, f"`dvc checkout` and run, {len(readers)} stages in turn")


def same_hashes(store: Store) -> Row:
    """Each output has the hash that DVC wrote; and what hashing costs, on a file as large as a study's pictures."""
    outputs = recorded_outputs(store.graph)
    held = sum(digest(list_files(output.path)) == output.md5 for output in outputs)
    started = time.process_time()
    for output in outputs:
        verify(output.path)
    each_ms = (time.process_time() - started) / len(outputs) * 1000
    return Row(
        "what is verified is what DVC hashed: every byte of every output", len(outputs), held,
        f"MD5 as in dvc.lock; it costs {seconds_per_gb(store.folder.parent / 'large.bin'):.1f} s/GB of one core's "
        f"time, and {each_ms:.0f} ms a stage to read dvc.yaml, params.yaml and dvc.lock",
    )  # fmt: skip


def seconds_per_gb(path: Path) -> float:
    """The processor's share, not the disk's nor that of other work: of three, the fastest."""
    path.write_bytes(random.Random(0).randbytes(2**20) * (COST_BYTES // 2**20))
    times = []
    for _ in range(3):
        started = time.process_time()
        hash_file(path)
        times.append(time.process_time() - started)
    path.unlink()
    return min(times) / COST_BYTES * 1e9


def store_guarantees(scratch: Path, n_flips: int, seed: int) -> list[Row]:
    """All of it, on a study of its own."""
    return flipped_bits(small_study(scratch / "clone"), n_flips, seed)


def flipped_bits(repository: Repository, n_flips: int, seed: int) -> list[Row]:
    """Of the flips seven in ten are in the cache, two on the disk, one in a remote."""
    n_pulls, n_disk = max(2, n_flips // 20), n_flips // 5
    with opened(repository) as store:
        rows = [
            bits_in_the_cache(store, n_flips - 2 * n_pulls - n_disk, seed),
            bits_on_the_disk(store, n_disk, seed + 1),
            bits_in_the_remote(store, n_pulls, seed + 2),
            healthy_twins(store, n_flips // 10, seed + 4),
            same_hashes(store),
        ]
    with (repository.folder / ".dvc/config.local").open("a") as file:
        file.write("['remote \"beside\"']\n    verify = false\n")
    with opened(repository) as store:
        rows.insert(3, bits_in_the_remote(store, n_pulls, seed + 3, verify_pulls=False))
    return rows
