"""What the methods of two stages share: representation first, then a classifier on frozen features."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from marsnb.methods.classification._parts import Batch, ClassificationMethod
from marsnb.models.classifier import Classifier, freeze_batchnorm


def train_only(model: Classifier, *parts: nn.Module | nn.Parameter) -> None:
    """Let only ``parts`` of the model learn from here on; frozen batch normalisation stays frozen.

    The optimizer, built once for all stages, goes on holding every parameter. It leaves alone those without a gradient,
    so gradients of the stage before are dropped here: with one, even of 0, Adam's momentum would go on moving them.
    """
    model.requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
    if model.batchnorm == "frozen":
        freeze_batchnorm(model.backbone)
    model.zero_grad(set_to_none=True)


class TwoStageMethod(ClassificationMethod):
    """Cross entropy on shuffled batches, then on class-balanced ones with a frozen backbone (`enter`).

    The second stage is as long as the first. The reference's ten epochs (cRT, LWS) are 2,300 steps of 512 images at a
    rate of 0.2; a third of a run's epochs would be 700 to 3,400 steps of 16 images, after which scales and heads are
    still on their way.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "labelled_balanced")
    stages: ClassVar[tuple[float, ...]] = (1.0, 1.0)

    @classmethod
    def streams_of(cls, stage: int) -> tuple[str, ...]:
        """One stream a stage: shuffled batches for the whole network, class-balanced ones for the classifier."""
        return (cls.streams[stage],)

    def frozen_cross_entropy(self, batch: Batch) -> Tensor:
        """Eq. 4 on features of a backbone that stays as it is: no gradient, batch statistics neither used nor taken."""
        model = self.model
        model.backbone.eval()  # at every call: Lightning may put all into training mode after the epoch's first hook
        with torch.no_grad():
            features = model.features(batch.images)  # (B, 3, H, W) -> (B, F)
        return F.cross_entropy(model.head(model.dropout(features)), batch.labels)

    def step(self, **batches: Any) -> dict[str, Tensor]:
        """L = L_ce, through the whole network or on frozen features."""
        (batch,) = batches.values()
        ce = self.cross_entropy(batch) if self.stage == 0 else self.frozen_cross_entropy(batch)
        return {"loss": ce, "ce": ce}
