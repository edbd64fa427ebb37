"""What a run of any task brings to the loop that trains, watches and enters it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch


class SplitScores(Protocol):
    """Scores of one split."""

    def metrics(self, class_names: tuple[str, ...]) -> dict[str, tuple[float, int]]:
        """Every metric with its n."""
        ...


@dataclass(frozen=True)
class Work:
    """A run, ready to train.

    Attributes:
        method: the Lightning module.
        batches: its data module, which knows its ``steps`` per epoch.
        assess: values of an epoch for the curves, given the method and its device.
        score: scores of the whole splits at the end, likewise, by split.
        keep: writes what is kept of each image, given the scores and the run's folder.
        class_names: of the data set.
        headline: the metric that the display shows, a fraction.
    """

    method: Any
    batches: Any
    assess: Callable[[Any, torch.device], dict[str, float]]
    score: Callable[[Any, torch.device], Mapping[str, SplitScores]]
    keep: Callable[[Any, Path], None]
    class_names: tuple[str, ...]
    headline: str

    @property
    def epochs(self) -> int:
        """Of all stages together."""
        return sum(self.method.stage_epochs())


class Prepares(Protocol):
    """A module that knows how runs of one task are opened and prepared."""

    def open_data(self, spec: Any) -> Any:
        """The data set that a spec names."""
        ...

    def fingerprint_of(self, spec: Any, data: Any) -> str:
        """Digest of all data that the run sees."""
        ...

    def prepare(self, spec: Any, data: Any, device: torch.device) -> Work:
        """The run, ready to train."""
        ...
