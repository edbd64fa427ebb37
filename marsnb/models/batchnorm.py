"""Batch normalisation: its running statistics held still, and its batch statistics taken over several processes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules._functions import SyncBatchNorm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from marsnb import distributed


@contextmanager
def untracked_batchnorm(module: nn.Module) -> Iterator[None]:
    """Inside, batch normalisation uses the batch's statistics as before, but its running ones stand still.

    For batches of a training step whose images are not like those that are scored: mixed, cut, strongly augmented.
    Batch normalisation in evaluation mode (a frozen one) goes on using its running statistics. Afterwards the module is
    as it was, also after an exception.
    """
    tracked = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    for part in tracked:
        part.track_running_stats = False
    try:
        yield
    finally:
        for part in tracked:
            part.track_running_stats = True


def synchronised_batchnorm() -> AbstractContextManager[Any]:
    """Inside, statistics of a batch are those of all processes' batches together; in one process nothing changes.

    It acts on the function that every kind of batch normalisation calls, and only where that takes the batch's
    statistics. So frozen and untracked ones stay what they are, and no module is exchanged for another.
    """
    return _Synchronised() if distributed.size() > 1 else nullcontext()


class _Synchronised(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        call = _batch_norm if func is F.batch_norm else func
        return call(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``F.batch_norm`` with the statistics of all processes."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if input.is_cuda:  # torch's own, which is fast but does not exist elsewhere
        group = dist.group.WORLD
        return SyncBatchNorm.apply(
            input, weight, bias, running_mean, running_var, eps, momentum, group, distributed.size()
        )
    x = input.to(torch.promote_types(input.dtype, torch.float32))
    over, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    count = distributed.summed(x.new_tensor(x.numel() / x.shape[1]))
    mean = distributed.summed(x.sum(over)) / count  # (C,)
    centred = x - mean.view(shape)
    var = distributed.summed(centred.square().sum(over)) / count  # (C,)
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.detach().to(running_mean), momentum)
        running_var.lerp_((var.detach() * count / (count - 1)).to(running_var), momentum)
    y = centred * (var + eps).rsqrt().view(shape)
    y = y if weight is None else y * weight.view(shape)
    return (y if bias is None else y + bias.view(shape)).to(input.dtype)
