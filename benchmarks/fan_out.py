"""What a second machine is worth: four equally long variants on one node of a processor, and on two.

Ours is the time on two nodes, theirs half the time on one, so 1 / ratio is the share of the ideal speed-up. Timed is
`pawprint fan-out` from the command to its end: the check of the study, the push, each node's clone, pull and push.
Both nodes are processes on this machine and share its disk and memory: what a network costs is not in it, and what two
trainings side by side take from each other is.
"""

import tempfile
import time
from pathlib import Path

from benchmarks.ratio import Comparison, Work, in_turn

REPEATS = 1
N_VARIANTS = 4
EPOCHS = 700  # of the digits study's MLP: some 25 s on one thread


def run() -> list[Comparison]:
    """One comparison: two nodes against half the time of one."""
    from tests.cluster import copied, nodes, study  # with Ray and a clone, which other benchmarks need not

    names = ("baseline", "lr_1e-1", *(f"again_{number}" for number in range(N_VARIANTS - 2)))
    rates = {name: {} if name == "baseline" else {"lr": 0.001 + 1e-5 * number} for number, name in enumerate(names)}
    with tempfile.TemporaryDirectory(prefix="fan-out-") as name:
        folder = Path(name)
        begun = study(folder / "begun", variants=rates, epochs=EPOCHS, probed=[])
        with nodes(1) as one, nodes(2) as two:
            taken = iter(range(100))

            def on(cluster: object) -> Work:
                return lambda: _seconds(copied(begun, folder / str(next(taken))), cluster)

            seconds = in_turn({"one": on(one), "two": on(two)}, REPEATS, warm_up=0)
    half = [value / 2 for value in seconds["one"]]
    note = f"fan-out: {N_VARIANTS} variants of the digits study, {EPOCHS} epochs each; nodes are processes here"
    return [Comparison("fan-out, two nodes", "half of one node's time", seconds["two"], half, note, target=1 / 0.8)]


def _seconds(home: object, cluster: object) -> float:
    from tests.cluster import fan_out

    began = time.perf_counter()
    under_way = fan_out(home, cluster.address)  # type: ignore[arg-type, attr-defined]
    stdout, stderr = under_way.communicate()
    if under_way.returncode != 0:
        raise RuntimeError(stdout + stderr)
    return time.perf_counter() - began
