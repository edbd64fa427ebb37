"""Cross entropy and center loss."""

from torch import Tensor
from torch.nn import functional as F

from marsnb.losses.center import Center
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule
from marsnb.models.classifier import Classifier


@METHODS.register("center_loss")
class CenterLoss(ClassificationMethod):
    """Cross entropy, and the squared distance of each feature to a learnt centre of its class.

    Open choices: the weight is the reference's for faces, where features are of another size; centres are parameters
    that learn at the head's rate with the common optimizer, where the reference moves them by a rule of their own
    (alpha 0.5); they act on the pooled features.

    Args:
        model: backbone and heads.
        schedule: learning rates.
        weight: of the center loss (reference: 0.003 times a half).

    Reference: Wen et al., ECCV 2016, Eq. 5.
    """

    def __init__(self, model: Classifier, schedule: Schedule, *, weight: float = 0.003) -> None:
        super().__init__(model, schedule)
        self.weight = weight
        self.center = Center(model.head.out_features, model.head.in_features)

    def step(self, labelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + weight * L_center, on the same features."""
        features = self.model.features(labelled.images)  # (B, 3, H, W) -> (B, F)
        ce = F.cross_entropy(self.model.head(self.model.dropout(features)), labelled.labels)
        drawn = self.center(features, labelled.labels)
        return {"loss": ce + self.weight * drawn, "ce": ce, "center": drawn}
