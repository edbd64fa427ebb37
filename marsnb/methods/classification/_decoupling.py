"""What cRT and LWS share: representation first, then a classifier on frozen features of class-balanced batches."""

from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from marsnb.methods.classification._frozen import frozen_features
from marsnb.methods.classification._parts import ClassificationMethod


class DecoupledMethod(ClassificationMethod):
    """Cross entropy on shuffled batches, then on class-balanced ones with a frozen backbone.

    The second stage is as long as the first, on frozen features. The reference's ten epochs are 2,300 steps of 512
    images at a rate of 0.2; a third of a run's epochs would be 700 to 3,400 steps of 16 images, after which scales and
    heads are still on their way.

    A subclass says in ``enter`` what learns in the second stage.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "labelled_balanced")
    stages: ClassVar[tuple[float, ...]] = (1.0, 1.0)

    @classmethod
    def streams_of(cls, stage: int) -> tuple[str, ...]:
        """Shuffled batches for the whole network, class-balanced ones for the classifier."""
        return (cls.streams[stage],)

    def step(self, **batches: Any) -> dict[str, Tensor]:
        """L = L_ce, through the whole network or on frozen features."""
        if self.stage == 0:
            ce = self.cross_entropy(batches["labelled"])
        else:
            balanced, model = batches["labelled_balanced"], self.model
            logits = model.head(model.dropout(frozen_features(model, balanced.images)))
            ce = F.cross_entropy(logits, balanced.labels)
        return {"loss": ce, "ce": ce}
