"""Which part of the work is a process's own, where one training runs in several (data parallelism)."""

from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class Share:
    """The part of process `rank` (from 0) of `size`."""

    rank: int = 0
    size: int = 1

    def of_batch(self, n: int) -> tuple[int, int]:
        """First example and number of examples of its share of a batch of `n`; all shares are equally large.

        What does not divide is left out, so that the mean over the processes is the mean over the examples.
        """
        length = n // self.size
        return self.rank * length, length

    def of_all(self, n: int) -> slice:
        """Its share of `n` things, none left out; with those of the others in the order of ranks it is all of them."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def joined(self, part: torch.Tensor) -> torch.Tensor:
        """The parts (n, …) of all processes, in the order of ranks, (N, …), on the processor."""
        if self.size == 1:
            return part
        parts: list[torch.Tensor] = [part] * self.size
        distributed.all_gather_object(parts, part.cpu())
        return torch.cat(parts)


WHOLE = Share()
