"""Where the design would break first: what DVC and Git cost as a study's graph grows.

    python -m benchmarks.growth [N ...]

A study of n variants is four stages a variant (train, test, probe, export) and what stands before and after them. Here
are graphs of n stages, each with as many dependencies as the stage `train` of the root has, up to date: how long DVC
lists them, finds nothing to do in `status` and in `repro`, and how large dvc.lock is, which Git keeps a version of for
each commit that changes results.
"""

import argparse
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.noop import said
from benchmarks.ratio import timed

STAGES = (100, 300, 1000)
DEPENDENCIES = 60  # about as many as `train` has


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n")[0])
    parser.add_argument("stages", type=int, nargs="*", default=STAGES)
    options = parser.parse_args(arguments)
    print("| stages | stage list, s | status, s | repro of nothing, s | dvc.lock, MB | zipped, MB |")
    print("| --: | --: | --: | --: | --: | --: |")
    for n_stages in options.stages:
        with tempfile.TemporaryDirectory() as name:
            print(row(Path(name).resolve(), n_stages), flush=True)


def row(folder: Path, n_stages: int, n_dependencies: int = DEPENDENCIES) -> str:
    """Of a graph of so many stages, made in an empty folder."""
    graph(folder, n_stages, n_dependencies)
    seconds = [
        timed(lambda command=command: said(*command, folder=folder))()  # type: ignore[misc]
        for command in (("stage", "list", "--name-only"), ("status", "--quiet"), ("repro", "--quiet"))
    ]
    lock = (folder / "dvc.lock").read_bytes()
    megabytes = (len(lock) / 1e6, len(zlib.compress(lock)) / 1e6)
    return f"| {n_stages} | {' | '.join([f'{s:.1f}' for s in seconds] + [f'{mb:.2f}' for mb in megabytes])} |"


def graph(folder: Path, n_stages: int, n_dependencies: int) -> None:
    """Independent stages over the same dependencies, up to date."""
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    said("init", "--quiet", folder=folder)
    (folder / "code").mkdir()
    for number in range(n_dependencies):
        (folder / f"code/{number}.py").write_text(f"{number}\n")
    (folder / "outs").mkdir()
    lines = ["stages:"]
    for number in range(n_stages):
        lines += [f"  s{number}:", f"    cmd: echo {number} > outs/{number}", "    deps:"]
        lines += [f"      - code/{dependency}.py" for dependency in range(n_dependencies)]
        lines += ["    outs:", f"      - outs/{number}"]
        (folder / f"outs/{number}").write_text(f"{number}\n")
    (folder / "dvc.yaml").write_text("\n".join([*lines, ""]))
    said("commit", "--quiet", "--force", folder=folder)


if __name__ == "__main__":
    main()
