"""What W&B is told of a training: one description and rows of values, the same live, from a spool, from the CSVs."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

Row = tuple[int, dict[str, float]]  # step, values by name


@dataclasses.dataclass(frozen=True)
class Head:
    """What stands above a run's rows."""

    run_id: str
    name: str
    group: str
    config: dict[str, Any]


class Rows(ABC):
    """A tracker that chooses what is told; `put` says where it goes. Several rows of one step are one row in W&B."""

    def __init__(self) -> None:
        self.last_step = 0

    def log_step(self, values: dict[str, float], step: int) -> None:
        self._tell({name: value for name, value in values.items() if name != "step"}, step)

    def log_epoch(self, values: dict[str, float], step: int) -> None:
        self._tell({n: value for n, value in values.items() if n == "epoch" or n.startswith("val_")}, step)

    def finish(self, values: dict[str, float], step: int) -> None:
        """`step` lies before the last row where the loss was not finite: W&B takes no row for what is past."""
        self._tell(values, max(step, self.last_step))
        self.close()

    def _tell(self, values: dict[str, float], step: int) -> None:
        self.last_step = step
        self.put(values, step)

    @abstractmethod
    def put(self, values: dict[str, float], step: int) -> None:
        """Take a row, or more values of the last one."""

    @abstractmethod
    def close(self) -> None:
        """There are no more."""


class Collected(Rows):
    """Keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []

    def put(self, values: dict[str, float], step: int) -> None:
        self.rows.append((step, values))

    def close(self) -> None:
        """Nothing: they are read from `rows`."""


def merged(rows: Iterable[Row]) -> Iterator[Row]:
    """One row a step, given out once the next step has begun: what W&B has of a row is then all of it."""
    last: Row | None = None
    for step, values in rows:
        if last is not None and last[0] == step:
            last[1].update(values)
            continue
        if last is not None:
            yield last
        last = (step, dict(values))
    if last is not None:
        yield last
