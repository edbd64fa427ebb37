"""Batch normalisation whose running statistics stand still while it goes on normalising by the batch."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def untracked_batchnorm(module: nn.Module) -> Iterator[None]:
    """Inside, batch normalisation uses the batch's statistics as before, but its running ones stand still.

    For batches of a training step whose images are not like those that are scored: mixed, cut, strongly augmented.
    Batch normalisation in evaluation mode (a frozen one) goes on using its running statistics.

    Args:
        module: what the batch passes; afterwards it is as it was, also after an exception.
    """
    tracked = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    for part in tracked:
        part.track_running_stats = False
    try:
        yield
    finally:
        for part in tracked:
            part.track_running_stats = True
