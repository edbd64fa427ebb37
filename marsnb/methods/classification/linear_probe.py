"""Control: a linear layer on the frozen start weights."""

from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule
from marsnb.models.classifier import Classifier


@METHODS.register("linear_probe")
class LinearProbe(ClassificationMethod):
    """The backbone as it came, frozen; only the linear head learns, on features computed once without augmentation.

    Not in the paper: it tells how far the start weights go alone.
    """

    precompute: ClassVar[bool] = True

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        for part in (model.backbone, model.project_s, model.project_u):
            part.requires_grad_(False)

    def step(self, labelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce; ``labelled.images`` are features, ``(B, num_features)``."""
        ce = F.cross_entropy(self.model.head(labelled.images), labelled.labels)
        return {"loss": ce, "ce": ce}
