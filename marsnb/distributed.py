"""What makes the step of several processes that of one on the whole batch; in one process nothing changes.

Each process has a contiguous part of the batch, in the order of the ranks, and the gradients of all are averaged. So
the mean of the processes' losses must be the loss of the whole batch.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def size() -> int:
    """Processes of the run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's place among them, from 0."""
    return dist.get_rank() if size() > 1 else 0


def part(count: int, rank: int, size: int) -> slice:
    """The part of a batch that a process takes; parts differ by one item at most."""
    return slice(count * rank // size, count * (rank + 1) // size)


class _Sum(torch.autograd.Function):
    """The sum over processes, whose gradient is the sum over processes, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        whole = x.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0].contiguous())


def summed(x: Tensor) -> Tensor:
    """The sum over processes, with its gradient."""
    return _Sum.apply(x) if size() > 1 else x


def share_of(count: Tensor) -> Tensor:
    """What a process divides a sum by, so that the mean over processes is the sum of all divided by their count.

    ``count`` is of this process's own items, int64; 0 over all processes is taken as 1.
    """
    return summed(count).clamp_min(1) / size() if size() > 1 else count.clamp_min(1)


def averaged(values: Tensor) -> Tensor:
    """The mean over processes, without gradient."""
    return summed(values.detach()) / size() if size() > 1 else values.detach()


def gathered(rows: Tensor, *, even: bool = False) -> Tensor:
    """The rows of all processes, ``(N, ...)`` each, in the order of the ranks and with their gradient.

    Where they are not ``even``, as many of each process, their numbers are exchanged first, and waited for.
    """
    if size() == 1:
        return rows
    counts = torch.full((size(),), len(rows))
    if not even:
        own = torch.zeros(size(), dtype=torch.int64, device=rows.device)
        own[rank()] = len(rows)
        counts = summed(own).cpu()
    start, total = int(counts[: rank()].sum()), int(counts.sum())
    before, after = (rows.new_zeros(n, *rows.shape[1:]) for n in (start, total - start - len(rows)))
    return summed(torch.cat([before, rows, after]))
