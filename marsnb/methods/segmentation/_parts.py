"""What the segmentation methods share: batches, the optimizer, cross entropy over labelled pixels."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from marsnb.losses._elements import IGNORE_INDEX, expectation
from marsnb.methods._base import Method
from marsnb.models.segmenter import Segmenter


class PolySchedule(Protocol):
    """What a run's spec (``marsnb.training.spec``) says of SGD: momentum, L2 penalty and rates."""

    @property
    def momentum(self) -> float: ...

    @property
    def weight_decay(self) -> float: ...

    def rate(self, done: float) -> float:
        """The rate where ``done``, a share from 0 to 1, of the steps are done."""
        ...


@dataclass(frozen=True)
class MaskBatch:
    """One batch of images with their masks.

    Attributes:
        images: ``(B, 3, H, W)`` in [0, 1], augmented; grey images carry three equal channels. Or what the model's
            frozen trunk makes of them, where a method does not name the stream in ``pixels``.
        labels: ``(B, H, W)``, int64; 255 where there is no label.
        kept: what the frozen trunk makes of ``images``, where they are images although the model has one.
    """

    images: Any
    labels: Tensor
    kept: Any = None

    @property
    def unchanged(self) -> Any:
        """The images for a network that sees them as they are: through its trunk already, where that was kept."""
        return self.images if self.kept is None else self.kept


class SegmentationMethod(Method):
    """A way to train a segmenter, in the paper's steps: each is one of ``Method``'s stages.

    A subclass names its ``steps``, in their order, each of the run's ``epochs`` (paper: 60), and writes ``step``, which
    looks at ``step_name``.

    Args:
        model: backbone and heads.
        schedule: learning rates (paper: SGD, 0.01, polynomial annealing). It begins anew with each step.
    """

    # departure: the paper does not say how long the rows without some step are trained, or how its annealing meets the
    # steps. Here every row has the two steps with cross entropy, and the rate begins anew with each step, so that rows
    # differ in their losses alone.
    model: Segmenter
    schedule: PolySchedule

    @property
    def steps(self) -> tuple[str, ...]:
        """Two of cross entropy where a method has no steps of its own."""
        return ("joint", "joint")

    @property
    def step_name(self) -> str:
        """The step that training is in."""
        return self.steps[self.stage]

    def stage_epochs(self) -> list[int]:
        """Epochs of each step."""
        return [self.task.epochs] * len(self.steps)

    @property
    def done(self) -> float:
        """Share of the whole training that is done, over all steps, 0 to below 1."""
        lengths = self.stage_epochs()
        return (sum(lengths[: self.stage]) + self.progress * lengths[self.stage]) / sum(lengths)

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Eq. 8: mean over images of the mean over an image's labelled pixels; 0 where nothing is labelled.

        Shape: ``logits``: ``(B, C, H, W)``; ``labels``: ``(B, H, W)``; the result is a scalar.
        """
        losses = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="none")  # (B, H, W)
        return expectation(losses, labels != IGNORE_INDEX)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD with momentum over all parameters that learn; those that a step does not use stay as they are."""
        parameters = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.SGD(
            [{"params": parameters, "lr": self.schedule.rate(0.0), "name": "all"}],
            momentum=self.schedule.momentum,
            weight_decay=self.schedule.weight_decay,
        )

    def on_train_epoch_start(self) -> None:
        """Set the epoch's step; it depends on the epoch alone, so none is stored."""
        self.begin_epoch(self.current_epoch)

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        """Anneal the rate, step by step."""
        self.set_rates({"all": self.schedule.rate(self.progress_at(batch_idx))})
