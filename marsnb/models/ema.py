"""The exponential moving average of a network: the teacher that consistency methods ask."""

import copy
from typing import Any

import torch
from torch import nn


class EMA(nn.Module):
    """A copy of a network that follows it slowly, always in evaluation mode and without gradient.

    After k updates by weights w_1 ... w_k it holds a_k = d_k a_(k-1) + (1 - d_k) w_k with d_k = min(1 - 1/k, decay).
    The first update copies, the next ones average all weights so far alike, and from k = 1 / (1 - decay) on old ones
    are forgotten at the rate ``decay``. Running statistics of batch normalisation are averaged like weights, counters
    are copied. All is in the state dict, so a restored teacher goes on exactly as the saved one.

    Args:
        network: what is followed; it is copied (``average``), not kept.
        decay: share of itself that the average keeps at an update, from 0 (a plain copy) to below 1.

    Raises:
        ValueError: ``decay`` is not from 0 to below 1.

    Reference: Tarvainen and Valpola, Mean teachers are better role models, arXiv 1703.01780.
    """

    updates: torch.Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be from 0 to below 1, got {decay}")
        self.decay = decay
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.train()

    def train(self, mode: bool = True) -> "EMA":
        """Stay in evaluation mode, whatever the method around it does."""
        return super().train(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step towards ``network``."""
        self.updates += 1
        keep = min(1 - 1 / int(self.updates), self.decay)
        for mine, theirs in zip(self.average.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.device.type == "cpu" and torch.equal(mine, theirs):
                continue  # a frozen trunk stays untouched, so that what was made of it once is kept (`run_frozen`)
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - keep)
            else:
                mine.copy_(theirs)

    @torch.no_grad()
    def forward(self, *inputs: Any) -> Any:
        """The average's outputs."""
        return self.average(*inputs)
