"""`python -m benchmarks [names] [--write]`, from the repository's root: run benchmarks, print their tables.

Tables go to stdout as Markdown, what is under way to stderr. With `--write` (`make bench`) the results replace those of
the same benchmarks in docs/benchmarks.json, from which alone the tables of docs/benchmarks.md are made.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks import (
    accelerator,
    diagnostics,
    epoch,
    fan_out,
    infer,
    leakage_search,
    loader,
    noop,
    probe,
    serve,
    small_model,
    startup,
    step,
    study,
    tta,
)
from benchmarks.ratio import Comparison, Range
from pawprint import atomic
from pawprint.params import nearest
from pawprint.readme import between_marks
from pawprint.training.identity import versions


@dataclass(frozen=True)
class Benchmark:
    run: Callable[[], list[Comparison]]
    minutes: float  # about, on two cores
    by_default: bool = True


BENCHMARKS = {
    "loader": Benchmark(loader.run, 1),
    "step": Benchmark(step.run, 2),
    "epoch": Benchmark(epoch.run, 6),
    "study": Benchmark(study.run, 4),
    "small_model": Benchmark(small_model.run, 2),
    "leakage": Benchmark(leakage_search.run, 3),
    "probe": Benchmark(probe.run, 2),
    "infer": Benchmark(infer.run, 1),
    "serve": Benchmark(serve.run, 1.5),
    "startup": Benchmark(startup.run, 1.5),
    "noop": Benchmark(noop.run, 1.5),
    "tta": Benchmark(tta.run, 1, by_default=False),
    "diagnostics": Benchmark(diagnostics.run, 2, by_default=False),
    "accelerator": Benchmark(accelerator.run, 5, by_default=False),
    "fan_out": Benchmark(fan_out.run, 5, by_default=False),  # with what `make cluster` adds
}
DEFAULT = [name for name, benchmark in BENCHMARKS.items() if benchmark.by_default]
OTHERS = ("timm", "ImageHash", "faiss-cpu", "dvc")  # packages that figures depend on, beside a training's
LOOK_SECONDS = 5  # before the first benchmark; the load of the last minute would still tell of a set-up that is over
BUSY_CORES = 0.2  # of other work
DOCUMENT, RESULTS = Path("docs/benchmarks.md"), Path("docs/benchmarks.json")
BEGIN = "<!-- from here: make bench -->\n"
HEADER = (
    "| benchmark | compared with | ours | theirs | ours / theirs | repeats | at most | met |\n"
    "| --- | --- | --: | --: | --: | --: | --: | --- |"
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side-by-side ratios: ours / theirs.")
    others = ", ".join(name for name in BENCHMARKS if name not in DEFAULT)
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(DEFAULT)} (the default); {others}")
    parser.add_argument("--write", action="store_true", help=f"keep the results in {RESULTS} and {DOCUMENT}")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"{name}: no such benchmark; {nearest(name, list(BENCHMARKS))}")
    names = options.names or DEFAULT
    minutes = sum(BENCHMARKS[name].minutes for name in names)
    print(f"about {minutes:.0f} minutes on two idle cores: {', '.join(names)}", file=sys.stderr)
    state = about(busy_cores())  # before our own work
    results = {}
    for name in names:
        results[name] = {"about": state, "comparisons": _run(name)}
        if options.write:  # what is done is kept, whatever becomes of the rest
            write(results)
    print(tables(results))


def write(results: Mapping[str, Any], document: Path = DOCUMENT, kept: Path = RESULTS) -> None:
    """Keep these results beside those of other benchmarks, and make the tables anew of all."""
    old = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    both = {**old, **results}
    ordered = {name: both[name] for name in BENCHMARKS if name in both}
    text = between_marks(document.read_text(encoding="utf-8"), f"{tables(ordered)}\n", document, BEGIN)
    atomic.write_json(kept, ordered)
    atomic.write_text(document, text)


def tables(results: Mapping[str, Any]) -> str:
    """One for each machine, state of it and versions; medians with their ranges, below 1 ours is the faster."""
    parts = []
    for place in dict.fromkeys(result["about"] for result in results.values()):
        here = [result for result in results.values() if result["about"] == place]
        rows = [Comparison.from_json(row) for result in here for row in result["comparisons"]]
        notes = list(dict.fromkeys(f"{row.note}." for row in rows if row.note))
        parts.append("\n".join([HEADER, *map(_row, rows), "", *(f"{note}\n" for note in notes), f"{place}.\n"]))
    return "\n".join(parts)


def device() -> str:
    """The processor's name and how many cores this process may use: every benchmark runs on it."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def busy_cores() -> float:
    """How many cores other work takes, for as long as this looks."""
    return psutil.cpu_percent(interval=LOOK_SECONDS) / 100 * (psutil.cpu_count() or 1)


def about(busy: float) -> str:
    """What figures are of: device, versions, and whether the machine was busy."""
    known = ", ".join(f"{name} {of}" for name, of in (versions() | {name: version(name) for name in OTHERS}).items())
    warning = "; other work was running: do not keep these figures" if busy > BUSY_CORES else ""
    return f"{device()}; {known}; cores busy before: {busy:.1f}{warning}"


def _run(name: str) -> list[dict[str, Any]]:
    print(f"{name} …", end=" ", file=sys.stderr, flush=True)
    began = time.monotonic()
    comparisons = BENCHMARKS[name].run()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return [row.as_json() for row in comparisons]


def _row(row: Comparison) -> str:
    asked = "" if row.target is None else f"{row.target:g}"
    if row.target_seconds is not None:
        asked = f"theirs + {row.target_seconds:g} s"
    met = {None: "", True: "yes", False: "**no**"}[row.met]
    cells = [row.benchmark, row.compared_with, _seconds(row.ours), _seconds(row.theirs), _ratio(row.ratio),
             str(len(row.ours_seconds)), asked, met]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _ratio(values: Range) -> str:
    digits = 2 if values.median >= 0.1 else 4
    median, low, high = (f"{value:.{digits}f}" for value in (values.median, values.low, values.high))
    return f"{median} ({low} to {high})"


def _seconds(values: Range) -> str:
    unit, factor = ("ms", 1000) if values.median < 1 else ("s", 1)
    digits = 1 if values.median * factor < 100 else 0
    median, low, high = (f"{value * factor:.{digits}f}" for value in (values.median, values.low, values.high))
    return f"{median} {unit} ({low} to {high})"


if __name__ == "__main__":
    main()
