"""What both SupCon methods share: supervised contrast of two views, then cross entropy."""

from typing import Any, ClassVar

import torch
from pytorch_metric_learning.losses import SupConLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor
from torch.nn import functional as F

from marsnb.methods.classification._frozen import frozen_features, train_only
from marsnb.methods.classification._parts import ClassificationMethod, PairBatch, Schedule
from marsnb.models.classifier import Classifier


class SupConMethod(ClassificationMethod):
    """SupCon in the first stage, cross entropy in the second.

    A subclass says in ``whole`` whether the second stage trains the whole network or the head alone. The projection
    learns at the head's rate: the rate of the backbone, which the paper gives its own H_s, would not move a new one.

    Args:
        model: backbone and heads; the contrast uses ``project_s``.
        schedule: learning rates; they begin anew with the second stage.
        temperature: of the contrast (reference: 0.1).
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "image_pairs")
    stages: ClassVar[tuple[float, ...]] = (1.0, 1.0)
    embedding: ClassVar[str] = "embed_s"
    whole: ClassVar[bool]

    temperature: float = 0.1

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        # Mean over all anchors as in the reference; the library's default leaves out those whose loss is 0.
        self.contrast = SupConLoss(temperature=self.temperature, reducer=MeanReducer())

    @classmethod
    def streams_of(cls, stage: int) -> tuple[str, ...]:
        """Pairs of views for the contrast, then labelled images."""
        return ("image_pairs",) if stage == 0 else ("labelled",)

    def enter(self, stage: int, first: bool) -> None:
        """First backbone and projection learn, then the head, with the backbone or without."""
        model = self.model
        if stage == 0:
            train_only(model, model.backbone, model.project_s)
        elif self.whole:
            train_only(model, model.backbone, model.head)
        else:
            train_only(model, model.head)

    def rates(self, epoch: int) -> dict[str, float]:
        """As for every method, but the projection has the head's."""
        rates = super().rates(epoch)
        return rates | {"projection": rates["head"]}

    def supcon(self, pairs: PairBatch) -> Tensor:
        """The contrast of ``2B`` views, all in one forward pass; positives of a view are all others of its class."""
        embeddings = self.model.embed_s(torch.cat([pairs.view1, pairs.view2]))  # (2B, 3, H, W) -> (2B, D)
        with torch.autocast(device_type=embeddings.device.type, enabled=False):
            return self.contrast(embeddings.float(), pairs.labels.repeat(2))

    def step(self, **batches: Any) -> dict[str, Tensor]:
        """L = L_supcon in the first stage, L = L_ce in the second."""
        if self.stage == 0:
            contrast = self.supcon(batches["image_pairs"])
            return {"loss": contrast, "supcon": contrast}
        labelled, model = batches["labelled"], self.model
        if self.whole:
            ce = self.cross_entropy(labelled)
        else:
            logits = model.head(model.dropout(frozen_features(model, labelled.images)))
            ce = F.cross_entropy(logits, labelled.labels)
        return {"loss": ce, "ce": ce}
