"""`python -m benchmarks [names] [--json FILE]`, from the repository's root: run benchmarks, print their table.

The table goes to stdout, what is under way to stderr.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import (
    diagnostics,
    epoch,
    leakage_search,
    loader,
    noop,
    probe,
    serve,
    small_model,
    startup,
    step,
    tta,
)
from benchmarks.ratio import Comparison, Range
from pawprint import atomic
from pawprint.params import nearest
from pawprint.summary import stdout_console
from pawprint.training.identity import versions

BENCHMARKS: dict[str, Callable[[], list[Comparison]]] = {
    "loader": loader.run,
    "step": step.run,
    "epoch": epoch.run,
    "small_model": small_model.run,
    "leakage": leakage_search.run,
    "probe": probe.run,
    "startup": startup.run,
    "noop": noop.run,
    "tta": tta.run,
    "diagnostics": diagnostics.run,
    "serve": serve.run,
}
BUSY_LOAD = 0.5  # processes that want a core, averaged over the last minute


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side-by-side ratios: ours / theirs.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's seconds there")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"{name}: no such benchmark; {nearest(name, list(BENCHMARKS))}")
    load = os.getloadavg()[0]  # before our own work
    comparisons = [row for name in options.names or BENCHMARKS for row in _run(name)]
    _print(comparisons, load, stdout_console())
    if options.json:
        about = {"device": device(), "versions": versions(), "load_before": round(load, 2)}
        atomic.write_json(options.json, {**about, "comparisons": [row.as_json() for row in comparisons]})


def table(comparisons: Sequence[Comparison]) -> Table:
    """Medians with their ranges; a ratio below 1 means that ours is the faster."""
    result = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("benchmark", "compared with"):
        result.add_column(name, overflow="fold")
    for name in ("ours\nmedian [range]", "theirs\nmedian [range]", "ours /\ntheirs", "repeats"):
        result.add_column(Text(name), justify="right", no_wrap=True)
    for row in comparisons:
        ratio = f"{row.ratio.median:.2f}" if row.ratio.median >= 0.1 else f"{row.ratio.median:.3f}"
        ours, theirs = _seconds(row.ours), _seconds(row.theirs)
        cells = (row.benchmark, row.compared_with, ours, theirs, ratio, str(len(row.ours_seconds)))
        result.add_row(*map(Text, cells))  # not as markup, which brackets would be
    return result


def device() -> str:
    """The processor's name and how many cores this process may use: every benchmark runs on it."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def about(load: float) -> str:
    """What figures are of: device, versions, and whether the machine was busy."""
    known = ", ".join(f"{name} {version}" for name, version in versions().items())
    busy = "; other work was running: do not keep these figures" if load > BUSY_LOAD else ""
    return f"{device()}; {known}; load before: {load:.1f}{busy}"


def _run(name: str) -> list[Comparison]:
    print(f"{name} …", end=" ", file=sys.stderr, flush=True)
    began = time.monotonic()
    comparisons = BENCHMARKS[name]()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return comparisons


def _print(comparisons: Sequence[Comparison], load: float, console: Console) -> None:
    console.print(table(comparisons))
    for line in [*dict.fromkeys(row.note for row in comparisons if row.note), about(load)]:
        console.print(Text(line, style="dim"))


def _seconds(values: Range) -> str:
    unit, factor = ("ms", 1000) if values.median < 1 else ("s", 1)
    digits = 1 if values.median * factor < 100 else 0
    median, low, high = (f"{value * factor:.{digits}f}" for value in (values.median, values.low, values.high))
    return f"{median} {unit} [{low}, {high}]"


if __name__ == "__main__":
    main()
