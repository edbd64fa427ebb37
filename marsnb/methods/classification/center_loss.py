"""Cross entropy and center loss."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from marsnb.losses.center import Center
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule
from marsnb.models.classifier import Classifier


@METHODS.register("center_loss")
class CenterLoss(ClassificationMethod):
    """Cross entropy, and half the squared distance of each feature to the centre of its class, which follows it.

    After each step the centres move by the reference's own rule, without an optimizer: they arrive at the means of
    their classes in a few batches each, and go on following them, whatever the learning rates are.

    Open choices: the weight is the reference's for faces, where features are of another size; a centre begins as the
    mean of the first batch that shows its class, as the reference does not say where it begins; both act on the pooled
    features.

    Args:
        weight: lambda, of the center loss, which has the factor of a half inside (reference: 0.003).
        alpha: share of the mean difference by which centres move at a step, 0 to 1 (reference: 0.5).

    Reference: Wen et al., ECCV 2016, Eq. 2, 4 and 5.
    """

    weight: float = 0.003
    alpha: float = 0.5

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.center = Center(model.head.out_features, model.head.in_features, self.alpha)

    def step(self, labelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + lambda * L_center, on the same features."""
        features = self.model.features(labelled.images)  # (B, 3, H, W) -> (B, F)
        ce = F.cross_entropy(self.model.head(self.model.dropout(features)), labelled.labels)
        drawn = self.center(features, labelled.labels)
        return {"loss": ce + self.weight * drawn, "ce": ce, "center": drawn}
