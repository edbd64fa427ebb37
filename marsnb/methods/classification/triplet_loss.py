"""Cross entropy and triplet loss."""

from typing import Any

from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from torch import Tensor
from torch.nn import functional as F

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule
from marsnb.models.classifier import Classifier


@METHODS.register("triplet_loss")
class TripletLoss(ClassificationMethod):
    """Cross entropy, and a margin between the nearest of another class and those of the own (semi-hard triplets).

    Open choices: triplets are taken from the labelled batch of 16, on the pooled features, scaled to unit norm; they
    are semi-hard, i.e. the negative is farther than the positive, but by less than the margin, and all that a batch has
    count, where the reference takes one negative per pair; a batch without any adds 0.

    Args:
        weight: of the triplet loss (the reference has no other loss: 1).
        margin: between Euclidean distances on the unit sphere (reference: 0.2, between squared ones).

    Reference: Schroff et al., FaceNet, arXiv 1503.03832, Eq. 3-4.
    """

    weight: float = 1.0
    margin: float = 0.2

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.select = TripletMarginMiner(margin=self.margin, type_of_triplets="semihard")
        self.triplet = TripletMarginLoss(margin=self.margin)  # both on unit vectors, by the library's default distance

    def triplets(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean over the semi-hard triplets of a batch; 0, with a gradient of 0, where there are none."""
        features = features.float()
        return self.triplet(features, labels, self.select(features, labels))

    def step(self, labelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + weight * L_triplet, on the same features."""
        features = self.model.features(labelled.images)  # (B, 3, H, W) -> (B, F)
        ce = F.cross_entropy(self.model.head(self.model.dropout(features)), labelled.labels)
        triplet = self.triplets(features, labelled.labels)
        return {"loss": ce + self.weight * triplet, "ce": ce, "triplet": triplet}
