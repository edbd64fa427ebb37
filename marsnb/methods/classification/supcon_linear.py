"""Supervised contrastive learning, then a linear classifier on what was learnt."""

from typing import Any, ClassVar

import torch
from pytorch_metric_learning.losses import SupConLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import PairBatch, Schedule
from marsnb.methods.classification._stages import TwoStageMethod, train_only
from marsnb.models.classifier import Classifier


@METHODS.register("supcon_linear")
class SupConLinear(TwoStageMethod):
    """SupCon on two views of each image, then cross entropy of the head on the frozen backbone.

    Open choices: both stages are as long as the run's epochs, so the method trains twice as long as others (reference:
    1000 epochs, then 100); a batch is 24 labelled images drawn without regard to class, as for ``info_nce`` (reference:
    256 or more), so a rare class often has no positive but its own second view; the views get the project's strong
    augmentation and pass the network together; optimizer and rates are the run's, Adam and not SGD; the projection
    (``project_s``, dropped after the first stage) learns at the head's rate; the loss is the mean over anchors, without
    the reference's factor tau / 0.07; a batch of one class only has a loss of 0. The first stage has no images as they
    are scored, so running statistics of batch normalisation follow its strong views, whatever the model's ``batchnorm``
    says of other methods. The frozen backbone is in evaluation mode in the second stage: its statistics are kept.

    Args:
        temperature: of the contrast (reference: 0.1; the default of its code is 0.07).

    Reference: Khosla et al., Supervised contrastive learning, arXiv 2004.11362, Eq. 2 (L_out).
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "image_pairs")
    embedding: ClassVar[str] = "embed_s"
    new_projection: ClassVar[bool] = True
    whole: ClassVar[bool] = False
    """Whether the second stage trains the whole network, and not the head alone."""

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
        labelled = batches["labelled"]
        ce = self.cross_entropy(labelled) if self.whole else self.frozen_cross_entropy(labelled)
        return {"loss": ce, "ce": ce}
