"""What a graph with nothing to do costs: `dvc repro` of the root, against DVC itself on as many trivial stages.

Ours is the root's graph as it stands: all its stages, their dependencies, params and outputs; but each output that is
not there is a small file (a folder of a few, where it has no ending) in place of what the stage would make, so that it
is measured on a fresh clone as well. Theirs has as many stages, each with one small dependency and one small output.
Both are up to date; what our hundreds of dependencies add is the difference, and that DVC reads all graphs of the
checkout, the other studies' too. New processes from start to end.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.ratio import Comparison, Work, in_turn, timed

REPEATS = 5
TARGET = 1.2
ROOT = Path(__file__).parents[1]
DVC = str(Path(sys.executable).with_name("dvc"))
FILES = 3  # in a folder that stands for an output


def run() -> list[Comparison]:
    """One comparison."""
    with tempfile.TemporaryDirectory() as name:
        ours, theirs = Path(name).resolve() / "ours", Path(name).resolve() / "theirs"
        n_stages = stand_in(ROOT, ours)
        trivial(theirs, n_stages)
        return [compare(ours, theirs, n_stages, REPEATS)]


def compare(ours: Path, theirs: Path, n_stages: int, repeats: int) -> Comparison:
    """Two graphs that are up to date; RuntimeError where one is not."""
    for folder in (ours, theirs):
        if "Running stage" in said("repro", "--dry", folder=folder):
            raise RuntimeError(f"{folder}: expected a graph with nothing to do")
    seconds = in_turn({"ours": nothing(ours), "theirs": nothing(theirs)}, repeats)
    name = f"noop, {n_stages} stages"
    return Comparison(name, "dvc repro of as many trivial ones", seconds["ours"], seconds["theirs"], target=TARGET)


def stand_in(checkout: Path, folder: Path) -> int:
    """A copy of what Git knows there, with small outputs, the root's graph up to date; how many stages that has."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkout / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for path in wanted(folder):
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}\n")
            continue
        path.mkdir(parents=True, exist_ok=True)
        for number in range(FILES):
            (path / f"{number}.txt").write_text(f"{number}\n")
    said("commit", "--quiet", "--force", "dvc.yaml", folder=folder)
    return len(said("stage", "list", "--name-only", folder=folder).splitlines())


def wanted(folder: Path) -> list[Path]:
    """What the root's stages there need and make, and is not there, by DVC's own reading of the graph."""
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        own = [stage for stage in repo.index.stages if Path(stage.path) == folder / "dvc.yaml"]
        paths = {Path(part.fs_path) for stage in own for part in (*stage.deps, *stage.outs)}
        return sorted(path for path in paths if not path.exists())


def trivial(folder: Path, n_stages: int) -> None:
    """So many stages of one dependency and one output, up to date."""
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    said("init", "--quiet", folder=folder)
    (folder / "in").write_text("in\n")
    lines = ["stages:"]
    for number in range(n_stages):
        lines += [
            f"  s{number}:",
            f"    cmd: echo {number} > out{number}",
            "    deps: [in]",
            f"    outs: [out{number}]",
        ]
        (folder / f"out{number}").write_text(f"{number}\n")
    (folder / "dvc.yaml").write_text("\n".join([*lines, ""]))
    said("commit", "--quiet", "--force", folder=folder)


def nothing(folder: Path) -> Work:
    """`dvc repro` of a graph with nothing to do."""
    return timed(lambda: said("repro", folder=folder))


def said(*arguments: str, folder: Path) -> str:
    """What `dvc` prints there; CalledProcessError where it fails."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run([DVC, *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout
