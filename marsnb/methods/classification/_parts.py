"""What the classification methods share: batches, parameter groups, the optimizer."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from marsnb.methods._base import Method
from marsnb.methods._base import Task as Task  # part of this module's interface, too
from marsnb.methods._base import method_settings as method_settings
from marsnb.models.batchnorm import untracked_batchnorm
from marsnb.models.classifier import Classifier


class Schedule(Protocol):
    """What a run's spec (``marsnb.training.spec``) says of Adam: L2 penalty, epochs at which rates decay, rates."""

    @property
    def weight_decay(self) -> float: ...

    @property
    def milestones(self) -> tuple[int, ...]: ...

    def rates(self, epoch: int = 0) -> dict[str, float]:
        """Rate of each parameter group in ``epoch``."""
        ...


@dataclass(frozen=True)
class Batch:
    """One batch of labelled images, ``(B,)`` labels, int64.

    Images are ``(B, 3, H, W)`` in [0, 1], augmented, or what the model's frozen trunk makes of them.
    """

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class PairBatch:
    """One batch of pairs of views, as ``Batch.images``; row i of both belong together. A missing label is -1."""

    view1: Tensor
    view2: Tensor
    labels: Tensor


class ClassificationMethod(Method):
    """A way to train a classifier (streams, settings, stages: see ``Method``).

    A subclass states ``streams``, and writes ``step``, which gets one batch per stream by that name.

    Args:
        model: backbone and heads.
        schedule: learning rates (paper: Adam, 1e-3 for the head, 1e-6 for the rest, x 0.1 at epochs 20 and 25).
    """

    model: Classifier
    schedule: Schedule
    embedding: ClassVar[str] = "features"
    """Which of the model's maps the collapse diagnostics look at besides the features: ``embed_s``, ``embed_u``."""
    precompute: ClassVar[bool] = False
    """Whether the backbone is frozen and the images can be replaced by their features once and for all."""
    new_projection: ClassVar[bool] = False
    """Whether the projection learns at the head's rate; the paper's rate for H_s, the backbone's, would not move it."""

    def aside(self) -> AbstractContextManager[None]:
        """Around a pass of images that are not as those that are scored: strong views, unlabelled ones, patches.

        With ``batchnorm="labelled"``, running statistics stand still inside: they follow the labelled stream alone.
        """
        return untracked_batchnorm(self.model) if self.model.batchnorm == "labelled" else nullcontext()

    def cross_entropy(self, labelled: Batch) -> Tensor:
        """Eq. 4 on a labelled batch."""
        return F.cross_entropy(self.model(labelled.images), labelled.labels)

    def trained_parameters(self) -> dict[str, list[torch.nn.Parameter]]:
        """Parameters by group: ``head`` (H_cls, and a method's own parts), ``projection`` (H_s, H_u), ``backbone``."""
        projection = torch.nn.ModuleList([self.model.project_s, self.model.project_u])
        inside = {id(p) for p in self.model.parameters()}
        groups = {
            "head": [*self.model.head.parameters(), *(p for p in self.parameters() if id(p) not in inside)],
            "projection": list(projection.parameters()),
            "backbone": list(self.model.backbone.parameters()),
        }
        return {name: [p for p in group if p.requires_grad] for name, group in groups.items()}

    def rates(self, epoch: int) -> dict[str, float]:
        """Learning rate of each group in an epoch of the schedule; a method with a group of its own adds it here."""
        rates = self.schedule.rates(epoch)
        return rates | {"projection": rates["head"]} if self.new_projection else rates

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, one group per learning rate (paper, section 6.1)."""
        rates = self.rates(0)
        groups = [{"params": p, "lr": rates[name], "name": name} for name, p in self.trained_parameters().items() if p]
        return torch.optim.Adam(groups, weight_decay=self.schedule.weight_decay)

    def on_train_epoch_start(self) -> None:
        """Set the epoch's stage and learning rates; they depend on the epoch alone, so none is stored."""
        self.begin_epoch(self.current_epoch)
        # A stage that is half as long decays at half the epoch.
        self.set_rates(self.rates(int(self.epoch / self.stages[self.stage])))
