"""One training in several processes with a device each: distributed data parallelism (Li et al., arXiv 2006.15704).

Each process has the whole model, makes its share of every batch, and before a step the gradients are averaged: what one
process does with the whole batch, but for rounding. Measures are of all shares. Batch normalization is by the whole
batch on accelerators; torch has none such for the processor, where each process normalizes its own share. What is
drawn while the model runs (dropout) every process draws for itself, from (seed, step, rank).

Rank 0 alone writes, tracks and speaks; the others end when the training does. Fabric starts them, or `torchrun` or
SLURM has (docs/several-devices.md).
"""

import os

import torch
from lightning_fabric import Fabric
from torch import distributed, nn

from pawprint.data.share import WHOLE, Share
from pawprint.errors import SettingsError
from pawprint.interruption import GRACE_SECONDS, end_with
from pawprint.seeding import generator
from pawprint.training.arithmetic import bare, fabric_for
from pawprint.types import OF_PROCESSES, RunSpec


def started(specs: list[RunSpec]) -> Share:
    """Start the other processes that these trainings ask for, each of which runs this program from its beginning.

    Raises SettingsError where the trainings differ in what they ask for, or torchrun started another number.
    """
    asked = {tuple(getattr(spec, name) for name in (*OF_PROCESSES, "accelerator")) for spec in specs}
    names = ", ".join(OF_PROCESSES)
    if len(asked) > 1:
        raise SettingsError([f"{specs[0].variant}: {names} and accelerator: expected the same for all of its runs, "
                             f"which one program trains; found {sorted(asked)}"])  # fmt: skip
    n = specs[0].n_processes
    found = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else n
    if found != n:
        raise SettingsError([f"{specs[0].variant}: devices x num_nodes: {n} processes, and torchrun started {found}: "
                             "set devices to its --nproc-per-node and num_nodes to its --nnodes"])  # fmt: skip
    if n == 1:
        return WHOLE
    fabric, _ = fabric_for(specs[0])
    fabric.launch()
    share = share_of(fabric)
    if share.rank:
        end_with(os.getppid(), GRACE_SECONDS)
        os.environ["PAWPRINT_PROGRESS"] = "quiet"
    return share


def share_of(fabric: Fabric) -> Share:
    return Share(fabric.global_rank, fabric.world_size)


def normalizing_together(model: nn.Module, fabric: Fabric) -> nn.Module:
    """Its batch normalization by the batches of all processes, where torch has that."""
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return model


def draw_apart(share: Share, seed: int, step: int) -> None:
    """Seed torch for one step of one of several processes; a single one goes on with its own generator."""
    if share.size > 1:
        torch.manual_seed(int(generator("process", seed, step, share.rank).integers(2**63)))


def mean_of_all(values: torch.Tensor, fabric: Fabric) -> torch.Tensor:
    """Of a loss and its parts (n,): the loss's mean over the processes, the others' over those that have one."""
    if fabric.world_size == 1:
        return values
    each = [torch.empty_like(values) for _ in range(fabric.world_size)]
    distributed.all_gather(each, values)
    gathered = torch.stack(each)  # (processes, n)
    return torch.cat([gathered[:, :1].mean(dim=0), gathered[:, 1:].nanmean(dim=0)])


def sum_of_all(counts: dict[str, torch.Tensor], fabric: Fabric) -> dict[str, torch.Tensor]:
    """The counts, in place, over all processes."""
    for values in counts.values() if fabric.world_size > 1 else ():
        distributed.all_reduce(values)
    return counts


def same_statistics(model: nn.Module, fabric: Fabric) -> None:
    """Give all processes what batch normalization has seen in rank 0's, before the model is measured by shares."""
    if fabric.world_size > 1:
        for buffer in bare(model).buffers():
            distributed.broadcast(buffer, src=0)
