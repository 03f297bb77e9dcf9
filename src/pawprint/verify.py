"""`pawprint verify`: does this commit, run from scratch, give the bytes that its dvc.lock names?

The commit is cloned into an empty folder with an empty cache, its results are deleted, the study's graph is run there,
and each output's hash is held against dvc.lock. What differs is named, with by how much: the largest difference of a
weight or of a number in a table, the values of a metric. On one machine nothing may differ. On another processor floats
may, in the last digits and so, after many steps, in more: then the conclusions are compared, the verdicts of the
table of comparison.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from pawprint import paths
from pawprint.errors import PawprintError
from pawprint.machine import processor

MADE_ON = Path("made_on.json")


@dataclass(frozen=True)
class Verification:
    """What came of it."""

    n_outputs: int
    different: dict[str, str] = field(default_factory=dict)  # output → by how much
    here: dict[str, str] = field(default_factory=dict)  # the processors
    made_on: dict[str, str] = field(default_factory=dict)
    conclusions: dict[str, tuple[str, str]] = field(default_factory=dict)  # run → verdict in dvc.lock's table, and here

    @property
    def same_processor(self) -> bool:
        return self.here == self.made_on

    @property
    def overturned(self) -> dict[str, tuple[str, str]]:
        return {run: verdicts for run, verdicts in self.conclusions.items() if verdicts[0] != verdicts[1]}

    @property
    def passed(self) -> bool:
        """The same bytes; or, on another processor, the same conclusions."""
        return not self.different or (not self.same_processor and not self.overturned)

    def lines(self) -> Iterator[str]:
        """The outcome in words."""
        if not self.different:
            yield f"verified: all {self.n_outputs} outputs have the bytes that dvc.lock names"
            return
        for output, difference in self.different.items():
            yield f"  {output}: {difference}"
        yield f"{len(self.different)} of {self.n_outputs} outputs are not the bytes that dvc.lock names"
        if self.same_processor:
            yield f"this processor ({_named(self.here)}) is the one that dvc.lock was made on: nothing should differ"
        else:
            others = f"{_named(self.here)}; dvc.lock's: {_named(self.made_on)}"
            yield f"this processor is another ({others}): floats may differ"
        stay = len(self.conclusions) - len(self.overturned)
        yield f"{stay} of {len(self.conclusions)} conclusions of the comparison stay"
        for run, (before, now) in self.overturned.items():
            yield f"  {run}: {before} in dvc.lock's table, {now} here"


def verify(study: Path, jobs: int) -> Verification:
    """Run the study at `study` (its commit, not what was edited since) from scratch, and compare.

    Raises PawprintError where there is no dvc.lock, and where the run fails.
    """
    if not (study / "dvc.lock").is_file():
        raise PawprintError(f"{study / 'dvc.lock'}: no such file; `dvc repro` makes it, then commit it")
    top = Path(_git(study, "rev-parse", "--show-toplevel"))
    if changed := _git(study, "status", "--porcelain", "--untracked-files=no", "--", str(top)):
        names = ", ".join(line[3:] for line in changed.splitlines()[:5])
        print(f"what is verified is the commit; these files were changed since: {names}", file=sys.stderr)
    with _clone(top) as copy:
        there = copy / study.resolve().relative_to(top)
        expected = _outputs(there / "dvc.lock")
        made_on = json.loads((there / MADE_ON).read_text(encoding="utf-8")) if (there / MADE_ON).is_file() else {}
        conclusions = _conclusions(there)
        for output in expected:
            _remove(there / output)
        (there / "dvc.lock").unlink()
        _run(copy, there, jobs)
        found, now = _outputs(there / "dvc.lock"), _conclusions(there)
        return Verification(
            n_outputs=len(expected),
            different={
                output: "not made" if output not in found else difference(study / output, there / output)
                for output, content in expected.items()
                if found.get(output) != content
            },
            here=processor(),
            made_on=made_on,
            conclusions={run: (verdict, now.get(run, "none")) for run, verdict in conclusions.items()},
        )


def difference(before: Path, now: Path) -> str:
    """By how much what `now` holds is another than `before`: the files that differ most telling of it."""
    if not before.exists():
        return f"other bytes; by how much cannot be said: {before} is not here (`dvc pull {before}`)"
    if now.is_file():
        return _file_difference(before, now)
    files = {file.relative_to(now) for file in now.rglob("*") if file.is_file()}
    files |= {file.relative_to(before) for file in before.rglob("*") if file.is_file()}
    told = []
    for file in sorted(files):
        if not (now / file).is_file() or not (before / file).is_file():
            told.append(f"{file} {'is missing' if not (now / file).is_file() else 'is new'}")
        elif (now / file).read_bytes() != (before / file).read_bytes():
            told.append(f"{file}: {_file_difference(before / file, now / file)}")
    return "; ".join(told) or f"{before} here is not what dvc.lock names either (`dvc checkout {before}`)"


def _named(processor: dict[str, str]) -> str:
    return ", ".join(value for value in processor.values() if value) or "unknown"


def _file_difference(before: Path, now: Path) -> str:
    kinds = {".safetensors": _of_weights, ".csv": _of_tables, ".json": _of_metrics, ".npy": _of_arrays}
    kind = kinds.get(now.suffix)
    return kind(before, now) if kind else "other bytes"


def _of_weights(before: Path, now: Path) -> str:
    from safetensors.numpy import load_file

    one, other = load_file(before), load_file(now)
    if {name: value.shape for name, value in one.items()} != {name: value.shape for name, value in other.items()}:
        return "weights of another shape"
    largest = max(float(np.abs(one[name].astype(np.float64) - other[name]).max(initial=0)) for name in one)
    return f"the largest difference of a weight is {largest:.2g}"


def _of_arrays(before: Path, now: Path) -> str:
    one, other = (np.lib.format.open_memmap(file, mode="r") for file in (before, now))
    if one.shape != other.shape:
        return f"of shape {other.shape}, expected {one.shape}"
    return f"the largest difference is {np.abs(one.astype(np.float64) - other).max(initial=0):.2g}"


def _of_tables(before: Path, now: Path) -> str:
    one, other = pd.read_csv(before), pd.read_csv(now)
    if one.shape != other.shape or list(one.columns) != list(other.columns):
        return f"{len(other)} rows of {len(other.columns)} columns, expected {len(one)} of {len(one.columns)}"
    gaps = (one.select_dtypes("number") - other.select_dtypes("number")).abs().max()
    if gaps.empty or not gaps.max() > 0:
        return "words that differ"
    return f"the largest difference is {gaps.max():.2g}, in {gaps.idxmax()}"


def _of_metrics(before: Path, now: Path) -> str:
    one, other = (dict(_leaves(json.loads(file.read_text(encoding="utf-8")))) for file in (before, now))
    changed = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    shown = ", ".join(f"{name} {other.get(name)} instead of {one.get(name)}" for name in changed[:3])
    return f"{shown} (and {len(changed) - 3} more)" if len(changed) > 3 else shown


def _leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, content


def _outputs(lock: Path) -> dict[str, str]:
    """Each output that dvc.lock names, and its hash."""
    stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"]
    return {output["path"]: output["md5"] for stage in stages.values() for output in stage.get("outs", [])}


def _conclusions(study: Path) -> dict[str, str]:
    """Run → verdict of the table of comparison."""
    if not (study / paths.COMPARISON).is_file():
        return {}
    table = json.loads((study / paths.COMPARISON).read_text(encoding="utf-8"))
    return {
        variant if run == variant else f"{variant}/{run}": row["verdict"]
        for variant, runs in table.items()
        for run, row in runs.items()
        if row["verdict"] is not None
    }


@contextmanager
def _clone(top: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pawprint-verify-") as name:
        copy = Path(name) / top.name
        subprocess.run(["git", "clone", "--quiet", str(top), str(copy)], check=True)
        (copy / ".dvc/config.local").write_text("[cache]\n    dir = cache\n")  # its own, empty: nothing is restored
        yield copy


def _run(copy: Path, study: Path, jobs: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PAWPRINT_RUNS"}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "JOBS": str(jobs)}
    done = subprocess.run([copy / "scripts/repro", study], env=environment, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        raise PawprintError(f"{study}: the graph failed, see above; nothing is verified")
    again = subprocess.run(["dvc", "repro"], cwd=study, env=environment, capture_output=True, text=True)
    if again.returncode != 0 or "Running stage" in again.stdout:
        raise PawprintError(f"{study}: a second `dvc repro` runs something again:\n{again.stdout}{again.stderr}")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise PawprintError(f"{folder}: git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
