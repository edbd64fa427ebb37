"""What a run of any task brings to the loop that trains, watches and enters it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Work:
    """A run, ready to train."""

    method: Any  # the Lightning module
    batches: Any  # its data module, which knows its ``steps`` per epoch
    assess: Callable[[Any, torch.device], dict[str, float]]  # an epoch's values for the curves, of method and device
    score: Callable[[Any, torch.device], dict[str, Any]]  # at the end, by split: each has ``metrics(class_names)``
    keep: Callable[[Any, Path], None]  # writes what is kept of each image, given the scores and the run's folder
    class_names: tuple[str, ...]
    headline: str  # the metric that the display shows, a fraction

    @property
    def epochs(self) -> int:
        """Of all stages together."""
        return sum(self.method.stage_epochs())
